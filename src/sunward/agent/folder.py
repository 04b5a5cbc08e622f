"""The agent's folder is one agent's alone."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from sunward.adapters.exclusive import lock_folder
from sunward.errors import InputError


def take_folder(home: Path) -> TextIO:
    """Hold the folder's lock until this is closed or the process dies: two agents with one key would sign two chains.

    Raises: InputError when another agent holds it.
    """
    lock = lock_folder(home)
    if lock is None:
        raise InputError(f"another agent runs in {home}; end it, or name another folder", code="SW-516")
    return lock
