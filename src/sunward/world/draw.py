"""What work draws at the meters of sites under a ceiling, as the planner counts it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from sunward.model.hardware import WorkClass
from sunward.model.plan import Segment
from sunward.model.site import PoolSpec, SiteSpec
from sunward.units import PPM, floor_to
from sunward.world.ceilings import ceilings_w, is_capped
from sunward.world.limits import limited_w
from sunward.world.occupancy import slot_range
from sunward.world.progress import progress
from sunward.world.sleeping import idling
from sunward.world.snapshot import WORK_CLASSES, IntArray
from sunward.world.state import World
from sunward.world.view import container_w

NO_LIMIT_W = 2**62


def above_w(site: SiteSpec, pool: PoolSpec, work_class: str, containers: int, cap_w: int = 0) -> int:
    """Facility watts that busy containers draw above sleeping ones, rounded up as the planner does.

    `cap_w`: the power limit of each; 0 = none.
    """
    busy_w, idle_w, modelled_w = container_w(pool.gpu_model)
    kind = WorkClass(work_class)
    asleep_w = idling(site, idle_w, modelled_w).asleep_w
    drawn_w = limited_w(pool.gpu_model, kind, cap_w) if cap_w else busy_w[WORK_CLASSES.index(kind)]
    one_w = drawn_w - asleep_w
    return max(0, math.ceil(containers * one_w * (site.overhead_ppm / PPM)))


def asleep_w(site: SiteSpec) -> float:
    """Facility watts of a site with every container asleep, or idle where it cannot sleep."""
    total = 0.0
    for pool in sorted(site.pools, key=lambda one: one.pool):
        _, idle_w, modelled_w = container_w(pool.gpu_model)
        total += pool.count * idling(site, idle_w, modelled_w).asleep_w * (site.overhead_ppm / PPM)
    return total


def room_w(site: SiteSpec, ceiling_w: float) -> int:
    """What a ceiling leaves for work, rounded down; negative where sleeping containers alone draw more."""
    return NO_LIMIT_W if math.isinf(ceiling_w) else math.floor(ceiling_w - asleep_w(site))


def lease_w(world: World, lease: str) -> int:
    """What an open lease draws above its containers asleep."""
    row = world.leases.row_of[lease]
    job_row = world.jobs.row_of[world.leases.objects["job"][row]]
    gpus, cap_w = (int(world.leases.ints[name][row]) for name in ("gpus", "power_cap_w"))
    return job_w(world, job_row, world.leases.objects["pool"][row], gpus, cap_w)


def job_w(world: World, job_row: int, pool: str, containers: int, cap_w: int) -> int:
    """What a job draws on so many containers of a pool above those containers asleep; `cap_w`: under a power limit."""
    spec, site = world.pool(pool), world.sites[pool.partition("/")[0]]
    work_class = world.jobs.words[world.jobs.ints["work_class"][job_row]]
    return 0 if spec is None else above_w(site.spec, spec, work_class, containers, cap_w)


def drawn_w(world: World, site: str) -> int:
    """What the open leases of a site draw above its containers asleep, those that are being stopped too."""
    return sum(lease_w(world, lease) for lease in world.open_leases(site))


class Headroom:
    """What the ceilings of sites leave beside all that stands, slot by slot; looked at where it is asked for."""

    def __init__(self, world: World, at_ms: int, slots: int, without: Iterable[int]) -> None:
        """`without`: rows of jobs that are not counted."""
        self._world = world
        self._at_ms = at_ms
        self._slot_ms = world.network.policy.slot_ms
        self._start_ms = floor_to(at_ms, self._slot_ms)
        self._slots = slots
        self._without = frozenset(without)
        self._left: dict[str, IntArray] = {}

    def holds(self, job_row: int, segments: Iterable[Segment]) -> bool:
        """Whether no ceiling is broken when a job gets these segments."""
        for segment in segments:
            left = self._left_at(segment.pool.partition("/")[0])
            if left is None:
                continue
            first, last = slot_range(segment, self._start_ms, self._slot_ms, self._slots)
            if (left[first:last] < self._watts(job_row, segment)).any():
                return False
        return True

    def take(self, job_row: int, segments: Iterable[Segment]) -> None:
        """Count a job's segments."""
        for segment in segments:
            left = self._left_at(segment.pool.partition("/")[0])
            if left is not None:
                self._subtract(left, job_row, segment)

    def _watts(self, job_row: int, segment: Segment) -> int:
        return job_w(self._world, job_row, segment.pool, segment.containers, segment.power_cap_w)

    def _subtract(self, left: IntArray, job_row: int, segment: Segment) -> None:
        first, last = slot_range(segment, self._start_ms, self._slot_ms, self._slots)
        left[first:last] -= self._watts(job_row, segment)

    def _left_at(self, name: str) -> IntArray | None:
        """What is left at a site; None where nothing limits it."""
        site = self._world.sites[name]
        if not is_capped(site):
            return None
        if name not in self._left:
            limits = ceilings_w([site], self._start_ms, self._slot_ms, self._slots)[0].tolist()
            left = np.array([room_w(site.spec, limit) for limit in limits], np.int64)
            pools = {pool.pool for pool in site.spec.pools}
            for row, segment in self._standing(pools):
                self._subtract(left, row, segment)
            self._left[name] = left
        return self._left[name]

    def _standing(self, pools: Collection[str]) -> Iterator[tuple[int, Segment]]:
        """What jobs hold of some pools: as they were given while a plan may still move them, else to their end."""
        world, at_ms = self._world, self._at_ms
        rows = set[int]().union(*(world.bookers.get(pool, ()) for pool in pools))
        for pool in pools:
            if pool in world.open_rows:
                rows.update(world.open_rows[pool].columns()[1].tolist())
        for row, segments in _held(world, sorted(rows - self._without), at_ms):
            for segment in segments:
                if segment.pool in pools and segment.end_ms > at_ms:
                    yield row, segment


def _held(world: World, rows: list[int], at_ms: int) -> Iterator[tuple[int, tuple[Segment, ...]]]:
    jobs = world.jobs.objects
    leased = [row for row in rows if jobs["lease"][row]]
    lease_rows = world.leases.rows(jobs["lease"][row] for row in leased)
    state = progress(world, np.array(lease_rows, np.int64), np.array(leased, np.int64), at_ms)
    ends = dict(zip(leased, zip(lease_rows, state.moves.tolist(), state.end_ms.tolist(), strict=True), strict=True))
    for row in rows:
        given = tuple(segment for segment in jobs["segments"][row] if segment.end_ms > at_ms)
        if row not in ends:
            yield row, given
            continue
        lease_row, moves, end_ms = ends[row]
        pool, gpus = world.leases.objects["pool"][lease_row], int(world.leases.ints["gpus"][lease_row])
        cap_w = int(world.leases.ints["power_cap_w"][lease_row])
        own = Segment(pool=pool, start_ms=at_ms, end_ms=end_ms, containers=gpus, power_cap_w=cap_w)
        yield row, given if moves and given else (own,)
