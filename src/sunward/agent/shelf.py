"""Things made once and used by many attempts, kept as long as there is room: the one used longest ago goes first."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

READY = ".ready"


class Shelf:
    """Files or folders by key; may be used from several threads of the one agent that holds the folder.

    What is not marked as ready was being made when an agent ended, and is made anew.
    """

    def __init__(self, root: Path, bytes_max: int) -> None:
        self._root = root
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._users: dict[str, set[str]] = {}

    def use(self, key: str, user: str, make: Callable[[Path], None]) -> Path:
        """The thing of a key, made by `make` at the path it is given unless it is there; it stays until `release`."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
            self._users.setdefault(key, set()).add(user)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, ready = self._root / key, self._root / f"{key}{READY}"
        with making:
            if not ready.exists():
                _remove(path)
                try:
                    make(path)
                except BaseException:
                    _remove(path)
                    raise
                ready.write_text(str(_bytes_of(path)), encoding="ascii")
            os.utime(ready)
        self._make_room()
        return path

    def release(self, user: str) -> None:
        """Note that a user needs nothing any more."""
        with self._lock:
            for users in self._users.values():
                users.discard(user)
        self._make_room()

    def _make_room(self) -> None:
        with self._lock:
            marks = sorted(self._root.glob(f"*{READY}"), key=lambda mark: (mark.stat().st_mtime_ns, mark.name))
            sizes = {mark: int(mark.read_text(encoding="ascii") or 0) for mark in marks}
            total = sum(sizes.values())
            for mark in marks:
                key = mark.name.removesuffix(READY)
                if total > self._bytes_max and not self._users.get(key):
                    mark.unlink()
                    _remove(self._root / key)
                    total -= sizes[mark]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _bytes_of(path: Path) -> int:
    """What a file or folder takes; links count as nothing."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum(
        entry.lstat().st_size
        for parent, _, names in os.walk(path)
        for entry in (Path(parent) / name for name in names)
        if not entry.is_symlink()
    )
