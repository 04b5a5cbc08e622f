"""Planned again every few minutes while jobs run, no promise once made is broken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from sunward.model.plan import PolicyInputs, Segment
from sunward.placement.planner import plan
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.snapshot import JobView
from tests.support.snapshots import NOW_MS, SLOT_MS, Pool, job, snapshot

TICK_MS = 5 * MINUTE_MS
RATES = {"es": 1.0, "no": 1.9, "pl": 0.8}
POOLS = [
    Pool(id="es", zone="es", count=4, wake_ms=2 * MINUTE_MS, wake_j=3e4),
    Pool(id="no", zone="no", count=2, ask=1.5, rate=1.9, wake_ms=2 * MINUTE_MS, wake_j=3e4),
    Pool(id="pl", zone="pl", count=2, ask=0.6, rate=0.8),
]


@dataclass
class Progress:
    """A job as it runs: work done in reference ms, and the run it is in."""

    view: JobView
    done_ms: float = 0.0
    segments: tuple[Segment, ...] = ()
    pool: str = ""
    since_ms: int = 0
    works_from_ms: int = 0
    begun: bool = False
    ended_ms: int = 0

    def seen(self, now_ms: int) -> JobView:
        """What the planner is told: whole units, and a lease wherever a segment covers now."""
        held = next((one.pool for one in self.segments if one.start_ms <= now_ms < one.end_ms), "")
        units_done = int(self.done_ms * self.view.spec.units / self.view.spec.length_ms)
        return replace(
            self.view,
            units_done=units_done,
            pool=held,
            fixed=bool(held) and not self.view.spec.interruptible,
            elapsed_ms=now_ms - self.since_ms if held and held == self.pool else 0,
            segments=tuple(one for one in self.segments if one.end_ms > now_ms),
        )

    def run(self, start_ms: int, end_ms: int) -> None:
        """Let time pass; every start but the first works only after the restart."""
        running = ""
        for one in self.segments:
            begin, stop = max(one.start_ms, start_ms), min(one.end_ms, end_ms)
            if begin >= stop or self.ended_ms:
                continue
            if one.pool != self.pool or begin > start_ms:
                self.since_ms = begin
                self.works_from_ms = begin + (PolicyInputs().switch_ms if self.begun else 0)
            self.done_ms += max(0, stop - max(begin, self.works_from_ms)) * RATES[one.pool]
            self.pool, self.begun, running = one.pool, True, one.pool if stop == end_ms else ""
            if self.done_ms >= self.view.spec.length_ms:
                self.ended_ms = stop
        self.pool = running


@dataclass
class Day:
    jobs: list[Progress]
    carbon: dict[str, np.ndarray]
    slots: int
    placed: set[str] = field(default_factory=set)
    changes: int = 0

    def tick(self, now_ms: int) -> None:
        past = (now_ms - NOW_MS) // SLOT_MS
        carbon = {zone: values[past:].tolist() for zone, values in self.carbon.items()}
        still = [one.seen(now_ms) for one in self.jobs if not one.ended_ms]
        world = snapshot(POOLS, still, slots=self.slots, now_ms=now_ms, carbon=carbon)
        made = plan(world)
        assert check_plan(world, made) == []
        assert not self.placed & {one.job for one in made.unplaced}
        by_job = {one.job: one.segments for one in made.assignments}
        self.placed |= set(by_job)
        self.changes += len(by_job)
        for one in self.jobs:
            one.segments = by_job.get(one.view.spec.job, one.segments)
            one.run(now_ms, now_ms + TICK_MS)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_placed_ends_by_its_deadline(seed: int) -> None:
    keep_promises(seed, jobs=6, hours=5)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 9))
def test_what_is_placed_ends_by_its_deadline_all_day(seed: int) -> None:
    keep_promises(seed, jobs=9, hours=11)


def keep_promises(seed: int, *, jobs: int, hours: int) -> None:
    """Jobs of up to half the time, due in its last third, planned again at every tick."""
    draw = np.random.default_rng(seed)
    slots = hours * HOUR_MS // SLOT_MS + 4
    at_h = np.arange(2 * slots) * SLOT_MS / HOUR_MS
    asked = [
        job(
            f"j{number}",
            hours=float(draw.uniform(hours / 11, hours * 5 / 11)),
            due_h=float(draw.uniform(hours * 7 / 11, hours)),
            gpus=int(draw.choice([1, 1, 2])),
            interruptible=bool(number % 3),
            carbon_price_usd_per_t=1_000,
        )
        for number in range(jobs)
    ]
    carbon = {"es": 170 + 120 * np.cos(at_h), "no": 30 + 5 * np.sin(at_h), "pl": 650 + 50 * np.sin(at_h / 3)}
    day = Day([Progress(one) for one in asked], carbon, slots)
    for now_ms in range(NOW_MS, NOW_MS + hours * HOUR_MS, TICK_MS):
        day.tick(now_ms)
    late = [one.view.spec.job for one in day.jobs if not 0 < one.ended_ms <= one.view.spec.deadline_ms]
    assert late == []
    assert day.changes < 4 * len(asked)
