from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.metering.chain import ACCEPTED, SKEW_MS, Fault, check_next, expected_counter, refusal, refused
from tests.unit.metering.samples import GOLDEN, HOUR, MINUTE, batch, shifted, span

HASH = "ab" * 32
NOW = HOUR + 10 * MINUTE
NEXT = shifted(GOLDEN, 2, HASH)
OTHERS = NEXT.spans[1:]
"""Of all counters but the first."""


def faults(one, previous=GOLDEN, previous_hash=HASH, *, seen=False, received_ms=NOW):
    return check_next(previous, previous_hash, one, seen=seen, received_ms=received_ms)


def test_the_first_and_the_next_batch_are_clean() -> None:
    assert check_next(None, "", GOLDEN, seen=False, received_ms=NOW) == ()
    assert faults(NEXT) == ()
    assert expected_counter(None) == 1
    assert expected_counter(GOLDEN) == 2


def test_a_replay_is_told_alone_and_is_not_refused() -> None:
    assert faults(GOLDEN, seen=True) == (Fault.REPLAY,)
    assert not refused((Fault.REPLAY,))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (replace(NEXT, counter=3), Fault.GAP),
        (replace(NEXT, counter=1), Fault.CHAIN_BROKEN),
        (replace(NEXT, previous="cd" * 32), Fault.CHAIN_BROKEN),
        (shifted(GOLDEN, 2, HASH, by=MINUTE // 2), Fault.OVERLAP),
        (shifted(GOLDEN, 2, HASH, by=0), Fault.CLOCK_BACKWARDS),
        (
            replace(NEXT, spans=(span(t0=MINUTE, t1=2 * MINUTE, start=23_999, end=30_000), *OTHERS)),
            Fault.COUNTER_BACKWARDS,
        ),
    ],
)
def test_what_is_refused(one, expected) -> None:
    found = faults(one)
    assert found == (expected,)
    assert refused(found)
    assert expected not in ACCEPTED


def test_a_first_batch_must_have_number_one() -> None:
    assert check_next(None, "", replace(NEXT, counter=7), seen=False, received_ms=NOW) == (Fault.GAP,)


def test_a_batch_from_the_future_waits_until_its_time_has_come() -> None:
    assert faults(NEXT, received_ms=NEXT.t1_ms - SKEW_MS) == ()
    assert faults(NEXT, received_ms=NEXT.t1_ms - SKEW_MS - 1) == (Fault.SKEW,)
    assert refused((Fault.SKEW,))


def test_a_new_boot_may_start_its_counters_anew_and_is_named() -> None:
    reset = replace(shifted(batch(span(end=1)), 2, HASH, by=3 * MINUTE), boot="b-2")
    assert faults(reset) == (Fault.RESET,)
    assert not refused((Fault.RESET,))


def test_joules_outside_every_span_are_named_between_and_within_batches() -> None:
    between = replace(NEXT, spans=(span(t0=MINUTE, t1=2 * MINUTE, start=24_001, end=30_000), *OTHERS))
    first = span(t0=MINUTE, t1=MINUTE + 1, start=24_000, end=24_001)
    second = span(t0=MINUTE + 1, t1=2 * MINUTE, start=24_005, end=24_006)
    assert faults(between) == (Fault.UNMETERED,)
    assert faults(replace(NEXT, spans=(first, second, *OTHERS))) == (Fault.UNMETERED,)
    assert not refused((Fault.UNMETERED,))


def test_a_counter_that_leaves_the_batches_of_its_boot_is_named() -> None:
    assert faults(replace(NEXT, spans=OTHERS)) == (Fault.MISSING,)
    assert faults(replace(NEXT, spans=OTHERS, boot="b-2")) == (Fault.RESET,)
    assert not refused((Fault.MISSING,))


def test_several_faults_are_all_told() -> None:
    late = replace(shifted(GOLDEN, 2, HASH, by=MINUTE // 2), boot="b-2")
    assert faults(late, received_ms=0) == (Fault.OVERLAP, Fault.SKEW, Fault.RESET)


def test_a_refusal_says_what_is_expected() -> None:
    error = refusal((Fault.GAP, Fault.RESET), GOLDEN, HASH)
    assert error.code == "SW-310"
    assert error.message == f"reading refused (gap); expected batch 2, previous {HASH}, from {GOLDEN.t1_ms} ms on"
    assert "batch 1, previous empty, from 0 ms on" in refusal((Fault.GAP,), None, "").message
