"""What only the running service can read or sign, under keys derived from its own.

A copy of the database alone tells no secret of a job; a copy of the key's file as well does.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sunward.errors import InputError
from sunward.model.codec import decode, encode

SEALED = "SW-177"
KEY_BYTES = 32
NONCE_BYTES = 12
SECRETS_PURPOSE = b"sunward-job-secrets/1"
WEBHOOK_PURPOSE = b"sunward-webhook/1"


def seal(key: Ed25519PrivateKey, job: str, values: dict[str, str]) -> bytes:
    """The secrets of a job encrypted; they open under its name only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(_derived(key, SECRETS_PURPOSE)).encrypt(nonce, encode(values), job.encode())


def unseal(key: Ed25519PrivateKey, job: str, sealed: bytes) -> dict[str, str]:
    """The secrets of a job.

    Raises: InputError when they were sealed under another key or name: a restored or changed key is no reason to stop.
    """
    nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        plain = AESGCM(_derived(key, SECRETS_PURPOSE)).decrypt(nonce, cipher, job.encode())
    except InvalidTag:
        line = f"the secrets of job {job} do not open under this service's key any more; submit the job again"
        raise InputError(line, code=SEALED) from None
    return decode(plain, dict[str, str])


def webhook_key(key: Ed25519PrivateKey, tenant: str) -> bytes:
    """With what notices to a tenant are signed; the tenant may ask for it."""
    return hmac.digest(_derived(key, WEBHOOK_PURPOSE), tenant.encode(), hashlib.sha256)


def notice_signature(key: bytes, at_ms: int, body: bytes) -> str:
    """HMAC-SHA256 over the moment and the body, hex; docs/job-contract.md tells how to check it."""
    return hmac.new(key, f"{at_ms}.".encode() + body, hashlib.sha256).hexdigest()


def _derived(key: Ed25519PrivateKey, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key.private_bytes_raw())
