from __future__ import annotations

import pytest

from sunward.adapters.power_embedded import ModelledPowerSwitch
from sunward.agent.devices import DeviceBook
from sunward.errors import InputError, InvariantError
from sunward.model.site import PoolPower
from tests.unit.agent.fakes import order

POOL = "site/L40S"
MINUTE = 60_000


def power(asleep: int, waking: int, idle: int) -> PoolPower:
    return PoolPower(pool=POOL, asleep=asleep, waking=waking, idle=idle, busy=0)


def words(book: DeviceBook) -> list[str]:
    return [state.state.value for state in book.states.values()]


def test_containers_wake_after_their_latency_and_sleep_at_once() -> None:
    switch = ModelledPowerSwitch({POOL: 4}, wake_ms=2 * MINUTE)
    switch.set_awake(POOL, 2, at_ms=0)
    switch.set_awake(POOL, 2, at_ms=MINUTE)
    assert switch.states(MINUTE) == (power(2, 2, 0),)
    switch.set_awake(POOL, 3, at_ms=MINUTE)
    assert switch.states(2 * MINUTE) == (power(1, 1, 2),)
    switch.set_awake(POOL, 2, at_ms=2 * MINUTE)
    assert switch.states(2 * MINUTE) == (power(2, 0, 2),)
    switch.set_awake(POOL, 0, at_ms=2 * MINUTE)
    assert switch.states(9 * MINUTE) == (power(4, 0, 0),)


def test_the_switch_knows_its_pools_and_their_sizes() -> None:
    switch = ModelledPowerSwitch({POOL: 4})
    with pytest.raises(InputError, match="no pool"):
        switch.set_awake("site/other", 1, 0)
    with pytest.raises(InputError, match="has 4"):
        switch.set_awake(POOL, 5, 0)


def test_the_book_names_the_containers_that_a_switch_counts() -> None:
    book = DeviceBook({POOL: ("a", "b", "c")})
    assert words(book) == ["asleep"] * 3
    book.update([power(1, 1, 1)])
    assert words(book) == ["idle", "waking", "asleep"]
    assert book.lease(order(gpus=2)) == ()
    assert book.lease(order()) == ("a",)
    book.update([power(0, 0, 3)])
    assert words(book) == ["busy", "idle", "idle"]
    assert book.powers() == (PoolPower(pool=POOL, asleep=0, waking=0, idle=2, busy=1),)


def test_an_awake_device_stays_the_awake_one() -> None:
    book = DeviceBook({POOL: ("a", "b", "c")})
    book.update([power(1, 0, 2)])
    book.lease(order())
    book.lease(order("job-b.1"))
    book.release(("a",))
    book.update([power(2, 0, 1)])
    assert words(book) == ["asleep", "busy", "asleep"]
    book.release(("b",))
    book.update([power(2, 0, 1)])
    assert words(book) == ["asleep", "idle", "asleep"]


def test_a_draining_device_still_belongs_to_its_lease() -> None:
    book = DeviceBook({POOL: ("a", "b")})
    book.update([power(0, 0, 2)])
    book.drain(book.lease(order()))
    assert (words(book), book.busy(POOL), book.host_state()) == (["draining", "idle"], 1, "draining")
    assert book.states["a"].lease == "job-a.1"
    with pytest.raises(InvariantError):
        book.drain(("b",))


def test_what_the_owner_keeps_is_not_leased_and_is_told() -> None:
    book = DeviceBook({POOL: ("a", "b", "c")})
    book.update([power(1, 0, 2)])
    book.keep(["b"])
    assert (book.room(POOL), book.powers()[0].withheld) == (2, 1)
    assert book.lease(order("job-a.1", pool=POOL, gpus=1)) == ("a",)
    assert book.lease(order("job-b.1", pool=POOL, gpus=1)) == ()
    assert book.room(POOL) == 1
    book.keep([])
    assert book.lease(order("job-b.1", pool=POOL, gpus=1)) == ("b",)


@pytest.mark.parametrize(("asked_w", "own_w", "cap_w"), [(0, 0, 0), (300, 0, 300), (0, 250, 250), (200, 250, 200)])
def test_the_lower_of_two_caps_holds(asked_w: int, own_w: int, cap_w: int) -> None:
    book = DeviceBook({POOL: ("a",)}, own_w)
    book.update([power(0, 0, 1)])
    book.lease(order("job-a.1", pool=POOL, gpus=1, power_cap_w=asked_w))
    assert book.states["a"].power_cap_w == cap_w
