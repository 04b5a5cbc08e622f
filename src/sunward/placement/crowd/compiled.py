"""Loops compiled to machine code when they are first called; other processes read it from disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """A function over arrays and numbers, compiled; sums are added in the order in which they are written."""
    try:
        return cast("Function", numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:
        # Neither the package's folder nor the user's cache may be written: each process compiles for itself.
        return cast("Function", numba.njit(error_model="numpy")(function))


def inner(function: Function) -> Function:
    """A part of compiled functions, which nobody else calls."""
    plain = numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return cast("Function", plain(function))
