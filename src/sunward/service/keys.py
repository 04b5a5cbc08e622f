"""The files of the service's keys, and how one signing key follows another.

Three files lie in the home: the signing key, the secrets that outlive it, and, only while one key takes the place of
another, the next signing key. The journal decides which of two keys counts: a key is put in place only after the record
that names it, so a crash at any moment leaves a home that starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.secret_file import write_secret
from sunward.adapters.sql import SqlStore
from sunward.errors import InputError
from sunward.model.chain import rotation_bytes
from sunward.model.codec import decode, encode
from sunward.model.events import KeyRotated
from sunward.service.secrecy import Secrets, first_secrets

KEY_FILE, NEXT_FILE, SECRETS_FILE = "control.key", "control.key.next", "control.secrets"
SECRET_DIGITS = 64
BAD_KEY, WRONG_KEY, BAD_SECRETS = "SW-166", "SW-441", "SW-442"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """A signing key that took the place of another."""

    old_public: str
    new_public: str
    sequence: int
    """The record of it: the new key signs from there on."""


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs heads and receipts; made on first use, readable by its owner alone.

    Raises: InputError when the file is not such a key.
    """
    if not path.exists():
        write_secret(path, Ed25519PrivateKey.generate().private_bytes_raw())
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except ValueError:
        raise InputError(f"{path} is not an Ed25519 key of 32 bytes; restore it from a copy", code=BAD_KEY) from None


def public_of(key: Ed25519PrivateKey) -> str:
    """The public part, 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()


def open_keys(home: Path, store: SqlStore) -> tuple[Ed25519PrivateKey, Secrets]:
    """The signing key in force and the secrets of a home; the secrets are written down on its first start.

    Raises: InputError when the key is not the one that the journal names, or a file is missing or damaged.
    """
    path, coming, file = home / KEY_FILE, home / NEXT_FILE, home / SECRETS_FILE
    # A home whose secrets are written down and that changes no key just now has nothing to ask the journal.
    last = None if file.exists() and path.exists() and not coming.exists() else store.newest("key_rotated")
    named = last.event.payload.new_public if last and isinstance(last.event.payload, KeyRotated) else ""
    if coming.exists():
        _settle(path, coming, named)
    if named and not path.exists():
        line = f"{path} is missing, and the journal names its key {named}; restore it from a copy"
        raise InputError(line, code=WRONG_KEY)
    key = load_key(path)
    if not file.exists():
        if named:
            line = f"{file} is missing, and a key that was changed cannot give it back; restore it from a copy"
            raise InputError(line, code=BAD_SECRETS)
        write_secret(file, encode(first_secrets(key)))
    return key, _read_secrets(file)


def _settle(path: Path, coming: Path, named: str) -> None:
    """End a change of keys that was cut short: the next key counts if the journal names it, else it never was."""
    if named and public_of(load_key(coming)) == named:
        coming.replace(path)
    else:
        coming.unlink()


def _read_secrets(file: Path) -> Secrets:
    try:
        found = decode(file.read_bytes(), Secrets)
        whole = all(len(bytes.fromhex(one)) * 2 == SECRET_DIGITS for one in (found.ids, found.sealing, found.webhooks))
    except (InputError, ValueError):
        whole = False
    if not whole:
        raise InputError(f"{file} is damaged; restore it from a copy", code=BAD_SECRETS)
    return found


def require_named(key: Ed25519PrivateKey, rotations: list[tuple[int, str]], path: Path) -> None:
    """Refuse to sign with a key that the journal does not name. Raises: InputError."""
    if rotations and rotations[-1][1] != public_of(key):
        line = f"{path} is not the key {rotations[-1][1]} that the journal names; restore it from a copy"
        raise InputError(line, code=WRONG_KEY)


def rotation(old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> KeyRotated:
    """What the journal records of a change of keys, signed by the one that retires."""
    names = public_of(old), public_of(new)
    return KeyRotated(old_public=names[0], new_public=names[1], signature=old.sign(rotation_bytes(*names)).hex())
