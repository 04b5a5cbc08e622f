"""Like jobs that may begin in one slot alone fill pool after pool, cheapest first, however many pools that takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.placement.planner import plan
from sunward.world.snapshot import Snapshot
from tests.support.crowds import Asked, crowd
from tests.support.snapshots import Pool, snapshot

POOLS, ROOM = 90, 2


def world(jobs: int, *, gpus: int = 1) -> Snapshot:
    """More pools than there are rounds, each with its own intensity, in an order that is not that of their names."""
    intensity = {f"Z{row:02d}": [10.0 + row * 37 % POOLS] for row in range(POOLS)}
    pools = [Pool(id=zone.lower(), zone=zone, count=ROOM) for zone in intensity]
    asked = [Asked(id=f"j-{row:03d}", hours=0.25, due_h=0.25, start_by_h=0.0, gpus=gpus) for row in range(jobs)]
    return replace(snapshot(pools, carbon=intensity), crowd=crowd(asked))


@pytest.mark.parametrize("jobs", [7, 150, POOLS * ROOM])
def test_they_fill_the_cheapest_pools(jobs):
    made = plan(world(jobs))
    assert made.unplaced == ()
    held: dict[str, int] = {}
    for one in made.assignments:
        (segment,) = one.segments
        held[segment.pool] = held.get(segment.pool, 0) + segment.containers
    cheapest = sorted((10 + row * 37 % POOLS, f"z{row:02d}") for row in range(POOLS))
    wanted = {name: min(ROOM, jobs - ROOM * place) for place, (_, name) in enumerate(cheapest) if jobs > ROOM * place}
    assert held == wanted


def test_those_beyond_the_room_are_told_so():
    made = plan(world(POOLS + 3, gpus=ROOM))
    assert len(made.assignments) == POOLS
    assert [one.reason for one in made.unplaced] == ["capacity"] * 3
