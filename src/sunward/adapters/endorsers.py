"""`endorsers.toml`: whose signed word on a site's key the operator believes, on what, and how far."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sunward.errors import InputError
from sunward.model.codec import decode
from sunward.model.trust import Dimension, Level

WRONG = "SW-787"
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
NAME_MAX = 80
LEVELS = (Level.ENDORSED, Level.ATTESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorser:
    """A party that is independent of providers: a maker of meters or TPMs, a utility, an auditor."""

    name: str
    public_key: str
    """Ed25519, 64 hex digits."""
    level: Level
    """What its word amounts to: `endorsed`, or `attested` where hardware or an issuing body signs."""
    dimensions: tuple[Dimension, ...]
    """What it may speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    endorsers: tuple[Endorser, ...] = ()


def read_endorsers(path: Path) -> tuple[Endorser, ...]:
    """The endorsers of a settings file.

    Raises: InputError naming what is wrong.
    """
    try:
        told = decode(json.dumps(tomllib.loads(path.read_text(encoding="utf-8"))), _File).endorsers
    except OSError as reason:
        raise InputError(f"cannot read {path} ({reason.strerror}); name an endorsers.toml", code=WRONG) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as reason:
        raise InputError(f"{path.name} is not TOML of endorsers: {reason}", code=WRONG) from None
    except InputError as reason:
        raise InputError(f"{path.name}: {reason.message}", code=WRONG) from None
    for one in told:
        if not 0 < len(one.name) <= NAME_MAX or not one.name.isprintable() or not PUBLIC_KEY.fullmatch(one.public_key):
            raise InputError(
                f"{path.name}: {one.name[:NAME_MAX]!r} needs a name and a key of 64 hex digits", code=WRONG
            )
        if one.level not in LEVELS or not one.dimensions:
            raise InputError(f"{path.name}: {one.name!r} needs dimensions, and level endorsed or attested", code=WRONG)
    if len({one.public_key for one in told}) < len(told):
        raise InputError(f"{path.name}: a key is named twice", code=WRONG)
    return told
