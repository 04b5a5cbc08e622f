"""What the same work would have emitted had it run at once, by two rules that are fixed before any job runs.

Both rules, in version 1 or 2, as the record of the job's submission says:

* The job starts at the moment of submission and runs without a pause, piece after piece.
* Hardware is that of the work itself. In version 1 each piece takes the time its useful work takes on the hardware
  it really used, by the length told at submission. In version 2 it takes the time it really ran there: a job that was
  shorter than told, or of unknown length, is compared with what it was. Work that was lost and done again counts in
  the receipt, not here, so a failure of ours never makes us look better.
* A job that can use several numbers of GPUs runs on the least of them, by its own speed-up: what more of them cost
  counts in the receipt only.
* The hardware is always on and busy for `USE_FRAC` of its time, so a busy hour carries the idle power of the
  hours in between: `P_idle/u + P_max − P_idle` watts per container.
* Facility energy is IT energy times `OVERHEAD`.
* `run-now-origin` takes the intensity of the tenant's own zone; `run-now-mean-site` takes, hour by hour,
  the mean over all sites of the network weighted by their containers.

A change of any of these is a new version.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.metering.carbon import IntensityAt
from sunward.metering.split import by_hour
from sunward.model.receipt import Counterfactual
from sunward.units import PPM, emissions_mg, joules, round_half_up

RUN_NOW_ORIGIN = "run-now-origin"
RUN_NOW_MEAN_SITE = "run-now-mean-site"
VERSION = 2
"""That of jobs submitted from now on."""

USE_FRAC = 0.5
"""Share of its time that an always-on container is busy (DESIGN §4: a stated use)."""
OVERHEAD = 1.25
"""Facility energy over IT energy (DESIGN §4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Useful work done on one kind of hardware."""

    containers: int
    run_ms: int
    """Time the useful work takes on these containers, without pauses."""
    idle_w: float
    """IT watts of one awake, idle container."""
    busy_w: float
    """IT watts of one container busy with this class of work: P_max of the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """One site of the network, as a weight of the mean."""

    zone: str
    containers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNow:
    """All that the two rules look at."""

    submitted_ms: int
    origin_zone: str
    network: tuple[Capacity, ...]
    """Every site enrolled at the moment of submission."""
    pieces: tuple[Piece, ...]
    version: int = 1


def counterfactuals(run: RunNow, intensity: IntensityAt, location_mg: int) -> tuple[Counterfactual, ...]:
    """Both counterfactuals, against the location-based operational carbon of the receipt.

    Raises: InvariantError for a network without containers.
    """
    hours = _facility_j_by_hour(run)

    def at_origin(hour_ms: int) -> int:
        return intensity(run.origin_zone, hour_ms).mg_per_kwh

    def at_mean_site(hour_ms: int) -> int:
        return mean_mg_per_kwh(run.network, hour_ms, intensity)

    return (
        _counterfactual(f"{RUN_NOW_ORIGIN}/{run.version}", hours, at_origin, location_mg),
        _counterfactual(f"{RUN_NOW_MEAN_SITE}/{run.version}", hours, at_mean_site, location_mg),
    )


def mean_mg_per_kwh(network: Sequence[Capacity], hour_ms: int, intensity: IntensityAt) -> int:
    """Mean intensity of one hour over sites, weighted by containers, rounded half up."""
    containers = sum(site.containers for site in network)
    if containers <= 0:
        raise InvariantError("the mean site of a network without containers does not exist")
    weighted = sum(site.containers * intensity(site.zone, hour_ms).mg_per_kwh for site in network)
    return round_half_up(weighted, containers)


def always_on_w(idle_w: float, busy_w: float) -> float:
    """IT watts that one busy hour of an always-on container answers for: P_idle/u + P_max − P_idle."""
    return idle_w / USE_FRAC + busy_w - idle_w


def change_ppm(location_mg: int, counterfactual_mg: int) -> int:
    """(receipt − counterfactual) ÷ counterfactual, rounded half up; 0 where no ratio exists."""
    if counterfactual_mg == 0:
        return 0
    return round_half_up((location_mg - counterfactual_mg) * PPM, counterfactual_mg)


def _facility_j_by_hour(run: RunNow) -> dict[int, int]:
    """Facility joules by hour; each piece's joules in an hour are rounded half up once."""
    hours: dict[int, int] = {}
    at_ms = run.submitted_ms
    for piece in run.pieces:
        facility_w = OVERHEAD * piece.containers * always_on_w(piece.idle_w, piece.busy_w)
        for hour_ms, start_ms, end_ms in by_hour(at_ms, at_ms + piece.run_ms):
            amount_j = math.floor(joules(facility_w, end_ms - start_ms) + 0.5)
            hours[hour_ms] = hours.get(hour_ms, 0) + amount_j
        at_ms += piece.run_ms
    return hours


def _counterfactual(
    name: str, hours: dict[int, int], mg_per_kwh: Callable[[int], int], location_mg: int
) -> Counterfactual:
    carbon_mg = sum(emissions_mg(hours[hour_ms], mg_per_kwh(hour_ms)) for hour_ms in sorted(hours))
    return Counterfactual(
        name=name,
        facility_j=sum(hours.values()),
        carbon_mg=carbon_mg,
        change_ppm=change_ppm(location_mg, carbon_mg),
    )
