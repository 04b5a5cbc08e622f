"""Who an agent is: its signing key, what enrolment gave it, and the name of this run."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.secret_file import write_secret
from sunward.errors import InputError, NotFoundError
from sunward.model.codec import decode, encode
from sunward.model.wire import NO_READINGS, ReadingsHead

KEY_FILE = "key"
NEXT_FILE = "key.next"
"""A key that is about to take the place of the present one."""
MEMBERSHIP_FILE = "membership.json"
BOOT_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What the control plane answered to the enrolment."""

    site: str
    token: str
    """Bearer token of this agent; secret."""
    readings: ReadingsHead = NO_READINGS
    """Where the site's readings stood then."""


def load_key(folder: Path, name: str = KEY_FILE) -> Ed25519PrivateKey:
    """The key that signs this site's readings; made on first use, readable by its owner alone.

    Raises: InputError when the file is not such a key.
    """
    path = folder / name
    if not path.exists():
        write_secret(path, Ed25519PrivateKey.generate().private_bytes_raw())
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except ValueError:
        raise InputError(f"{path} is not an Ed25519 key of 32 bytes; restore it from a copy", code="SW-505") from None


def public_key(key: Ed25519PrivateKey) -> str:
    """The public part, 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()


def load_membership(folder: Path) -> Membership:
    """What enrolment left here.

    Raises: NotFoundError when the agent has not enrolled yet.
    """
    path = folder / MEMBERSHIP_FILE
    if not path.exists():
        raise NotFoundError(f"{folder} is not enrolled; run `sunward join` with a token first", code="SW-506")
    return decode(path.read_bytes(), Membership)


def save_membership(folder: Path, membership: Membership) -> None:
    """Keep what enrolment answered."""
    write_secret(folder / MEMBERSHIP_FILE, encode(membership))


def new_boot() -> str:
    """A name for this run of the agent; it never comes again."""
    return secrets.token_hex(BOOT_BYTES)
