"""What a crowd was given before, and whether it still holds."""

from __future__ import annotations

import numpy as np

from sunward.placement.crowd.eligible import Named, fits
from sunward.placement.crowd.place import Placed, nothing_placed
from sunward.placement.crowd.room import Room, Stretches, slots_of
from sunward.placement.crowd.tables import Tables
from sunward.world.crowd import Crowd
from sunward.world.snapshot import BoolArray, IntArray, Snapshot


def kept(tables: Tables, room: Room, snapshot: Snapshot, crowd: Crowd, named: Named) -> Placed:
    """The present places that may stay where they are."""
    placed = nothing_placed(len(crowd.ids))
    fleet = tables.fleet
    given = np.flatnonzero(crowd.pool >= 0)
    if not len(given):
        return placed
    pool = _rows(tables, snapshot)[crowd.pool[given]]
    holds = _holds(tables, named, crowd, given, pool)
    given, pool = given[holds], pool[holds]
    placed.pool[given] = pool
    placed.start_ms[given], placed.end_ms[given] = crowd.start_ms[given], crowd.end_ms[given]
    # Containers for a start that is near are being woken for it already.
    placed.at_once[given] = crowd.start_ms[given] < fleet.now_ms + fleet.pools.wake_ms[pool]
    _make_room(tables, room, crowd, placed)
    return placed


def _rows(tables: Tables, snapshot: Snapshot) -> IntArray:
    """Rows of the fleet by rows of the snapshot."""
    row = tables.fleet.row
    return np.array([row[pool] for pool in snapshot.pools.ids], dtype=np.int64)


def _holds(tables: Tables, named: Named, crowd: Crowd, jobs: IntArray, pool: IntArray) -> BoolArray:
    """Whether places still keep every promise, room apart."""
    fleet = tables.fleet
    start, end = crowd.start_ms[jobs], crowd.end_ms[jobs]
    run = tables.run_ms(pool, crowd.work_class[jobs], crowd.length_ms[jobs])
    start_by = crowd.start_by_ms[jobs]
    holds: BoolArray = (start >= fleet.now_ms) & (start >= crowd.opens_ms[jobs]) & (end - start >= run)
    holds &= (end <= np.minimum(crowd.deadline_ms[jobs], fleet.end_ms)) & ((start_by == 0) | (start <= start_by))
    return holds & fits(fleet, named, crowd, jobs, pool, run)


def _make_room(tables: Tables, room: Room, crowd: Crowd, placed: Placed) -> None:
    """Give up places where a pool or a site no longer has what was promised; those that begin first stay."""
    placed.lay_out(crowd, room)
    jobs = np.flatnonzero(placed.pool >= 0)
    held = placed.held(crowd, jobs)
    crowded = _short(tables, room, held)
    if not crowded.any():
        return
    some = jobs[crowded]
    places = placed.held(crowd, some)
    placed.pool[some] = -1
    placed.lay_out(crowd, room)
    first, last = slots_of(tables.fleet, places.start_ms, places.end_ms)
    watts = np.where(room.bound[places.pool], room.need_w(places.pool, places.work_class, places.gpus), 0)
    for at in np.lexsort((some, first)).tolist():
        pool, slots, gpus = int(places.pool[at]), slice(int(first[at]), int(last[at])), int(places.gpus[at])
        headroom = room.headroom_w[int(tables.fleet.pools.site[pool]), slots]
        if (room.free[pool, slots] >= gpus).all() and (not watts[at] or (headroom >= watts[at]).all()):
            room.free[pool, slots] -= gpus
            headroom -= watts[at]
            placed.pool[some[at]] = pool
    placed.lay_out(crowd, room)


def _short(tables: Tables, room: Room, held: Stretches) -> BoolArray:
    """(N,) whether stretches touch a slot that holds more than it has."""
    first, last = slots_of(tables.fleet, held.start_ms, held.end_ms)
    short = (room.free < 0) | (room.bound[:, None] & (room.headroom_w[tables.fleet.pools.site] < 0))
    before = np.zeros((short.shape[0], short.shape[1] + 1), dtype=np.int32)
    np.cumsum(short, axis=1, out=before[:, 1:])
    return before[held.pool, last] > before[held.pool, first]
