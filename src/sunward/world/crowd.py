"""Waiting jobs that are planned many at a time: one row a job or a cohort of them, sets of words as codes.

Axes: J rows, in order of job id.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

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
    cohort: IntArray | None = None
    """(J,) like jobs that a row counts together; None = one each. All else in a row is what each of them asks and was
    given; id and revision are the cohort's."""

    @property
    def counts(self) -> IntArray:
        """(J,) jobs of each row."""
        return np.ones(len(self.ids), dtype=np.int64) if self.cohort is None else self.cohort

    def of(self, rows: IntArray) -> Crowd:
        """Some rows, in the order given; a row may come several times."""
        columns: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(Crowd)}
        some = {name: values[rows] for name, values in columns.items() if isinstance(values, np.ndarray)}
        return Crowd(**{**columns, **some, "ids": tuple([self.ids[row] for row in rows.tolist()])})
