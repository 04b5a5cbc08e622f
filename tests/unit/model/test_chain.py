"""The hash of a journal record."""

from __future__ import annotations

import hashlib

import pytest

from sunward.model.chain import GENESIS, record_hash

FIELDS = (GENESIS, 1, 2, "agent_seen", 1, 99, b'{"a":1}')


def test_is_the_digest_of_the_described_bytes() -> None:
    raw = b"sunward-journal/1\n" + b"0" * 64 + b'\n1\n2\nagent_seen\n1\n99\n{"a":1}'
    assert record_hash(*FIELDS) == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("index", range(len(FIELDS)))
def test_every_field_counts(index: int) -> None:
    others = ("1" * 64, 2, 3, "agent_lost", 2, 100, b'{"a":2}')
    changed = [*FIELDS[:index], others[index], *FIELDS[index + 1 :]]
    assert record_hash(*changed) != record_hash(*FIELDS)
