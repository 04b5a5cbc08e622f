"""What feeds have told, kept in the home: the last good answers survive an outage and a restart.

One thread writes, another reads; SQLite's write-ahead log keeps either from waiting for the other.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sunward.adapters.feeds.feed import Told
from sunward.adapters.secret_file import OWNER_ONLY
from sunward.adapters.write_ahead import write_ahead
from sunward.errors import SourceError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.units import DAY_MS, HOUR_MS

FILE = "feeds.db"
KEPT_MS = 45 * DAY_MS
"""Forecasts of hours older than this are forgotten: receipts reach 40 days back."""
LEARNT_MS = 2 * 366 * DAY_MS
"""Observed hours older than this are forgotten: forecasts are learnt from the last two years."""
BUSY_S = 10.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS told (
    zone TEXT, kind TEXT, ahead INTEGER, hour_ms INTEGER,
    value INTEGER NOT NULL, quality TEXT NOT NULL, source TEXT NOT NULL, fetched_ms INTEGER NOT NULL,
    PRIMARY KEY (zone, kind, ahead, hour_ms)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (
    zone TEXT, kind TEXT, feed TEXT NOT NULL, tried_ms INTEGER NOT NULL, had_ms INTEGER NOT NULL,
    next_ms INTEGER NOT NULL, failures INTEGER NOT NULL, code TEXT NOT NULL, error TEXT NOT NULL,
    PRIMARY KEY (zone, kind)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One hour as it is held."""

    hour_ms: int
    value: int
    quality: Quality
    source: str
    fetched_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How asking for a series went."""

    feed: str
    tried_ms: int
    had_ms: int
    """The last good answer; 0 for none."""
    next_ms: int
    failures: int = 0
    """In a row."""
    code: str = ""
    error: str = ""


class Cache:
    """One connection to the file; each thread opens its own.

    Raises: SourceError when it cannot be opened now.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=OWNER_ONLY, exist_ok=True)
        try:
            self._database = _opened(path)
        except sqlite3.OperationalError as reason:
            # Somebody else holds it, or the disk fails: what is in the file is whole.
            raise SourceError(f"{path} cannot be opened: {reason}", code="SW-210") from reason
        except sqlite3.DatabaseError:
            # It is damaged, and holds nothing that a source does not hold too.
            path.unlink()
            path.touch(mode=OWNER_ONLY)
            self._database = _opened(path)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def keep(
        self, zone: ZoneId, kind: SeriesKind, told: Iterable[Told], source: str, fetched_ms: int, *, ahead: bool
    ) -> None:
        """Take an answer; a forecast replaces the one before from its first hour on."""
        rows = [(zone, kind, ahead, one.hour_ms, one.value, one.quality, source, fetched_ms) for one in told]
        if not rows:
            return
        with self._writing():
            if ahead:
                later = "DELETE FROM told WHERE zone = ? AND kind = ? AND ahead AND hour_ms >= ?"
                self._database.execute(later, (zone, kind, rows[0][3]))
            self._database.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            oldest_ms = fetched_ms - (KEPT_MS if ahead else LEARNT_MS)
            self._database.execute(
                "DELETE FROM told WHERE zone = ? AND kind = ? AND ahead = ? AND hour_ms < ?",
                (zone, kind, ahead, oldest_ms),
            )

    def held(self, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int, *, ahead: bool) -> tuple[Held, ...]:
        """What is held of [start_ms, end_ms), in order."""
        query = (
            "SELECT hour_ms, value, quality, source, fetched_ms FROM told"
            " WHERE zone = ? AND kind = ? AND ahead = ? AND hour_ms >= ? AND hour_ms < ? ORDER BY hour_ms"
        )
        rows = self._database.execute(query, (zone, kind, ahead, start_ms, end_ms)).fetchall()
        return tuple(
            Held(hour_ms=hour_ms, value=value, quality=Quality(quality), source=source, fetched_ms=fetched_ms)
            for hour_ms, value, quality, source, fetched_ms in rows
        )

    def zones(self, kind: SeriesKind) -> tuple[ZoneId, ...]:
        """Zones of which hours were told as observed."""
        query = "SELECT DISTINCT zone FROM told WHERE kind = ? AND NOT ahead"
        return tuple(ZoneId(zone) for (zone,) in self._database.execute(query, (kind,)))

    def latest(self, zone: ZoneId, kind: SeriesKind) -> tuple[int, int]:
        """End of the last observed hour, and when the newest forecast was had; 0 for none."""
        query = "SELECT ahead, max(hour_ms), max(fetched_ms) FROM told WHERE zone = ? AND kind = ? GROUP BY ahead"
        found = {
            bool(ahead): (hour_ms, had_ms) for ahead, hour_ms, had_ms in self._database.execute(query, (zone, kind))
        }
        observed_ms = found[False][0] + HOUR_MS if False in found else 0
        return observed_ms, found[True][1] if True in found else 0

    def note(self, zone: ZoneId, kind: SeriesKind, asked: Asked) -> None:
        """Remember how asking went."""
        row = (
            zone,
            kind,
            asked.feed,
            asked.tried_ms,
            asked.had_ms,
            asked.next_ms,
            asked.failures,
            asked.code,
            asked.error,
        )
        with self._writing():
            self._database.execute("INSERT OR REPLACE INTO asked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def asked(self, zone: ZoneId, kind: SeriesKind) -> Asked | None:
        """How asking for a series went last."""
        query = "SELECT feed, tried_ms, had_ms, next_ms, failures, code, error FROM asked WHERE zone = ? AND kind = ?"
        row = self._database.execute(query, (zone, kind)).fetchone()
        if row is None:
            return None
        feed, tried_ms, had_ms, next_ms, failures, code, error = row
        return Asked(
            feed=feed, tried_ms=tried_ms, had_ms=had_ms, next_ms=next_ms, failures=failures, code=code, error=error
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        write_ahead(database, BUSY_S)
        database.executescript(SCHEMA)
    except BaseException:
        database.close()
        raise
    return database
