"""What the API shows: open jobs from the state, closed ones from the store; functions that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sunward.adapters.queries import JobRow
from sunward.adapters.sql import Submission
from sunward.engine.accounts import job_account, missing_signals, receipt_of
from sunward.engine.epochs import ready, settlement_of
from sunward.engine.inputs import KINDS, Feeds
from sunward.errors import ConflictError, InputError, InvariantError, NotFoundError
from sunward.model.codec import decode
from sunward.model.datum import SeriesKind
from sunward.model.hardware import PowerState
from sunward.model.identity import ZoneId
from sunward.model.job import JobState
from sunward.model.plan import Assignment, Unplaced
from sunward.model.receipt import Receipt
from sunward.model.records import GridStretch, GridView, HistoryLine, PlanView, Quantiles, ReceiptView
from sunward.model.request import JobView, SiteView
from sunward.model.signal import Forecast, Observation
from sunward.ports import SignalSource
from sunward.service.control import ControlPlane
from sunward.settlement.entries import Origin
from sunward.signals import climatology
from sunward.signals.series import UNITS
from sunward.units import HOUR_MS
from sunward.world.signalbook import hours_of
from sunward.world.state import Site

STATES = frozenset(state.word for state in JobState)
FINAL_STATES = frozenset(state.word for state in JobState if state.final)
OFFERED = "offered"
"""The reason under which the history names a new attempt."""
NOT_ENDED, NOT_READY = "SW-155", "SW-156"


def job_row(control: ControlPlane, job: str, tenant: str | None) -> JobRow:
    """A job as it stands; another tenant's is not there.

    Raises: NotFoundError.
    """
    row = control.store.queries.job_row(job)
    if tenant is not None and row.tenant != tenant:
        raise NotFoundError(f"no job {job}")
    return row


def job_view(control: ControlPlane, row: JobRow, *, named: bool) -> JobView:
    """A job as the API shows it; its name is private to its tenant."""
    return job_views(control, [row], named=lambda _tenant: named)[0]


def job_views(control: ControlPlane, rows: Sequence[JobRow], named: Callable[[str], bool]) -> tuple[JobView, ...]:
    """Jobs as the API shows them, with the names of those tenants that may be told; so many reads for any number."""
    names = control.store.contents.names([row.job for row in rows if named(row.tenant)])
    closed = [row.first_sequence for row in rows if row.job not in control.state.world.jobs]
    submitted = control.store.submissions(closed) if closed else {}
    return tuple(_job_view(control, row, names.get(row.job, ""), submitted) for row in rows)


def _job_view(control: ControlPlane, row: JobRow, name: str, submitted: Mapping[str, Submission]) -> JobView:
    jobs = control.state.world.jobs
    at = jobs.row_of.get(row.job)
    if at is not None:
        spec, submitted_ms = jobs.spec(at), int(jobs.ints["submitted_ms"][at])
    elif row.job in submitted:
        spec, submitted_ms = submitted[row.job]
    else:
        raise InvariantError(f"journal record {row.first_sequence} does not hold job {row.job}")
    running = at is not None and bool(jobs.objects["lease"][at])
    return JobView(
        job=row.job,
        name=name,
        state=row.state,
        reason=row.reason,
        site=row.site or _planned_site(control, at),
        units=spec.units,
        units_done=int(jobs.ints["live_units" if running else "units_done"][at]) if at is not None else row.units,
        submitted_ms=submitted_ms,
        deadline_ms=spec.deadline_ms,
        updated_ms=row.updated_ms,
        assignment=assignment_of(control, row.job),
        refusal=_refusal(control, row, at),
        exit_code=row.exit_code,
    )


def job_name(control: ControlPlane, job: str) -> str:
    """What the tenant calls its job; empty once that is erased."""
    return control.store.contents.names([job]).get(job, "")


def _planned_site(control: ControlPlane, at: int | None) -> str:
    segments = control.state.world.jobs.objects["segments"][at] if at is not None else ()
    return str(segments[0].pool.partition("/")[0]) if segments else ""


def assignment_of(control: ControlPlane, job: str) -> Assignment | None:
    """The assignment in force, if the job is open and has one."""
    jobs = control.state.world.jobs
    at = jobs.row_of.get(job)
    if at is None or jobs.state(at).final or not (jobs.objects["segments"][at] or jobs.objects["lease"][at]):
        return None
    found: Assignment | None = jobs.objects["assignment"][at]
    return found


def _refusal(control: ControlPlane, row: JobRow, at: int | None) -> Unplaced | None:
    if at is not None:
        known: Unplaced | None = control.state.world.jobs.objects["refusal"][at]
        return known
    if row.state != JobState.REFUSED.word:
        return None
    return Unplaced(job=row.job, revision=0, reason=row.reason, detail=row.detail, permanent=True)  # type: ignore[arg-type]


def history(control: ControlPlane, job: str) -> tuple[HistoryLine, ...]:
    """Every change of a job, oldest first."""
    return tuple(
        HistoryLine(
            at_ms=row.at_ms,
            state=row.state,
            reason=row.reason,
            detail=row.detail,
            site=row.site,
            units=row.units,
            exit_code=row.exit_code,
        )
        for row in control.store.queries.history(job)
    )


def log_part(control: ControlPlane, row: JobRow, offset: int, limit: int) -> tuple[bytes, bool]:
    """Bytes of a job's log from an offset, and whether nothing can follow them.

    The log of a job is that of its attempts, one after the other; an ended attempt takes no more bytes.
    """
    attempts = sum(1 for one in control.store.queries.history(row.job) if one.reason == OFFERED)
    ingest = control.store.ingest
    parts: list[bytes] = []
    start = room = 0
    for attempt in range(1, attempts + 1):
        lease = f"{row.job}.{attempt}"
        length = ingest.log_end(lease)
        room = limit - sum(map(len, parts))
        if room > 0 and offset < start + length:
            parts.append(ingest.read_log(lease, max(0, offset - start), room))
        start += length
    text = b"".join(parts)
    return text, row.state in FINAL_STATES and offset + len(text) >= start


def receipt_view(control: ControlPlane, row: JobRow) -> ReceiptView:
    """The final receipt of a job, else what it would be if the epoch closed now.

    Raises: ConflictError while the job has not ended, or readings or signals are missing.
    """
    try:
        signed = control.store.queries.receipt(row.job)
    except NotFoundError:
        if row.state not in FINAL_STATES:
            raise ConflictError(f"job {row.job} is {row.state}; a receipt follows its end", code=NOT_ENDED) from None
        return ReceiptView(receipt=provisional(control, row.job)[0], signature="", final=False)
    return ReceiptView(
        receipt=decode(signed.body, Receipt),
        signature=signed.signature,
        final=True,
        adjustments=control.store.queries.adjustments(row.job),
    )


def provisional(control: ControlPlane, job: str) -> tuple[Receipt, int]:
    """The receipt of an ended job if the epoch closed now, and what it would pay in micro-USD.

    Raises: ConflictError while readings or signals are missing.
    """
    state = control.state
    account = job_account(state, job)
    missing = missing_signals(state.world, account)
    if missing:
        zone, hour_ms = missing[0]
        raise ConflictError(f"no carbon intensity of zone {zone} for the hour from {hour_ms} ms yet", code=NOT_READY)
    if not ready(state, job, account):
        raise ConflictError(f"readings of job {job} are not all sealed yet; try again soon", code=NOT_READY)
    origin = Origin(sequence=state.world.sequence, first=0, epoch=state.epoch, at_ms=state.world.at_ms)
    settlement = settlement_of(state, account, origin)
    return receipt_of(state, account, settlement), settlement.paid_usd_micro


def site_view(control: ControlPlane, site: Site) -> SiteView:
    """A site as its agent last described it."""
    spec = site.spec
    carbon = control.state.world.signals.at(spec.zone, SeriesKind.CARBON_AVERAGE_LIFECYCLE, control.clock.grid_ms())
    reports = [site.power[pool.pool] for pool in spec.pools if pool.pool in site.power]
    return SiteView(
        site=spec.site,
        zone=spec.zone,
        country=spec.country,
        gpu_model=", ".join(pool.gpu_model for pool in spec.pools),
        gpus=sum(pool.count for pool in spec.pools),
        awake=sum(one.idle + one.busy for one in reports),
        busy=sum(one.busy for one in reports),
        reachable=site.up,
        overhead_ppm=spec.overhead_ppm,
        overhead_quality=spec.overhead_quality.value,
        carbon_mg_per_kwh=None if carbon is None else carbon.value,
        carbon_quality="" if carbon is None else carbon.quality.value,
        ask_usd_micro_per_gpu_h=spec.ask_usd_micro_per_gpu_h,
        power_state=_most_awake(site),
    )


def _most_awake(site: Site) -> str:
    reports = site.power.values()
    for state in (PowerState.BUSY, PowerState.IDLE, PowerState.WAKING, PowerState.ASLEEP):
        if any(getattr(one, state.value) for one in reports):
            return state.value
    return PowerState.OFF.value


def grid_view(control: ControlPlane, zone: str, hours: int, past: int = 0) -> GridView:
    """The hours ahead in a zone, and `past` hours gone. Raises: InputError for an unknown zone, SourceError."""
    known = climatology.load().zone(zone)
    now_ms = control.clock.grid_ms()
    forecast = control.feeds.forecaster.forecast
    carbon = forecast(ZoneId(known.zone), SeriesKind.CARBON_AVERAGE_LIFECYCLE, now_ms, hours)
    price = forecast(ZoneId(known.zone), SeriesKind.PRICE, now_ms, hours)
    return GridView(
        zone=known.zone,
        name=known.name,
        start_ms=carbon.start_ms,
        carbon_mg_per_kwh=_quantiles(carbon),
        price_usd_micro_per_kwh=_quantiles(price),
        source=carbon.source,
        quality=carbon.quality.value,
        past=gone(control.feeds, known.zone, carbon.start_ms, past, now_ms),
        more=_more(control.feeds, known.zone, carbon.start_ms - past * HOUR_MS, carbon.start_ms + hours * HOUR_MS),
    )


def gone(feeds: Feeds, zone: ZoneId, end_ms: int, hours: int, at_ms: int) -> tuple[GridStretch, ...]:
    """Carbon intensity of the hours before a full hour: as told, else as it stands in; else left out."""
    start_ms, kind, live = end_ms - hours * HOUR_MS, SeriesKind.CARBON_AVERAGE_LIFECYCLE, feeds.live
    if not hours:
        return ()
    if live is None or not live.covers(zone, kind):
        found = _held(feeds.source, zone, start_ms, end_ms)
        return () if found is None else (_stretch(found),)
    told = live.told(zone, kind, start_ms, end_ms)
    silent = {*range(start_ms, end_ms, HOUR_MS)}.difference(*map(hours_of, told))
    stand_ins = (live.instead(zone, kind, hour_ms, at_ms) for hour_ms in sorted(silent))
    both = [*told, *(one for one in stand_ins if one is not None)]
    return tuple(map(_stretch, sorted(both, key=lambda one: one.start_ms)))


def _held(source: SignalSource, zone: ZoneId, start_ms: int, end_ms: int) -> Observation | None:
    """Carbon intensity as far back as the source holds it without a hole; None where it holds nothing."""
    kind = SeriesKind.CARBON_AVERAGE_LIFECYCLE
    for first_ms in range(start_ms, end_ms, HOUR_MS):
        try:
            series = source.observe(zone, kind, first_ms, end_ms)
        except InputError:
            # A user's own file may begin later than what is shown.
            continue
        return Observation(
            zone=zone,
            kind=kind,
            start_ms=first_ms,
            values=tuple(series.values.tolist()),
            source=series.source,
            quality=series.quality,
        )
    return None


def _more(feeds: Feeds, zone: ZoneId, start_ms: int, end_ms: int) -> tuple[GridStretch, ...]:
    """The series of a zone that only feeds have, observed and then forecast."""
    live = feeds.live
    if live is None:
        return ()
    kinds = [kind for kind in live.kinds(zone) if kind not in KINDS]
    told = ([*live.told(zone, kind, start_ms, end_ms)] for kind in kinds)
    expected = ([*live.expected(zone, kind, start_ms, end_ms)] for kind in kinds)
    return tuple(_stretch(one) for many, later in zip(told, expected, strict=True) for one in [*many, *later])


def _stretch(one: Observation) -> GridStretch:
    return GridStretch(
        kind=one.kind,
        unit=UNITS[one.kind],
        start_ms=one.start_ms,
        values=one.values,
        source=one.source,
        quality=one.quality,
    )


def _quantiles(forecast: Forecast) -> Quantiles:
    return Quantiles(p10=forecast.p10, p50=forecast.p50, p90=forecast.p90)


def plan_view(control: ControlPlane, tenant: str | None) -> PlanView:
    """Assignments in force and refusals that stand, of one tenant or of all."""
    world = control.state.world
    jobs = [job for job in world.jobs if tenant is None or world.jobs.tenant(world.jobs.row_of[job]) == tenant]
    assigned = [found for job in jobs if (found := assignment_of(control, job)) is not None]
    refused = [world.jobs.objects["refusal"][world.jobs.row_of[job]] for job in jobs]
    return PlanView(
        based_on=world.sequence,
        at_ms=control.clock.grid_ms(),
        assignments=tuple(assigned),
        unplaced=tuple(one for one in refused if one is not None),
        awake=tuple(target for pool in sorted(world.awake) for target in world.awake[pool]),
    )


def state_word(asked: str) -> str | None:
    """A state to filter by, or nothing. Raises: InputError for an unknown one."""
    if asked and asked not in STATES:
        raise InputError(f"unknown state {asked[:40]!r}; use one of {_listed(STATES)}", code="SW-157")
    return asked or None


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
