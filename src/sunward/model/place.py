"""Round trips from anchors to a site's key: what each signs, and how."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.identity import SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """An anchor sent a nonce, and the site's key signed it; the least time over some tries."""

    anchor_key: str
    """Ed25519 key of the anchor, hex."""
    lat_udeg: int
    """Where the anchor stands, in millionths of a degree."""
    lon_udeg: int
    site: SiteId
    site_key: str
    """The key that answered, hex."""
    nonce: str
    """32 random bytes that nobody could know before, hex."""
    answer: str
    """Signature of the site's key over `answer_bytes`, hex."""
    rtt_us: int
    """From the first byte sent to the last received, on the anchor's clock."""
    at_ms: int
    """Machine time."""
    signature: str = ""
    """Of the anchor over `round_trip_bytes`, hex."""


def answer_bytes(anchor_key: str, site: str, nonce: str) -> bytes:
    """What the site's key signs: this nonce, of this anchor, and nothing else that it ever signs."""
    return f"sunward-place-answer/1\n{anchor_key}\n{site}\n{nonce}\n".encode()


def round_trip_bytes(trip: RoundTrip) -> bytes:
    """What the anchor signs."""
    place = f"{trip.anchor_key}\n{trip.lat_udeg}\n{trip.lon_udeg}\n"
    answered = f"{trip.site}\n{trip.site_key}\n{trip.nonce}\n{trip.answer}\n"
    return f"sunward-place/1\n{place}{answered}{trip.rtt_us}\n{trip.at_ms}\n".encode()
