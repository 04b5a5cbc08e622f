"""What the shells put into the journal from outside, made in one way for live and simulated runs.

Whatever comes from the outside world or from floating-point search becomes a recorded event here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sunward.engine.jobs import SUBMITTED
from sunward.engine.state import State
from sunward.errors import InputError, SourceError
from sunward.metering.seal import Hashed, SiteFacts, seal
from sunward.model.codec import digest
from sunward.model.commands import RequestPlan
from sunward.model.datum import SeriesKind
from sunward.model.events import ForecastIssued, Payload, PlanProposed, ReadingsSealed, SignalObserved
from sunward.model.identity import ZoneId
from sunward.model.plan import Plan
from sunward.model.reading import ReadingBatch
from sunward.model.signal import Observation
from sunward.model.trust import Level
from sunward.placement.immediate import place
from sunward.placement.planner import plan
from sunward.ports import Forecaster, LiveSignals, SignalSource
from sunward.units import HOUR_MS, floor_to
from sunward.world.places import dirtiest
from sunward.world.signalbook import KEPT_MS, REVISABLE_MS, Datum, hours_of
from sunward.world.snapshot import Snapshot
from sunward.world.state import World
from sunward.world.tick import take_new, take_tick

T = TypeVar("T")

KINDS = (SeriesKind.CARBON_AVERAGE_LIFECYCLE, SeriesKind.PRICE)
FORECAST_HOURS = 168
"""One week, refreshed every hour: always beyond the planning horizon of 96 h."""


def zones_in_use(world: World, more: Iterable[str] = ()) -> tuple[ZoneId, ...]:
    """Zones that sites count in, and origins of open jobs; of a site that left while a job of its time is unpaid."""
    oldest_ms = int(world.jobs.ints["submitted_ms"][_rows(world)].min(initial=world.at_ms))
    sites = zones_needed(world, oldest_ms)
    origins = {world.jobs.words[code] for code in np.unique(world.jobs.ints["origin_zone"][_rows(world)])}
    return tuple(ZoneId(zone) for zone in sorted(sites | origins | set(more)))


def zones_needed(world: World, since_ms: int = 0) -> set[ZoneId]:
    """Whose series plans and accounts need for all sites that did not leave before, wherever each comes to count."""
    specs = [site.spec for site in world.sites.values() if not site.left_ms or since_ms <= site.left_ms]
    declared = {spec.zone for spec in specs}
    if world.places.rules.level is Level.DECLARED:
        return declared
    known = [world.places.placed.get(spec.site) for spec in specs]
    measured = {dirtiest(spec.zone, one.countries) for spec, one in zip(specs, known, strict=True) if one}
    return declared | measured | {dirtiest(zone, ()) for zone in declared}


def _rows(world: World) -> NDArray[np.int64]:
    return np.fromiter(world.jobs.row_of.values(), np.int64)


@dataclass(frozen=True, slots=True)
class Feeds:
    """Where signals come from."""

    source: SignalSource
    forecaster: Forecaster
    live: LiveSignals | None = None
    """What is told here goes before the source."""


def signal_events(
    world: World, feeds: Feeds, at_ms: int, more: Iterable[str] = (), failures: list[str] | None = None
) -> list[Payload]:
    """Observations up to the present hour and fresh forecasts, for every zone that lacks either.

    Hours that passed unseen since the oldest open job came in are asked for again: receipts wait for them.

    A series that cannot be had is named in `failures`, and the others are taken all the same.
    Raises: SourceError or InputError of the first such series, when no list of failures is given.
    """
    hour_ms = floor_to(at_ms, HOUR_MS)
    series = [(zone, kind) for zone in zones_in_use(world, more) for kind in KINDS]
    oldest_ms = floor_to(int(world.jobs.ints["submitted_ms"][_rows(world)].min(initial=at_ms)), HOUR_MS)
    hours = range(max(oldest_ms, hour_ms - KEPT_MS), hour_ms + HOUR_MS, HOUR_MS)
    live = feeds.live
    fed = [one for one in series if live is not None and live.covers(*one)]
    unseen = [
        (zone, kind, first_ms)
        for zone, kind in series
        if (zone, kind) not in fed and (first_ms := _first_unseen(world, zone, kind, hours)) is not None
    ]
    stale = [one for one in series if _is_stale(world, live if one in fed else None, *one, hour_ms)]
    observed = _had((partial(_observation, feeds.source, *one, hours.stop) for one in unseen), failures)
    if live is not None:
        observed += tuple(
            told
            for many in _had((partial(_fed, world, live, *one, hours, at_ms) for one in fed), failures)
            for told in many
        )
    issued = _had((partial(feeds.forecaster.forecast, *one, at_ms, FORECAST_HOURS) for one in stale), failures)
    events: list[Payload] = []
    if observed:
        events.append(SignalObserved(observations=observed))
    if issued:
        events.append(ForecastIssued(forecasts=issued, digest=digest(issued)))
    return events


def _had(calls: Iterable[Callable[[], T]], failures: list[str] | None) -> tuple[T, ...]:
    """The answers; a call that fails is named in `failures`, or, without such a list, fails here."""
    answers: list[T] = []
    for call in calls:
        try:
            answers.append(call())
        except (SourceError, InputError) as reason:
            # An InputError is a source's too: a file of the operator's own that ends or lacks a zone.
            if failures is None:
                raise
            failures.append(reason.message)
    return tuple(answers)


def _first_unseen(world: World, zone: ZoneId, kind: SeriesKind, hours: range) -> int | None:
    seen = world.signals.observed.get((zone, kind.value), {})
    return next((hour_ms for hour_ms in hours if hour_ms not in seen), None)


def _is_stale(world: World, live: LiveSignals | None, zone: ZoneId, kind: SeriesKind, hour_ms: int) -> bool:
    """Whether the standing forecast is of an hour gone by, or a feed has issued a newer one."""
    standing = world.signals.forecasts.get((zone, kind.value))
    if standing is None or standing.start_ms < hour_ms:
        return True
    return live is not None and live.issued_ms(zone, kind) > standing.issued_ms


def _fed(
    world: World, live: LiveSignals, zone: ZoneId, kind: SeriesKind, hours: range, at_ms: int
) -> list[Observation]:
    """What a feed newly told of hours needed or known, revisions among it, and what stands in where it is silent.

    A value once told is replaced only by another that was told, never by one that stands in.
    """
    known = world.signals.observed.get((zone, kind.value), {})
    first_ms = min([hours.start, *(hour_ms for hour_ms in known if hour_ms >= at_ms - REVISABLE_MS)])
    fresh: list[Observation] = []
    silent = {hour_ms for hour_ms in hours if hour_ms not in known}
    for told in live.told(zone, kind, first_ms, hours.stop):
        of_hour = hours_of(told)
        silent.difference_update(of_hour)
        news = [
            (hour_ms, value)
            for hour_ms, value in zip(of_hour, told.values, strict=True)
            if (hour_ms in known or hour_ms in hours) and known.get(hour_ms) != Datum(value, told.source, told.quality)
        ]
        fresh += _consecutive(told, news)
    stand_ins = (live.instead(zone, kind, hour_ms, at_ms) for hour_ms in sorted(silent))
    return [*fresh, *(one for one in stand_ins if one is not None)]


def _consecutive(told: Observation, news: Sequence[tuple[int, int]]) -> list[Observation]:
    """Parts of an observation, each of hours that follow one another."""
    parts: list[Observation] = []
    for hour_ms, value in news:
        if parts and hours_of(parts[-1]).stop == hour_ms:
            parts[-1] = replace(parts[-1], values=(*parts[-1].values, value))
        else:
            parts.append(replace(told, start_ms=hour_ms, values=(value,)))
    return parts


def _observation(source: SignalSource, zone: ZoneId, kind: SeriesKind, start_ms: int, end_ms: int) -> Observation:
    series = source.observe(zone, kind, start_ms, end_ms)
    return Observation(
        zone=zone,
        kind=kind,
        start_ms=start_ms,
        values=tuple(series.window(start_ms, end_ms).values.tolist()),
        source=series.source,
        quality=series.quality,
    )


def is_for_all(request: RequestPlan) -> bool:
    """Whether a request concerns more than new jobs, for which an immediate plan is enough."""
    return request.reason != SUBMITTED


def plan_event(snapshot: Snapshot) -> PlanProposed:
    """Solve on a snapshot (`take_tick`); runs outside `advance`, and may run in another thread."""
    return PlanProposed(plan=plan(snapshot))


def place_event(snapshot: Snapshot) -> PlanProposed:
    """Place the new jobs of a snapshot (`take_new`), likewise."""
    return PlanProposed(plan=place(snapshot))


def solve_again(world: World, recorded: Plan) -> PlanProposed:
    """What the planner of a recorded plan makes of the world it was based on."""
    if recorded.adds:
        return place_event(take_new(world, recorded.at_ms))
    return plan_event(take_tick(world, recorded.at_ms))


def seal_event(
    state: State, shard: str, accepted: Sequence[Hashed], previous: Mapping[str, ReadingBatch]
) -> ReadingsSealed:
    """Seal accepted batches with what their sites declared; `previous` is the last batch sealed before, by site."""
    facts = {name: SiteFacts(overhead_ppm=site.spec.overhead_ppm) for name, site in state.world.sites.items()}
    return seal(shard, accepted, facts, previous)


def sealed_ranges(payload: ReadingsSealed) -> list[tuple[str, int, int]]:
    """The stored batches a seal takes in."""
    return [(site.site, site.first_counter, site.last_counter) for site in payload.sites]
