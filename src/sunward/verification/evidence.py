"""A bundle opened: its journal records checked, and the facts they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sunward.errors import InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import (
    ForecastIssued,
    JobsSubmitted,
    NetworkStarted,
    Payload,
    RateObserved,
    ReadingsSealed,
    SignalObserved,
    SiteEnrolled,
    read_event,
)
from sunward.model.job import JobSpec
from sunward.model.signal import Forecast, Observation
from sunward.model.site import SiteSpec
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.bundle import Bundle, hours_of
from sunward.verification.certificates import Shelf
from sunward.verification.counted import Places
from sunward.verification.journal import check_record, head_signed
from sunward.verification.signature import signed_by
from sunward.verification.verdict import Finding, mismatch


@dataclass(slots=True)
class Evidence:
    """What the recorded events say; of several of one kind the last counts."""

    rules: NetworkStarted | None = None
    spec: JobSpec | None = None
    submitted_ms: int = 0
    wei_per_usd_micro: int = 0
    sites: dict[str, list[tuple[int, SiteSpec]]] = field(default_factory=dict)
    """Declarations of each site with their sequences, in order."""
    seals: dict[int, ReadingsSealed] = field(default_factory=dict)
    observed: dict[tuple[str, int], tuple[int, str, Quality]] = field(default_factory=dict)
    """(zone, hour) → value, source, quality."""
    forecast: dict[tuple[str, int], tuple[int, str, Quality]] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)
    """Certificates."""
    places: Places = field(default_factory=Places)

    def declared(self, site: str, before: int | None = None) -> SiteSpec | None:
        """The last declaration of a site, or the last one recorded before a sequence."""
        known = [spec for sequence, spec in self.sites.get(site, ()) if before is None or sequence < before]
        return known[-1] if known else None

    def intensity(self, zone: str, hour_ms: int) -> tuple[int, str, Quality] | None:
        """Observed intensity of an hour, else the forecast one, labelled so."""
        return self.observed.get((zone, hour_ms)) or self.forecast.get((zone, hour_ms))


def check_events(bundle: Bundle, *, whole: bool) -> Iterator[Finding]:
    """Hash, body, signature and order of every record, those of revisions after all others, and the head.

    `whole`: the signature of the bundle as a whole holds and is to count for each record in it, with its place.
    """
    if not head_signed(bundle.head, bundle.public_key):
        yield Finding(key="head", sentence="the head is not signed by the control plane's key")
    for records in ((*bundle.events, *bundle.revisions), bundle.rotations):
        before: RecordedEvent | None = None
        for record in records:
            yield from check_record(record) if whole else check_vouched(record, bundle.public_key)
            yield from _check_place(before, record, bundle.head)
            before = record


def check_site_keys(sites: Iterable[SiteSpec]) -> Iterator[Finding]:
    """Each key of a site that was not lost named the next one itself, and none signs fewer batches than the last."""
    for site in sites:
        reached = 0
        keys = [*(one.public_key for one in site.retired_keys), site.public_key]
        for retired, follower in zip(site.retired_keys, keys[1:], strict=True):
            told = (site.site, retired.public_key, follower, retired.last_counter + 1)
            message = "".join(f"{part}\n" for part in ("sunward-site-key/1", *told)).encode()
            named = not retired.signature or signed_by(retired.public_key, retired.signature, message)
            if not named or retired.last_counter < reached:
                yield Finding(
                    key="site_key",
                    sentence="the change of the key of {site} from batch {counter} on is not signed by its old key",
                    figures={"site": site.site, "counter": retired.last_counter + 1},
                )
            reached = retired.last_counter


def check_vouched(record: RecordedEvent, public_key: str) -> Iterator[Finding]:
    """Hash and body of a record, and that the key signed it as a head that once was."""
    yield from check_record(record)
    head = JournalHead(sequence=record.sequence, hash=record.hash, term=record.term, signature=record.signature)
    if not head_signed(head, public_key):
        yield Finding(
            key="record_signature",
            sentence="record {sequence} is not signed by the control plane's key",
            figures={"sequence": record.sequence},
        )


def open_evidence(events: Iterable[RecordedEvent], job: str) -> Evidence:
    """The facts of all records that can be read; one that cannot is found by `check_events`."""
    evidence = Evidence()
    for record in events:
        try:
            payload = read_event(record.kind, record.version, record.at_ms, record.body.encode()).payload
        except InputError:
            continue
        _take(evidence, payload, record, job)
    return evidence


def _take(evidence: Evidence, payload: Payload, record: RecordedEvent, job: str) -> None:
    match payload:
        case NetworkStarted():
            evidence.rules = payload
        case RateObserved():
            evidence.wei_per_usd_micro = payload.wei_per_usd_micro
        case SiteEnrolled():
            evidence.sites.setdefault(payload.spec.site, []).append((record.sequence, payload.spec))
        case ReadingsSealed():
            evidence.seals[record.sequence] = payload
        case JobsSubmitted():
            _take_job(evidence, payload, job, record.at_ms)
        case SignalObserved() | ForecastIssued():
            _take_signals(evidence, payload)
        case _:
            # What is of neither places nor certificates is harmless in a bundle, and no evidence.
            if not evidence.places.take(payload, record.at_ms):
                evidence.shelf.take(payload, record.sequence)


def _take_job(evidence: Evidence, payload: JobsSubmitted, job: str, at_ms: int) -> None:
    for spec in payload.jobs:
        if spec.job == job:
            evidence.spec, evidence.submitted_ms = spec, at_ms


def _take_signals(evidence: Evidence, payload: SignalObserved | ForecastIssued) -> None:
    if isinstance(payload, SignalObserved):
        for observation in payload.observations:
            _take_series(evidence.observed, observation, observation.values, observation.quality)
    else:
        for forecast in payload.forecasts:
            _take_series(evidence.forecast, forecast, forecast.p50, Quality.FORECAST)


def _take_series(
    known: dict[tuple[str, int], tuple[int, str, Quality]],
    series: Observation | Forecast,
    values: tuple[int, ...],
    quality: Quality,
) -> None:
    if series.kind is SeriesKind.CARBON_AVERAGE_LIFECYCLE:
        for hour_ms, value in zip(hours_of(series), values, strict=True):
            known[series.zone, hour_ms] = (value, series.source, quality)


def _check_place(before: RecordedEvent | None, record: RecordedEvent, head: JournalHead) -> Iterator[Finding]:
    here = f"record {record.sequence}"
    if before and record.sequence <= before.sequence:
        yield mismatch("chain", "sequence", here, record.sequence, f"more than {before.sequence}")
    if before and record.sequence == before.sequence + 1 and record.previous != before.hash:
        yield mismatch("chain", "previous hash", here, record.previous, before.hash)
    if record.sequence > head.sequence:
        yield mismatch("head", "sequence", "the head", head.sequence, f"{record.sequence} or more")
    if record.sequence == head.sequence and record.hash != head.hash:
        yield mismatch("head", "hash", "the head", head.hash, record.hash)
