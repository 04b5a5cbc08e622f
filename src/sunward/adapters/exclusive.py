"""One process in a folder at a time: a lock that ends with its holder, and the holder's number in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

LOCK_FILE = "lock"


def lock_folder(folder: Path) -> TextIO | None:
    """Hold the folder's lock until what is returned is closed or the process dies; None while another holds it."""
    # Not opened for writing anew: that would wipe out the number of the process that holds it.
    lock = (folder / LOCK_FILE).open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def holder(folder: Path) -> int | None:
    """The process that holds a folder's lock; None where none does, and 0 where it does not say."""
    try:
        lock = (folder / LOCK_FILE).open("r", encoding="utf-8")
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            told = lock.read().strip()
            return int(told) if told.isdigit() else 0
    return None
