from __future__ import annotations

import pytest

from sunward.model.plan import Assignment
from sunward.placement.planner import quote
from sunward.units import HOUR_MS
from sunward.world.snapshot import Snapshot
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot, spec

PAIR = (Pool(id="es", zone="ES", country="ES"), Pool(id="pl", zone="PL", country="PL", count=4))
CARBON = {"ES": [200.0] * 8 + [50.0] * 8, "PL": [600.0]}


def asked(world: Snapshot, **fields: object) -> Assignment:
    result = quote(world, spec(**{"carbon_price_usd_per_t": 1_000, **fields}))  # type: ignore[arg-type]
    assert isinstance(result, Assignment)
    return result


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "waiting"),
        ({"due_h": 1.9}, "now"),
        ({"due_h": 1.1}, "deadline"),
        ({"allowed_countries": ("PL",)}, "residency"),
        ({"gpus": 4}, "only_site"),
    ],
)
def test_reasons(fields: dict[str, object], reason: str) -> None:
    assert asked(snapshot(PAIR, carbon=CARBON), **fields).reason == reason


def test_waiting_saves_against_starting_now_on_the_best_free_pool() -> None:
    made = asked(snapshot(PAIR, carbon=CARBON))
    assert made.segments == (segment("es", 2, 3),)
    assert made.saves_ppm == 750_000
    now, other = made.alternatives
    assert (now.label, now.start_ms, now.carbon_mg) == ("now", NOW_MS, 80_000)
    assert (other.label, other.carbon_mg) == ("pl", 240_000)


def test_starting_now_saves_nothing_and_has_no_such_alternative() -> None:
    made = asked(snapshot(PAIR, carbon=CARBON), due_h=1.9)
    assert made.saves_ppm == 0
    assert [one.label for one in made.alternatives] == ["pl"]


def test_cheapest_can_be_worse_than_now_and_says_so() -> None:
    prices = {"ES": [0.5] * 8 + [0.05] * 8}
    carbon = {"ES": [100.0] * 8 + [150.0] * 8}
    made = asked(snapshot(PAIR[:1], carbon=carbon, price=prices), carbon_price_usd_per_t=0)
    assert made.saves_ppm == -500_000


def test_without_room_now_the_first_start_is_the_measure() -> None:
    holder = job("holder", fixed=True, pool="es", segments=(segment("es", 0, 1, 2),), gpus=2)
    made = asked(snapshot(PAIR[:1], [holder], carbon=CARBON))
    assert made.segments[0].start_ms == NOW_MS + 2 * HOUR_MS
    assert made.saves_ppm == 750_000
    assert made.alternatives == ()


def test_at_most_three_alternatives_cheapest_first() -> None:
    pools = [Pool(id=f"p{number}", ask=1.0 + number / 10) for number in range(6)]
    made = asked(snapshot(pools))
    assert [one.label for one in made.alternatives] == ["p1", "p2", "p3"]
