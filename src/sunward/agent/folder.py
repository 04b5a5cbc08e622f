"""The agent's folder and who holds it: its lock, with the number of the process inside."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

from sunward.errors import InputError

LOCK_FILE = "lock"


def take_folder(home: Path) -> TextIO:
    """Hold the folder's lock until this is closed or the process dies: two agents with one key would sign two chains.

    Raises: InputError when another agent holds it.
    """
    # Not opened for writing anew: that would wipe out the number of the process that holds it.
    lock = (home / LOCK_FILE).open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise InputError(f"another agent runs in {home}; end it, or name another folder", code="SW-516") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def holder(home: Path) -> int | None:
    """The process that runs as the agent of a folder; None where none does, and 0 where it does not say."""
    try:
        lock = (home / LOCK_FILE).open("r", encoding="utf-8")
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            told = lock.read().strip()
            return int(told) if told.isdigit() else 0
    return None
