"""Waiting jobs that are planned many at a time: one row a job, sets of words as codes.

Axes: J jobs, in order of job id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

NOT_GIVEN = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crowd:
    """Jobs of known length that have not begun, on a fixed number of containers.

    Jobs that agree in all that a planner may tell apart are alike: a planner counts them together and looks for places
    for all of them at once.
    """

    ids: tuple[str, ...]
    revision: IntArray
    work_class: IntArray
    """(J,) position in `WORK_CLASSES`."""
    gpus: IntArray
    memory_gib: IntArray
    """(J,) least memory of each GPU."""
    models: IntArray
    """(J,) row of `model_sets`."""
    model_sets: tuple[tuple[str, ...], ...]
    """GPU models accepted; an empty set accepts any."""
    countries: IntArray
    """(J,) row of `country_sets`."""
    country_sets: tuple[tuple[str, ...], ...]
    """Countries allowed; an empty set allows any."""
    providers: IntArray
    """(J,) row of `provider_sets`."""
    provider_sets: tuple[tuple[str, ...], ...]
    """Sites that know the tenant."""
    tenant: IntArray
    """(J,) row of `tenants`."""
    tenants: tuple[str, ...]
    length_ms: IntArray
    """(J,) run time on the reference GPU."""
    opens_ms: IntArray
    """(J,) earliest start; not after now for a job that is there."""
    start_by_ms: IntArray
    """(J,) latest start; 0 = whenever the deadline allows."""
    deadline_ms: IntArray
    carbon_price_usd_per_t: IntArray
    budget_usd_micro: IntArray
    """(J,) most that the run may cost; 0 = no limit."""
    data_bytes: IntArray
    pausable: NDArray[np.bool_]
    """(J,) whether its work may be done in pieces."""
    pool: IntArray
    """(J,) row of `Snapshot.pools` it was given, or `NOT_GIVEN`."""
    start_ms: IntArray
    """(J,) start of what it was given."""
    end_ms: IntArray
    origins: tuple[str, ...] = ()
    origin: IntArray | None = None
    """(J,) row of `origins`, the zone where a job's data lies; None = not known of any."""
