"""Readings: the wire format that devices sign, and the sealed form that enters the journal.

A batch is one COSE_Sign1 message (RFC 9052) with an Ed25519 signature over a CBOR map with integer
keys; one batch per site per minute of grid time. Counters are cumulative joules. docs/readings.md fixes the format.
"""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.datum import Quality

READING_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One counter of one device over `[t0_ms, t1_ms)`; all of it belongs to one lease, or to none (idle)."""

    device: str
    """Device id; `host` for the node without its GPUs; `meter` for the site meter."""
    lease: str
    """Lease the device worked for; empty = idle. Always empty for `host` and `meter`."""
    state: str
    """Power state during the span."""
    t0_ms: int
    t1_ms: int
    start_j: int
    """Cumulative joules of the counter at t0."""
    end_j: int
    """Cumulative joules at t1; never less than start_j within one boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingBatch:
    """What one site signs for one minute."""

    site: str
    boot: str
    """Names one run of the counters; a new one declares a reset."""
    counter: int
    """Number of the batch under this key, from 1, without holes."""
    t0_ms: int
    t1_ms: int
    previous: str
    """SHA-256 of the previous signed batch, hex; empty for the first."""
    uncertainty_ppm: int
    quality: Quality
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSeal:
    """One site's part of a seal: where its chain of batches now stands, and what was idle or unattributed."""

    site: str
    first_counter: int
    last_counter: int
    covered_to_ms: int
    idle_gpu_j: int
    idle_host_j: int
    idle_overhead_j: int
    gap_ms: int
    """Time inside the site's awake history that no batch covers."""
    quality: Quality = Quality.MODELLED
    """Worst quality of the batches."""
    faults: tuple[str, ...] = ()
    unmetered_j: int = 0
    """Facility energy that counters of one boot gained outside every span; the site bears it, never a job."""
    covered_ms: int = 0
    """Time that the batches cover; 0 = an older seal."""
    meter_ms: int = 0
    """How much of it in batches that the site meter covers whole."""
    meter_j: int = 0
    """What it counted in them."""
    meter_it_j: int = 0
    """What the equipment behind it counted in the same batches."""
    boots: tuple[str, ...] = ()
    """Boots that begin in these batches, in order."""
    uncertainty_ppm: int = 0
    """Greatest of the batches; 0 = an older seal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSeals:
    """Columns of per-lease totals in one seal; all of equal length."""

    lease: tuple[str, ...] = ()
    hour_ms: tuple[int, ...] = ()
    """Start of the grid hour the energy falls in; a lease may stand in several rows."""
    gpu_j: tuple[int, ...] = ()
    host_j: tuple[int, ...] = ()
    overhead_j: tuple[int, ...] = ()
    gpu_ms: tuple[int, ...] = ()
    """Metered container time."""
