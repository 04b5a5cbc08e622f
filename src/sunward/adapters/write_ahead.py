"""SQLite's write-ahead log, switched on beside others who open the same new file."""

from __future__ import annotations

import sqlite3
import time

PAUSE_S = 0.02
PRIMARY_CODE = 0xFF
"""The part of SQLite's result codes that names the kind of a fault; the rest says more of it."""


def write_ahead(connection: sqlite3.Connection, patience_s: float) -> None:
    """Have SQLite write ahead; beside another that opens the same new file it is refused at once, so try again.

    Raises: sqlite3.DatabaseError when it stays refused, or the file is no database.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as reason:
            if reason.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(PAUSE_S)
        else:
            return
