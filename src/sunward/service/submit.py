"""From a request to a recorded job: validate, price, set escrow aside, keep the private part, commit."""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass, replace

import numpy as np

from sunward.adapters.access_sql import Asked
from sunward.adapters.contents_sql import StoredContent
from sunward.adapters.private_sql import Private
from sunward.engine.advance import check
from sunward.engine.jobs import OPEN_MS_MAX, check_spec
from sunward.engine.rate import require_fresh
from sunward.errors import InputError, NotFoundError, SourceError
from sunward.metering.counterfactual import VERSION
from sunward.model.codec import digest, encode
from sunward.model.datum import SeriesKind
from sunward.model.events import Event, JobsSubmitted
from sunward.model.identity import JobId, TenantId, ZoneId, mint
from sunward.model.job import JobSpec
from sunward.model.plan import Assignment, Segment, Unplaced
from sunward.model.request import POLICIES, SLOWDOWN_MAX, JobRequest, LengthOutlook, Quote, Submitted, WaitingOption
from sunward.model.trust import Dimension
from sunward.model.wire import JobContent
from sunward.placement.filter import believed
from sunward.service import budgets
from sunward.service.contents import content_of, private_of
from sunward.service.control import ControlPlane
from sunward.service.lengths import (
    as_held,
    check_lengths,
    expected_usd_micro,
    outlook_told,
    timeout_s,
    view_of,
    with_length,
)
from sunward.settlement.quote import escrow_for, quote_usd_micro
from sunward.signals import latency, zones
from sunward.units import HOUR_S, MICRO, PPM, SECOND_MS
from sunward.world import catalogue
from sunward.world.snapshot import WORK_CLASSES, Snapshot

MARGIN_BPS = 2_500
"""Escrow on top of the quoted price: jobs run longer than estimated, and unspent escrow returns."""
NAME_CHARS = 200
SALT_BYTES = 32
LIMITS = {
    "gpus": (1, 100_000),
    "gpus_max": (0, 100_000),
    "gpu_memory_gib": (0, 100_000),
    "length_s": (0, OPEN_MS_MAX // SECOND_MS),
    "units": (1, 10**12),
    "deadline_s": (0, OPEN_MS_MAX // SECOND_MS),
    "start_by_s": (0, OPEN_MS_MAX // SECOND_MS),
    "timeout_s": (0, OPEN_MS_MAX // SECOND_MS),
    "wait_max_s": (0, OPEN_MS_MAX // SECOND_MS),
    "min_run_s": (0, OPEN_MS_MAX // SECOND_MS),
    "stop_s": (0, OPEN_MS_MAX // SECOND_MS),
    "latency_max_ms": (0, 10_000),
    "retries": (0, 1_000),
    "data_bytes": (0, 2**60),
}
"""Least and most of each figure; beyond them lie typing errors and what 64 bits cannot hold."""
DEADLINE_LENGTHS = 2
DEADLINE_MARGIN_S = HOUR_S
"""A job that names only its start-by is to end so many times its length, and so long, after it."""
BUDGET_USD_MAX = 10**9
CARBON_USD_MAX = 10**6
LATER_PERCENT = (150, 200, 400)
"""A quote shows what the deadline would bring if it were so much of what is asked."""
PERCENT = 100
NOTICE = (
    "the provider can read this job's code and data; "
    "the figures are what is expected, and what is metered is paid, at most the escrow"
)
BAD_FIGURE, BAD_TEXT, BAD_POLICY, BAD_BUNDLE, NO_PRICE = "SW-150", "SW-151", "SW-152", "SW-153", "SW-154"
NO_PROMISE = "SW-170"


def job_spec(control: ControlPlane, tenant: TenantId, job: JobId, request: JobRequest) -> JobSpec:
    """The public part of a job, checked; commitment and escrow are still to be set.

    Raises: InputError naming the field and the remedy.
    """
    _check_figures(request)
    check_lengths(request)
    _check_texts(request)
    now_ms = control.clock.grid_ms()
    known = catalogue.load()
    spec = JobSpec(
        job=job,
        tenant=tenant,
        commitment="",
        bundle=_bundle(control, tenant, request.bundle),
        origin_zone=ZoneId(zones.load().zone(request.origin_zone).zone),
        work_class=request.work_class,
        gpus=request.gpus,
        gpu_memory_gib=request.gpu_memory_gib,
        gpu_models=tuple(sorted({known.gpu(model).model for model in request.gpu_models})),
        length_ms=max(1, request.length_s) * SECOND_MS,
        units=request.units,
        interruptible=request.interruptible,
        deadline_ms=now_ms + deadline_s(request) * SECOND_MS,
        allowed_countries=_countries(request.countries),
        budget_usd_micro=math.floor(request.budget_usd * MICRO),
        carbon_price_usd_per_t=carbon_price(request.policy),
        known_providers=known_providers(control, tenant),
        retries=request.retries,
        functional_unit=request.functional_unit,
        data_bytes=request.data_bytes,
        escrow_wei=1,
        start_by_ms=now_ms + request.start_by_s * SECOND_MS if request.start_by_s else 0,
        timeout_ms=timeout_s(request) * SECOND_MS,
        wait_max_ms=request.wait_max_s * SECOND_MS,
        min_run_ms=request.min_run_s * SECOND_MS,
        stop_ms=request.stop_s * SECOND_MS,
        gpus_max=request.gpus_max,
        speedup_ppm=tuple(round(rate * PPM) for rate in request.speedup),
        max_slowdown_ppm=_slowdown_ppm(request.max_slowdown),
        latency_max_ms=request.latency_max_ms,
        evidence=tuple(f"{one}={request.evidence[one]}" for one in Dimension if one in request.evidence),
        counterfactual=VERSION,
    )
    spec = with_length(control.state.world, control.seed, request, spec)
    check_spec(spec, now_ms)
    return spec


def _slowdown_ppm(share: float) -> int:
    """As a job's record has it: 0 = no bound, negative = no power limit."""
    if share >= SLOWDOWN_MAX:
        return 0
    return round(share * PPM) or -1


def deadline_s(request: JobRequest) -> int:
    """The deadline asked, or one that leaves a job that names how long it may wait room for slow GPUs and restarts.

    Raises: InputError when neither was asked.
    """
    if request.deadline_s:
        return request.deadline_s
    waits_s = max(request.start_by_s, request.wait_max_s)
    if not waits_s:
        line = "name a deadline (deadline_s), a start-by (start_by_s) or the longest wait (wait_max_s)"
        raise InputError(line, code=NO_PROMISE)
    after_s = DEADLINE_LENGTHS * (request.length_s or timeout_s(request)) + DEADLINE_MARGIN_S
    return min(waits_s + after_s, LIMITS["deadline_s"][1])


def carbon_price(policy: str) -> int:
    """USD/t of a named policy or a whole number. Raises: InputError."""
    if policy in POLICIES:
        return POLICIES[policy]
    if policy.isascii() and policy.isdigit() and int(policy) <= CARBON_USD_MAX:
        return int(policy)
    names = ", ".join(POLICIES)
    raise InputError(f"unknown policy {policy[:40]!r}; use {names} or whole USD per tonne", code=BAD_POLICY)


def known_providers(control: ControlPlane, tenant: str) -> tuple[str, ...]:
    """Sites of the tenant itself, and, for a tenant registered here, those that take known tenants."""
    registered = control.store.contents.is_tenant(tenant)
    sites = control.state.world.sites.values()
    return tuple(
        sorted(
            site.spec.site
            for site in sites
            if site.spec.owner == tenant or (registered and site.spec.admission == "known")
        )
    )


def _check_figures(request: JobRequest) -> None:
    for name, (least, most) in LIMITS.items():
        if not least <= getattr(request, name) <= most:
            raise InputError(f"{name} must lie between {least} and {most}", code=BAD_FIGURE)
    if not 0 <= request.budget_usd <= BUDGET_USD_MAX:
        raise InputError(f"budget_usd must lie between 0 and {BUDGET_USD_MAX}", code=BAD_FIGURE)
    if 0 < request.budget_usd * MICRO < 1:
        # Rounded down it would be 0, which means that there is no limit.
        raise InputError("budget_usd must be 0, for none, or at least 0.000001", code=BAD_FIGURE)
    if not 0 <= request.max_slowdown <= SLOWDOWN_MAX:
        raise InputError(f"max_slowdown must lie between 0 and {SLOWDOWN_MAX:g}", code=BAD_FIGURE)
    if not all(0 < rate <= LIMITS["gpus"][1] for rate in request.speedup):
        raise InputError(f"speedup must hold rates above 0 and at most {LIMITS['gpus'][1]}", code=BAD_FIGURE)


def _check_texts(request: JobRequest) -> None:
    texts = (("name", request.name), ("functional_unit", request.functional_unit), ("family", request.family))
    for field, text in texts:
        if len(text) > NAME_CHARS or (text and not text.isprintable()):
            raise InputError(f"{field} must have at most {NAME_CHARS} printable characters", code=BAD_TEXT)


def _countries(asked: tuple[str, ...]) -> tuple[str, ...]:
    known = {zone.country for zone in zones.load().zones}
    wanted = sorted({country.strip().upper() for country in asked})
    for country in wanted:
        if country not in known:
            hint = zones.near_miss(country, known)
            raise InputError(f"no grid zone known in country {country[:40]!r}{hint}", code=BAD_TEXT)
    return tuple(wanted)


def _bundle(control: ControlPlane, tenant: str, asked: str) -> str:
    """A bundle that this tenant has put here; else one could run, and read, what belongs to another."""
    if asked and control.store.contents.held(tenant, asked) is None:
        raise InputError(f"no bundle {asked[:64]!r} of yours is stored; PUT it to /v1/objects first", code=BAD_BUNDLE)
    return asked


async def escrow_of(control: ControlPlane, spec: JobSpec) -> int:
    """The escrow of one more job, in wei, by what it would get now.

    Raises: InputError when there is nothing to price it by.
    """
    snapshot, found = await control.desk.place(view_of(control.state.world, spec))
    return _cost(control, snapshot, spec, found).escrow_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a job is quoted."""

    price_usd_micro: int
    escrow_wei: int
    outlook: LengthOutlook | None = None


def _cost(control: ControlPlane, snapshot: Snapshot, spec: JobSpec, found: tuple[Segment, ...] | Unplaced) -> Cost:
    """Price and escrow; of a job whose length is not known the price to be expected, and escrow for a long one."""
    world = control.state.world
    require_fresh(control.state, control.clock.grid_ms())
    rate = world.wei_per_usd_micro
    if isinstance(found, Unplaced) and found.permanent:
        # It is accepted so that its refusal is on record; the smallest amount shows that it was meant.
        return Cost(price_usd_micro=0, escrow_wei=rate)
    held = worst_price(snapshot, as_held(world, spec)) if isinstance(found, Unplaced) else price_of(control, found)
    price, told = expected_usd_micro(world, spec, held), outlook_told(world, spec, held)
    if spec.budget_usd_micro:
        return Cost(price_usd_micro=price, escrow_wei=spec.budget_usd_micro * rate, outlook=told)
    if held == 0:
        raise InputError(
            "no site has joined yet, so nothing can be priced; let one join (`sunward join --help`), or name a budget",
            code=NO_PRICE,
        )
    escrow_wei = escrow_for(told.upper_usd_micro, rate, 0) if told else escrow_for(price, rate, MARGIN_BPS)
    return Cost(price_usd_micro=price, escrow_wei=escrow_wei, outlook=told)


def price_of(control: ControlPlane, segments: tuple[Segment, ...]) -> int:
    """Price of the container time that segments hold, micro-USD, rounded up."""
    sites = control.state.world.sites
    return sum(
        quote_usd_micro(
            segment.containers,
            segment.end_ms - segment.start_ms,
            sites[segment.pool.partition("/")[0]].spec.ask_usd_micro_per_gpu_h,
        )
        for segment in segments
    )


def worst_price(snapshot: Snapshot, spec: JobSpec) -> int:
    """Price on the dearest pool that could run a job some day, micro-USD; 0 when there is none."""
    pools = snapshot.pools
    near = latency.within(spec.origin_zone, snapshot.zones, spec.latency_max_ms)
    shown = believed(pools, spec)
    rates = pools.rate[:, WORK_CLASSES.index(spec.work_class)] if pools.ids else np.zeros(0)
    prices = [
        quote_usd_micro(
            count,
            math.ceil(spec.length_ms / (rates[row] * (spec.speed_ppm(count) / PPM))),
            round(pools.ask_usd_per_h[row] * MICRO),
        )
        for row in range(len(pools.ids))
        for count in spec.counts
        if rates[row] > 0
        and pools.count[row] >= count
        and pools.memory_gib[row] >= spec.gpu_memory_gib
        and (not spec.gpu_models or pools.gpu_model[row] in spec.gpu_models)
        and (not spec.allowed_countries or pools.country[row] in spec.allowed_countries)
        and near[pools.zone[row]]
        and shown[row]
    ]
    return max(prices, default=0)


async def quoted(control: ControlPlane, tenant: TenantId, request: JobRequest) -> Quote:
    """What a job would cost and cause if submitted now, and with later deadlines; nothing is recorded of it."""
    spec = job_spec(control, tenant, JobId("quote"), request)
    content_of(control, tenant, request)
    later, view = _later(spec, control.clock.grid_ms()), view_of(control.state.world, spec)
    asked = [view, *(replace(view, spec=one) for one in later.values())]
    snapshot, (found, *waiting) = await control.desk.offers(asked)
    placed = found if isinstance(found, Assignment) else None
    cost = _cost(control, snapshot, spec, found.segments if isinstance(found, Assignment) else found)
    return Quote(
        assignment=placed,
        unplaced=found if isinstance(found, Unplaced) else None,
        price_usd_micro=cost.price_usd_micro,
        escrow_wei=cost.escrow_wei,
        outlook=cost.outlook,
        start_ms=placed.segments[0].start_ms if placed else 0,
        finish_ms=placed.segments[-1].end_ms if placed else 0,
        notice=NOTICE,
        over_budget=budgets.refusal(control, tenant, cost.escrow_wei),
        waiting=tuple(
            _waiting_option(control, spec, seconds, option)
            for seconds, option in zip(later, waiting, strict=True)
            if isinstance(option, Assignment)
        ),
    )


def _later(spec: JobSpec, now_ms: int) -> dict[int, JobSpec]:
    """The job with longer deadlines, by their seconds from now, as far as a job may stay open."""
    asked_ms = spec.deadline_ms - now_ms
    longer = (asked_ms * percent // PERCENT // SECOND_MS for percent in LATER_PERCENT)
    return {
        seconds: replace(spec, deadline_ms=now_ms + seconds * SECOND_MS)
        for seconds in longer
        if seconds <= LIMITS["deadline_s"][1]
    }


def _waiting_option(control: ControlPlane, spec: JobSpec, seconds: int, option: Assignment) -> WaitingOption:
    return WaitingOption(
        finish_by_s=seconds,
        price_usd_micro=expected_usd_micro(control.state.world, spec, price_of(control, option.segments)),
        carbon_mg=option.carbon_mg,
        start_ms=option.segments[0].start_ms,
    )


async def submitted(control: ControlPlane, tenant: TenantId, request: JobRequest, asked: Asked | None) -> Submitted:
    """Record a job. The same key, request and tenant give the same job, however often and whenever they come.

    Raises: InputError, ConflictError; SourceError when no signal of the origin can be had.
    """
    job = JobId(mint("j", control.seed, tenant, asked.key if asked else secrets.token_hex(SALT_BYTES), digest(request)))
    if _recorded(control, job):
        return acknowledged(control, job)
    spec = job_spec(control, tenant, job, request)
    content = content_of(control, tenant, request)
    _require_origin(control, spec)
    escrow_wei = await escrow_of(control, spec)
    if job in control.state.world.jobs:
        # The same request came a second time while this one was being priced.
        return acknowledged(control, job)
    salt = secrets.token_bytes(SALT_BYTES)
    stored = StoredContent(tenant=tenant, salt=salt, content=content, commitment=commitment(salt, content), asked=asked)
    payload = JobsSubmitted(jobs=(replace(spec, commitment=stored.commitment, escrow_wei=escrow_wei),))
    # Checked before the private part is stored, so that a refusal leaves nothing behind.
    check(control.state, Event(control.state.world.at_ms, payload))
    with budgets.reserved(control, tenant, job, escrow_wei):
        await _commit(control, stored, private_of(control, tenant, job, request), payload)
    budgets.alert(control, tenant)
    return acknowledged(control, job)


async def _commit(
    control: ControlPlane, stored: StoredContent, private: Private | None, payload: JobsSubmitted
) -> None:
    """Keep the private parts of a job and record it; all of it or nothing."""
    job = payload.jobs[0].job
    if private is not None:
        control.store.privates.put(private)
        control.private_jobs.add(job)
    try:
        await control.gathering.record(payload, job, stored)
    except InputError:
        if not _recorded(control, job):
            # What came in the same moment left it no money.
            control.private_jobs.discard(job)
            control.store.privates.end(job, None)
            raise


def acknowledged(control: ControlPlane, job: JobId) -> Submitted:
    """A job as it stands, with the signed head of the journal that holds it."""
    jobs = control.state.world.jobs
    at = jobs.row_of.get(job)
    state = control.store.queries.job_row(job).state if at is None else jobs.state(at).word
    return Submitted(job=job, state=state, journal=control.signed_head())


def _require_origin(control: ControlPlane, spec: JobSpec) -> None:
    """The first counterfactual needs the origin's hours from now on."""
    control.ensure_signals([spec.origin_zone])
    kind = SeriesKind.CARBON_AVERAGE_LIFECYCLE
    if control.state.world.signals.at(spec.origin_zone, kind, control.clock.grid_ms()) is None:
        raise SourceError(f"no carbon signal of zone {spec.origin_zone} can be had now; try again later", code="SW-213")


def _recorded(control: ControlPlane, job: JobId) -> bool:
    if job in control.state.world.jobs:
        return True
    try:
        control.store.queries.job_row(job)
    except NotFoundError:
        return False
    return True


def commitment(salt: bytes, content: JobContent) -> str:
    """What binds the journal to private content without telling it."""
    return hashlib.sha256(salt + encode(content)).hexdigest()
