"""A snapshot of another version is named as such, so that the journal is replayed instead."""

import zlib

import msgspec
import pytest

from sunward.engine import snapshots
from sunward.engine.state import State


def changed(change):
    record = msgspec.msgpack.decode(zlib.decompress(snapshots.dump(State())))
    change(record)
    return zlib.compress(msgspec.msgpack.encode(record))


def test_an_unchanged_snapshot_loads():
    raw = snapshots.dump(State())
    assert snapshots.dump(snapshots.load(raw)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        zlib.compress(b"\xc1"),
        changed(lambda record: record.update(format=0)),
        changed(lambda record: record.pop("world")),
        changed(lambda record: record["world"]["leases"]["ints"].popitem()),
        changed(lambda record: record.update(due=None)),
    ],
    ids=["empty", "damaged", "format", "part", "column", "kind"],
)
def test_a_snapshot_of_another_version_is_refused(raw):
    with pytest.raises(ValueError, match="snapshot"):
        snapshots.load(raw)
