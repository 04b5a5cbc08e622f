"""All that checking one receipt offline needs, in one JSON file; docs/verification.md explains it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.datum import SeriesKind
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
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesImported,
    CertificatesIssued,
    CertificatesWithdrawn,
)
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.model.receipt import Adjustment, Receipt
from sunward.model.signal import Forecast, Observation
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.certificates import claims_of, ids_of
from sunward.verification.exact import MS_IN_HOUR

BUNDLE_VERSION = 2
_LAST = b',"bound":""}'

_NEEDED = frozenset(
    {
        "network_started",
        "site_enrolled",
        "signal_observed",
        "forecast_issued",
        "rate_observed",
        "jobs_submitted",
        "readings_sealed",
        "certificates_issued",
        "certificates_imported",
        "certificates_cancelled",
        "certificates_withdrawn",
        "place_rules_set",
        "place_measured",
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBatch:
    """One batch of readings with its way to the root of a seal."""

    seal: int
    """Journal sequence of the seal."""
    message: str
    """The COSE_Sign1 message, base64."""
    path: tuple[str, ...]
    """Merkle siblings, leaf first, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareFigures:
    """What the catalogue says of one container of a GPU model."""

    gpu_model: str
    embodied_mg: int
    service_life_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFactor:
    """Market-based intensity of energy without certificates in a zone."""

    zone: str
    mg_per_kwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A receipt and its evidence."""

    version: int = BUNDLE_VERSION
    receipt: str
    """The receipt's canonical JSON, exactly as signed."""
    signature: str
    """Of the control plane over the receipt's bytes, hex."""
    public_key: str
    """Of the control plane, hex."""
    head: JournalHead
    """A signed head of the journal, of the receipt's issue or later."""
    events: tuple[RecordedEvent, ...]
    """Rules, the job, its sites, the rate, intensities and seals, in order of sequence."""
    batches: tuple[SignedBatch, ...]
    """Every sealed batch with a span of one of the job's leases."""
    hardware: tuple[HardwareFigures, ...]
    market: tuple[MarketFactor, ...]
    offset_share_bps: int
    """The share in force in the receipt's epoch."""
    adjustments: tuple[Adjustment, ...] = ()
    """What was posted beside the receipt since it became final, oldest first."""
    revisions: tuple[RecordedEvent, ...] = ()
    """The records that caused them, in order of sequence."""
    rotations: tuple[RecordedEvent, ...] = ()
    """The records by which one key of the control plane followed another, up to the head; they end at `public_key`."""
    bound: str = ""
    """Of the control plane, over all before it, hex: `bound_message`. It stays the last field."""


def read_bundle(raw: bytes) -> Bundle:
    """A bundle in its one valid form, so that no byte is without meaning.

    Raises: InputError with what does not fit.
    """
    bundle = decode(raw, Bundle)
    if bundle.version != BUNDLE_VERSION:
        raise InputError(
            f"it has version {bundle.version} and this program reads {BUNDLE_VERSION}: ask for a new one", code="SW-780"
        )
    if encode(bundle) != raw:
        raise InputError("it is not in canonical form", code="SW-780")
    return bundle


def bound_message(bundle: Bundle) -> bytes:
    """What the control plane signs of a bundle as a whole: every byte of its file up to the signature's own field."""
    told = encode(replace(bundle, bound="")).removesuffix(_LAST)
    return f"sunward-bundle/1\n{hashlib.sha256(told).hexdigest()}\n".encode()


def select(receipt: Receipt, records: Iterable[RecordedEvent]) -> tuple[RecordedEvent, ...]:
    """The records a bundle needs, out of the journal up to the one that made the receipt final.

    Of rules, rates and intensities the last counts; the declarations of the receipt's sites are all kept.
    """
    slots: dict[tuple[object, ...], RecordedEvent] = {}
    wanted = {(line.zone, line.hour_ms) for line in receipt.lines}
    for record in records:
        if record.kind in _NEEDED:
            payload = read_event(record.kind, record.version, record.at_ms, record.body.encode()).payload
            slots.update((slot, record) for slot in _slots(payload, record.sequence, receipt, wanted))
    return tuple(sorted(set(slots.values()), key=lambda record: record.sequence))


def hours_of(series: Observation | Forecast) -> range:
    """Starts of the hours a series has a value for."""
    values = series.values if isinstance(series, Observation) else series.p50
    return range(series.start_ms, series.start_ms + len(values) * MS_IN_HOUR, MS_IN_HOUR)


def _slots(
    payload: Payload, sequence: int, receipt: Receipt, wanted: set[tuple[str, int]]
) -> Iterator[tuple[object, ...]]:
    """What a record is needed for; a later record takes the place of an earlier one in the same slot."""
    match payload:
        case NetworkStarted() | RateObserved():
            yield (type(payload),)
        case SiteEnrolled() if any(line.site == payload.spec.site for line in receipt.lines):
            yield ("site", sequence)
        case JobsSubmitted() if any(spec.job == receipt.job for spec in payload.jobs):
            yield ("job",)
        case ReadingsSealed() if sequence in receipt.seals:
            yield ("seal", sequence)
        case SignalObserved():
            yield from _series_slots("observed", payload.observations, wanted)
        case ForecastIssued():
            yield from _series_slots("forecast", payload.forecasts, wanted)
        case _:
            yield from _more_slots(payload, sequence, receipt)


def _more_slots(payload: Payload, sequence: int, receipt: Receipt) -> Iterator[tuple[object, ...]]:
    """The same of certificates and places."""
    match payload:
        case CertificatesWithdrawn() if any(line.certificates for line in receipt.lines):
            yield ("certificates", sequence)
        case CertificatesIssued() | CertificatesImported() | CertificatesCancelled():
            if _speaks_of(payload, receipt):
                yield ("certificates", sequence)
        case PlaceRulesSet():
            yield ("places",)
        case PlaceMeasured() if any(line.site == payload.trip.site for line in receipt.lines):
            yield ("place", payload.trip.site, payload.trip.anchor_key)
        case _:
            return


def _speaks_of(payload: Payload, receipt: Receipt) -> bool:
    """Whether a record is about ids that a receipt claims."""
    claims = claims_of(receipt)
    return any(one.first <= last and first <= one.last for first, last in ids_of(payload) for one in claims)


def _series_slots(
    name: str, many: Iterable[Observation | Forecast], wanted: set[tuple[str, int]]
) -> Iterator[tuple[object, ...]]:
    for series in many:
        if series.kind is SeriesKind.CARBON_AVERAGE_LIFECYCLE:
            yield from ((name, series.zone, hour) for hour in hours_of(series) if (series.zone, hour) in wanted)
