"""A signed word of somebody else on a site's key, meter or devices: ten lines of text, read and checked here.

docs/readings.md is the specification. Whom to believe is not said here: the operator names endorsers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sunward.errors import InputError
from sunward.model.trust import Dimension
from sunward.units import DAY_MS, PPM
from sunward.verification.signature import signed_by

FORMAT = "sunward-endorsement/1"
HEADER = f"{FORMAT}\n".encode()
LINES = 10
BYTES_MAX = 4_096
WORDS_MAX = 200
YEARS_MS = 3 * 366 * DAY_MS
"""Longest that one may count: who vouched should look again."""
NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
HEX = {"key": re.compile(r"[0-9a-f]{64}"), "signature": re.compile(r"[0-9a-f]{128}")}
ABOUT = (Dimension.IDENTITY, Dimension.ENERGY, Dimension.OVERHEAD)
"""What a key can be vouched for; a place or an age needs somebody who has been there."""
MALFORMED = "SW-786"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """What is vouched for, of which key, by whom, and for how long."""

    site: str
    key: str
    """That signs the site's readings."""
    dimension: Dimension
    what: str
    """In words, such as the meter's number and class, or the TPM that holds the key."""
    coverage_ppm: int
    valid_from_ms: int
    valid_until_ms: int
    endorser: str
    """Public key of who vouches."""


def endorsement_bytes(one: Endorsement) -> bytes:
    """What the endorser signs: nine lines, each with its line feed."""
    lines = (
        FORMAT,
        one.site,
        one.key,
        one.dimension.value,
        one.what,
        one.coverage_ppm,
        one.valid_from_ms,
        one.valid_until_ms,
        one.endorser,
    )
    return "".join(f"{line}\n" for line in lines).encode()


def read_endorsement(document: bytes) -> Endorsement:
    """An endorsement whose own key signed it.

    Raises: InputError (SW-786) naming what does not fit.
    """
    if len(document) > BYTES_MAX:
        raise _wrong(f"it has more than {BYTES_MAX} bytes")
    try:
        lines = document.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise _wrong("it is not UTF-8 text") from None
    if len(lines) != LINES + 1 or lines[0] != FORMAT or lines[-1]:
        raise _wrong(f"it is not {LINES} lines that begin with {FORMAT} and end with a line feed")
    _, site, key, dimension, what, cover, start, end, endorser, signature, _ = lines
    if dimension not in ABOUT:
        raise _wrong(f"line 4 is not one of {', '.join(ABOUT)}")
    if not (NUMBER.fullmatch(cover) and NUMBER.fullmatch(start) and NUMBER.fullmatch(end)):
        raise _wrong("lines 6 to 8 are not whole numbers without signs or leading zeros")
    one = Endorsement(
        site=site,
        key=key,
        dimension=Dimension(dimension),
        what=what,
        coverage_ppm=int(cover),
        valid_from_ms=int(start),
        valid_until_ms=int(end),
        endorser=endorser,
    )
    _check(one, signature)
    if not signed_by(endorser, signature, endorsement_bytes(one)):
        raise _wrong("line 10 is not the signature of lines 1 to 9 under the key of line 9")
    return one


def _check(one: Endorsement, signature: str) -> None:
    wrong = {
        "line 2 names no site": not one.site.isprintable() or not 0 < len(one.site) <= WORDS_MAX,
        "line 3 or 9 is no public key of 64 hex digits": not (
            HEX["key"].fullmatch(one.key) and HEX["key"].fullmatch(one.endorser)
        ),
        f"line 5 is not 1 to {WORDS_MAX} printable characters": not one.what.isprintable()
        or not 0 < len(one.what) <= WORDS_MAX,
        "line 6 does not lie in 1 to 1000000": not 0 < one.coverage_ppm <= PPM,
        "it does not end after it begins, within three years": not 0
        < one.valid_until_ms - one.valid_from_ms
        <= YEARS_MS,
        "line 10 is no signature of 128 hex digits": not HEX["signature"].fullmatch(signature),
        "nobody vouches for itself": one.endorser == one.key,
    }
    for problem, is_so in wrong.items():
        if is_so:
            raise _wrong(problem)


def _wrong(problem: str) -> InputError:
    return InputError(f"the endorsement cannot be read: {problem}; docs/readings.md has the form", code=MALFORMED)
