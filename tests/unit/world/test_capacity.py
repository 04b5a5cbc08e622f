"""How much of a pool can be planned on: hours, what the owner keeps, drains; and what a proved sleep saves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.model.site import PoolPower, Sleep
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.capacity import capacity, closed_at, next_border_ms, takes_work
from sunward.world.sleeping import idling
from sunward.world.state import Site
from tests.support.network import HYDRO, SLOT_MS
from tests.support.scenarios import SITES, START_MS

SPEC = SITES[0]
POOL = SPEC.pools[0]
HOUR = START_MS // HOUR_MS % 24
SLOTS = 24


def site(*, withheld: int = 0, since_ms: int = START_MS, **spec: object) -> Site:
    power = PoolPower(pool=HYDRO, asleep=0, waking=0, idle=4, busy=0, withheld=withheld)
    kept = {HYDRO: since_ms} if withheld else {}
    return Site(spec=replace(SPEC, **spec), up=True, power={HYDRO: power}, withheld_ms=kept)


def free(one: Site, now_ms: int = START_MS) -> list[int]:
    """Containers by quarter of an hour."""
    return capacity(one, POOL, now_ms, SLOT_MS, SLOTS).tolist()


def test_an_open_site_offers_all_it_has():
    assert free(site()) == [4] * SLOTS


def test_closed_hours_offer_nothing_and_come_every_day():
    closed = site(closed_hours_utc=((HOUR + 1) % 24,))
    assert free(closed) == [4] * 4 + [0] * 4 + [4] * 16
    assert free(closed, START_MS + 24 * HOUR_MS + 30 * MINUTE_MS) == [4] * 2 + [0] * 4 + [4] * 18


def test_a_slot_that_reaches_into_a_closed_hour_is_closed():
    closed = site(closed_hours_utc=((HOUR + 1) % 24,))
    room = capacity(closed, POOL, START_MS, 25 * MINUTE_MS, 6).tolist()
    starts = [START_MS // (25 * MINUTE_MS) * 25 * MINUTE_MS + n * 25 * MINUTE_MS for n in range(6)]
    touched = [closed_at(closed.spec, at) or closed_at(closed.spec, at + 25 * MINUTE_MS - 1) for at in starts]
    assert [not containers for containers in room] == touched
    assert any(touched)


@pytest.mark.parametrize(("minutes", "slots"), [(0, 4), (20, 4), (60, 4), (90, 6), (240, 16)])
def test_what_is_kept_is_expected_to_stay_as_long_again(minutes, slots):
    """From the whole hour on: at least to its end, else as long as it has lasted already."""
    kept = site(withheld=3, since_ms=START_MS - minutes * MINUTE_MS)
    assert free(kept)[:slots] == [1] * min(slots, SLOTS)
    assert free(kept, START_MS)[-1] == 4


def test_in_closed_hours_what_is_kept_says_nothing_of_the_time_after():
    kept = site(withheld=4, since_ms=START_MS - 8 * HOUR_MS, closed_hours_utc=(HOUR,))
    assert free(kept) == [0] * 4 + [4] * 20


@given(st.integers(0, 2 * 24 * 60), st.integers(0, 24 * 60), st.integers(1, 4))
def test_no_slot_offers_more_than_there_is(past, ahead, withheld):
    now_ms = START_MS + ahead * MINUTE_MS
    room = capacity(site(withheld=withheld, since_ms=now_ms - past * MINUTE_MS), POOL, now_ms, SLOT_MS, SLOTS)
    assert room[0] == 4 - withheld
    assert (room[1:] >= room[:-1]).all()
    assert room.max() <= 4


@pytest.mark.parametrize("changes", [{"draining": True}, {"left_ms": START_MS}])
def test_who_drains_or_has_left_offers_nothing(changes):
    one = site()
    for name, value in changes.items():
        setattr(one, name, value)
    assert free(one) == [0] * SLOTS
    assert not takes_work(one, START_MS)


@given(st.frozensets(st.integers(0, 23), max_size=23), st.integers(0, 48 * 60))
def test_the_next_border_is_where_it_changes_first(hours, minutes):
    spec = replace(SPEC, closed_hours_utc=tuple(sorted(hours)))
    at_ms = START_MS + minutes * MINUTE_MS
    border_ms = next_border_ms(spec, at_ms)
    if not hours:
        assert border_ms is None
        return
    assert border_ms is not None
    steps = range(at_ms, border_ms, 10 * MINUTE_MS)
    assert {closed_at(spec, step) for step in steps} == {closed_at(spec, at_ms)}
    assert closed_at(spec, border_ms) != closed_at(spec, at_ms)


@pytest.mark.parametrize("sleep", [Sleep.NONE, Sleep.GPU_IDLE])
def test_a_site_that_cannot_sleep_saves_nothing_and_wakes_at_once(sleep):
    found = idling(replace(SPEC, sleep=sleep, wake_s=90, asleep_w=1), 120.0, 9.0)
    assert (found.asleep_w, found.wake_ms, found.wake_j) == (120.0, 0, 0.0)


def test_a_proved_sleep_counts_as_measured_and_wakes_as_long_as_it_takes():
    found = idling(replace(SPEC, sleep=Sleep.OFF, wake_s=45, asleep_w=20), 120.0, 9.0)
    assert (found.asleep_w, found.wake_ms, found.wake_j) == (5.0, 45_000, 5_400.0)
    assert idling(replace(SPEC, asleep_w=0), 120.0, 9.0).asleep_w == 9.0
    assert idling(replace(SPEC, asleep_w=10_000), 120.0, 9.0).asleep_w == 120.0
