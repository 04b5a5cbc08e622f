"""A few hundred changed messages of each kind, always the same ones; `make fuzz` gives each parser ten minutes."""

from __future__ import annotations

import json
import random
import warnings

import cbor2
import pytest

from sunward.errors import InputError
from sunward.metering.wire import encode_batch
from sunward.service.routes_agents import _batches
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import (
    OWN_ERRORS,
    SIGNER,
    TARGETS,
    _by_metering,
    _by_verification,
    asked_of_server,
    attempt,
    framed,
)
from tests.unit.metering.samples import GOLDEN

FOUND = [
    ("feed", b'\x00{"response": {"total": "1=2", "data": []}}', True),
    (
        "feed",
        b'\x00{"response": {"total": "1", "data": [{"period": "2026-06-11T13", "fueltype": "NG", "value": "nan"}]}}',
        True,
    ),
    ("readings_array", b"\x9b" + b"\xff" * 8, False),
    ("readings_array", b"\x81\x62\xff\xff", False),
    ("agent_settings", b"pools = " + b"[" * 5_000, False),
    ("agent_settings", b'server = "https://["\n' + TARGETS["agent_settings"].seeds()[0].split(b"\n", 1)[1], False),
    ("grid_events", b'[{"id": ' + b"[" * 200_000, False),
    (
        "grid_events",
        (
            b'[{"id": "e", "programID": "p", "intervalPeriod": {"start": "2026-06-11T12:00:00Z", "duration": "PT1H"},'
            b'"intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": []}]}]}]'
        ),
        True,
    ),
]
"""What once let something else out, and whether it is taken: feeds and grid events pass over what they cannot read."""
TIMES = 300
SLOW = {"bundle": 12, "archive": 40}


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_taken_and_what_is_made_of_it_refused_in_the_projects_own_words(name: str) -> None:
    seeds = TARGETS[name].seeds()
    assert all(attempt(name, seed) for seed in seeds)
    draw = random.Random(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(SLOW.get(name, TIMES)):
            attempt(name, mutated(draw.choice(seeds), draw))


def test_a_target_that_lets_something_else_out_is_seen() -> None:
    with pytest.raises(TypeError):
        attempt("reading", None)  # type: ignore[arg-type]
    assert not any(issubclass(TypeError, kind) for kind in OWN_ERRORS)


def test_both_readers_take_a_signed_batch_and_refuse_a_changed_one() -> None:
    raw = encode_batch(GOLDEN, SIGNER)
    assert _by_metering(raw) == _by_verification(raw) == GOLDEN
    assert _by_metering(raw[:-1] + bytes([raw[-1] ^ 1])) is None
    assert framed(b"\xa0") != raw
    assert _by_verification(framed(b"\xa0")) is None


@pytest.mark.parametrize(("name", "data", "taken"), FOUND)
def test_what_was_found_once_ends_in_the_projects_own_way(name: str, data: bytes, *, taken: bool) -> None:
    assert attempt(name, data) is taken


def test_a_moment_that_the_library_would_guess_at_is_not_read() -> None:
    event = json.loads(TARGETS["grid_events"].seeds()[0])[0]
    for wrong in ({**event, "createdDateTime": "yesterday LZ"}, event | {"intervalPeriod": {"start": "12:00 MZ"}}):
        answer = asked_of_server(json.dumps([event, wrong]).encode())
        assert len(answer.limits) == 1
        assert len(answer.unread) == 1


@pytest.mark.parametrize("sizes", [(), (1,), (23, 24, 255, 256), (65_535, 65_536), (0,) * 300])
def test_an_array_of_byte_strings_is_read_as_it_was_written(sizes: tuple[int, ...]) -> None:
    raws = [bytes([index % 251]) * size for index, size in enumerate(sizes)]
    assert _batches(cbor2.dumps(raws)) == raws
    for other in (cbor2.dumps(raws) + b"\x00", cbor2.dumps([*raws, "text"]), cbor2.dumps(raws)[:-1], b"", b"\x9f\xff"):
        with pytest.raises(InputError):
            _batches(other)
