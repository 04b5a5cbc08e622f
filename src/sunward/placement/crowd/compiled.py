"""Loops compiled to machine code when they are first called; other processes read it from disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# The first of three levels of optimisation: compiling takes a third of the time, and the loops run no slower.
_settings: Any = numba.config
_settings.OPT = type(_settings.OPT)(1)
_compiler: Callable[..., Any] = numba.njit


def compiled(function: Function) -> Function:
    """A function over arrays and numbers, compiled; sums are added in the order in which they are written."""
    try:
        return cast("Function", _compiler(cache=True, error_model="numpy")(function))
    except RuntimeError:
        # Neither the package's folder nor the user's cache may be written: each process compiles for itself.
        return cast("Function", _compiler(error_model="numpy")(function))


def inner(function: Function) -> Function:
    """A part of compiled functions, which nobody else calls."""
    part = _compiler(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return cast("Function", part(function))
