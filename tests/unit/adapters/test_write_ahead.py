"""The write-ahead log is asked for again while another has the file, and for no other reason."""

from __future__ import annotations

import sqlite3

import pytest

from sunward.adapters.write_ahead import write_ahead


class Refusing(sqlite3.Connection):
    """Says no with one code after the other, then yes."""

    codes: list[int]

    def execute(self, statement, *arguments):
        if self.codes:
            fault = sqlite3.OperationalError("no")
            fault.sqlite_errorcode = self.codes.pop(0)
            raise fault
        return super().execute(statement, *arguments)


def refusing(*codes):
    connection = sqlite3.connect(":memory:", factory=Refusing)
    connection.codes = list(codes)
    return connection


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY])
def test_it_is_asked_for_until_the_file_is_free(code):
    connection = refusing(code, code)
    write_ahead(connection, patience_s=60)
    assert connection.codes == []
    connection.close()


@pytest.mark.parametrize(("code", "patience_s"), [(sqlite3.SQLITE_IOERR, 60), (sqlite3.SQLITE_BUSY, -1)])
def test_another_fault_or_the_end_of_patience_is_raised(code, patience_s):
    connection = refusing(code, code)
    with pytest.raises(sqlite3.OperationalError):
        write_ahead(connection, patience_s=patience_s)
    assert connection.codes == [code]
    connection.close()
