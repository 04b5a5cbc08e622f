"""Round trips from anchors to a site's key: what each says and signs, and what a network asks of a site's place."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.identity import SiteId
from sunward.model.trust import Level
from sunward.units import DAY_MS

HELLO_BYTES = 400
"""Nobody can have an anchor send more to a third party than what was sent to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Somebody at a known place who measures how long a site's key takes to answer."""

    name: str
    key: str
    """Ed25519, hex."""
    lat_udeg: int
    """Where it stands, in millionths of a degree."""
    lon_udeg: int
    address: str
    """`host:port`, where it listens (UDP)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRules:
    """What a network asks of the place of its sites; at first nothing, and each is believed as it declares itself."""

    level: Level = Level.DECLARED
    """A site whose place is shown less well counts in the dirtiest zone that its measurements do not exclude."""
    anchors: tuple[Anchor, ...] = ()
    """Those whose word counts."""
    valid_ms: int = 30 * DAY_MS
    """Grid time that a measurement counts; it is made anew when half of that is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorCall:
    """An anchor that waits for a site to answer it."""

    key: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorWish:
    """A site that an anchor is to measure."""

    site: SiteId
    key: str
    """Which has to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoHello:
    """A site's first datagram to an anchor, which can then reach it behind any router."""

    site: SiteId
    key: str
    padding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoNonce:
    """What the site is to sign at once."""

    nonce: str
    """Empty: it is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoAnswer:
    """The nonce and the signature over `answer_bytes`."""

    nonce: str
    answer: str


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
