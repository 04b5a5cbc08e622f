"""What a target is, and the key that signs for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = SIGNER.public_key().public_bytes_raw().hex()


@dataclass(frozen=True, slots=True)
class Target:
    """A parser and what it is given at first."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
