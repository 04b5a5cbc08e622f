"""Batches for the tests of this folder."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.model.datum import Quality
from sunward.model.reading import ReadingBatch, Span

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw().hex()
HOUR = 1_686_528_000_000
"""2023-06-12T00:00Z, a whole hour."""
MINUTE = 60_000


def span(device="gpu0", lease="", state="idle", t0=0, t1=MINUTE, start=0, end=0):
    """One span, with times counted from HOUR."""
    return Span(device=device, lease=lease, state=state, t0_ms=HOUR + t0, t1_ms=HOUR + t1, start_j=start, end_j=end)


def batch(*spans, site="s-1", counter=1, t0=0, t1=MINUTE, previous="", boot="b-1", quality=Quality.MODELLED):
    """One batch, with times counted from HOUR."""
    return ReadingBatch(
        site=site,
        boot=boot,
        counter=counter,
        t0_ms=HOUR + t0,
        t1_ms=HOUR + t1,
        previous=previous,
        uncertainty_ppm=50_000,
        quality=quality,
        spans=tuple(spans),
    )


GOLDEN = batch(
    span("gpu0", "j-abcdefghij.1", "busy", end=24_000),
    span("gpu1", end=4_200),
    span("host", state="busy", start=7, end=9_007),
    span("meter", state="busy", start=10, end=44_650),
)


def shifted(one, counter, previous_hash, by=MINUTE, **changes):
    """The batch that follows: later, with the counters running on."""
    spans = tuple(
        replace(s, t0_ms=s.t0_ms + by, t1_ms=s.t1_ms + by, start_j=s.end_j, end_j=2 * s.end_j - s.start_j)
        for s in one.spans
    )
    return replace(
        one, counter=counter, previous=previous_hash, t0_ms=one.t0_ms + by, t1_ms=one.t1_ms + by, spans=spans, **changes
    )
