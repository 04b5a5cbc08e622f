"""What the agents' outboxes held, seen from outside while the agents ran."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

DATABASE = "outbox.db"


@dataclass(slots=True)
class Outboxes:
    """Every batch ever seen in an outbox, by site and number, with its hash."""

    folders: dict[str, Path]
    seen: dict[str, dict[int, str]] = field(default_factory=dict)
    looked: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """How the files of each were at the last look: only what is written changes them."""

    def look(self) -> None:
        """Note what lies in each outbox now: a number stands for the same bytes for ever."""
        for site, folder in self.folders.items():
            now = tuple(_changed(folder / name) for name in (DATABASE, f"{DATABASE}-wal"))
            if self.looked.get(site) == now:
                continue
            self.looked[site] = now
            known = self.seen.setdefault(site, {})
            for counter, raw in _rows(folder, "SELECT counter, raw FROM batches"):
                found = hashlib.sha256(raw).hexdigest()
                assert known.setdefault(counter, found) == found, f"{site} signed two different batches {counter}"

    def head(self, site: str) -> tuple[int, str]:
        """Number and hash of the last batch a site signed."""
        state = json.loads(_rows(self.folders[site], "SELECT state FROM head")[0][0])
        return state["counter"], state["hash"]

    def waiting(self, site: str) -> list[int]:
        """Numbers of the batches that nobody acknowledged."""
        return [
            row[0]
            for row in _rows(
                self.folders[site],
                "SELECT counter FROM batches WHERE counter > (SELECT upto FROM held) ORDER BY counter",
            )
        ]


def _changed(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _rows(folder: Path, query: str) -> list[tuple]:
    path = folder / DATABASE
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(query).fetchall()
