"""Ed25519 signatures, checked; keys and signatures are lower-case hex."""

from __future__ import annotations

import re
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# One key or signature has one writing: Python reads capitals and spaces too.
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def signed_by(public_key: str, signature: str | bytes, message: bytes) -> bool:
    """Whether the key signed the message; a key or signature that cannot be one has not."""
    if isinstance(signature, str) and not _HEX.fullmatch(signature):
        return False
    try:
        raw = bytes.fromhex(signature) if isinstance(signature, str) else signature
        _read(public_key).verify(raw, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=1_024)
def _read(public_key: str) -> Ed25519PublicKey:
    # One key signs many batches, and reading a key takes a tenth of a check.
    if not _HEX.fullmatch(public_key):
        raise ValueError("a key is hex")
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
