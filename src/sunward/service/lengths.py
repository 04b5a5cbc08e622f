"""Jobs whose length is not known: what is expected of them, what they may cost, and what can be promised."""

from __future__ import annotations

from dataclasses import replace

from sunward.engine.jobs import OPEN_MS_MAX
from sunward.errors import InputError
from sunward.model.identity import mint
from sunward.model.job import JobSpec, LengthKind
from sunward.model.request import JobRequest, LengthOutlook
from sunward.units import DAY_MS, PPM, SECOND_MS, hours
from sunward.world.outlook import Outlook, asked, quantile_ms
from sunward.world.snapshot import JobView
from sunward.world.state import World

BAD_LENGTH = "SW-179"
UPPER_PPM = 950_000
"""A job is priced up to what so many of its kind do not exceed; the escrow covers that."""
TIMEOUT_S = DAY_MS // SECOND_MS
"""A job of unknown length that names no limit is stopped after so much run time, or as much as its deadline leaves."""
PROMISES = (0.5, 0.99)
"""Least and most probability that may be asked: beyond it, what few jobs have shown says nothing."""


def check_lengths(request: JobRequest) -> None:
    """Refuse what is said of a length and does not go together.

    Raises: InputError.
    """
    if (request.length_kind is LengthKind.UNKNOWN) != (request.length_s == 0):
        line = (
            "a job has a length (length_s), or one that is unknown (length_kind unknown, length_s 0); give one of them"
        )
        raise InputError(line, code=BAD_LENGTH)
    if not PROMISES[0] <= request.promise <= PROMISES[1]:
        raise InputError(f"promise must lie between {PROMISES[0]} and {PROMISES[1]}", code=BAD_LENGTH)
    if request.length_kind is not LengthKind.KNOWN and request.gpus_max > request.gpus:
        line = "a job that can run on several numbers of GPUs needs a known length; give length_s, or one number"
        raise InputError(line, code=BAD_LENGTH)


def timeout_s(request: JobRequest) -> int:
    """The limit asked, or the one that a job of unknown length gets; 0 = none."""
    if request.timeout_s or request.length_kind is not LengthKind.UNKNOWN:
        return request.timeout_s
    return max(TIMEOUT_S, request.deadline_s)


def with_length(world: World, seed: bytes, request: JobRequest, spec: JobSpec) -> JobSpec:
    """A job with what is known of its length, and the promise that it asks.

    Raises: InputError when its own limit would stop it too soon for its promise.
    """
    family = mint("f", seed, spec.tenant, request.family) if request.family else ""
    spec = replace(spec, family=family, length_kind=request.length_kind)
    if request.length_kind is LengthKind.KNOWN:
        return spec
    spec = replace(spec, promise_ppm=round(request.promise * PPM))
    expected = asked(world, spec)
    sure_ms = expected.quantile_ms(0, expected.sure_ppm(spec.promise_ppm))
    if spec.timeout_ms and sure_ms > spec.timeout_ms:
        line = (
            "jobs like this take up to {needed:.1f} h in {promise:g} of 100 cases, and it is stopped after "
            "{limit:.1f} h; ask for a lower promise, or give a longer timeout"
        )
        figures = {"needed": hours(sure_ms), "promise": 100 * request.promise, "limit": hours(spec.timeout_ms)}
        raise InputError(line.format(**figures), code=BAD_LENGTH)
    if request.length_kind is LengthKind.UNKNOWN:
        spec = replace(spec, length_ms=_mean_ms(expected, spec))
    return spec


def view_of(world: World, spec: JobSpec) -> JobView:
    """A job that is asked about, as a planner sees it."""
    lengths = None if spec.length_kind is LengthKind.KNOWN else asked(world, spec).lengths(spec.promise_ppm)
    return JobView(
        spec=spec, revision=0, units_done=0, elapsed_ms=0, pool="", fixed=False, segments=(), lengths=lengths
    )


def outlook_told(world: World, spec: JobSpec, held_usd_micro: int) -> LengthOutlook | None:
    """What is expected of a job, and the price of it; None where its length is known.

    `held_usd_micro` is the price of what a plan holds for it: of the run time that its promise asks.
    """
    if spec.length_kind is LengthKind.KNOWN:
        return None
    expected = asked(world, spec)
    upper_ms = _upper_ms(expected, spec)
    return LengthOutlook(
        like_jobs=expected.jobs,
        expected_s=_mean_ms(expected, spec) // SECOND_MS,
        upper_s=upper_ms // SECOND_MS,
        upper_usd_micro=-(-held_usd_micro * upper_ms // _held_ms(expected, spec)),
        promise_ppm=spec.promise_ppm,
        finish_by_ms=spec.deadline_ms,
        timeout_s=spec.timeout_ms // SECOND_MS,
    )


def expected_usd_micro(world: World, spec: JobSpec, held_usd_micro: int) -> int:
    """The price to be expected, of the price of what a plan holds."""
    if spec.length_kind is LengthKind.KNOWN:
        return held_usd_micro
    expected = asked(world, spec)
    return -(-held_usd_micro * _mean_ms(expected, spec) // _held_ms(expected, spec))


def as_held(world: World, spec: JobSpec) -> JobSpec:
    """A job as if it took as long as a plan holds room for."""
    return spec if spec.length_kind is LengthKind.KNOWN else replace(spec, length_ms=_held_ms(asked(world, spec), spec))


def _held_ms(expected: Outlook, spec: JobSpec) -> int:
    lengths = expected.lengths(spec.promise_ppm)
    return quantile_ms(lengths, lengths.promise_ppm)


def _mean_ms(expected: Outlook, spec: JobSpec) -> int:
    return max(SECOND_MS, expected.mean_ms(spec.timeout_ms or OPEN_MS_MAX))


def _upper_ms(expected: Outlook, spec: JobSpec) -> int:
    upper_ms = expected.quantile_ms(0, UPPER_PPM)
    limited_ms = min(upper_ms, spec.timeout_ms) if spec.timeout_ms else upper_ms
    return max(limited_ms, _mean_ms(expected, spec))
