"""What only the running service can read or sign, under secrets that outlive its signing key.

They were derived from the service's first signing key and are kept in a file of their own, so that a new signing key
changes no identifier, seals nothing anew and leaves every webhook's key as it is. The key does not follow from them. A
copy of the database alone tells no secret of a job; a copy of the file of secrets as well does.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

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


IDS_PURPOSE = b"sunward-ids/1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What the service keeps beside its signing key; 32 bytes each, hex."""

    ids: str
    """Identifiers and repeatable tokens are minted from it: the same on every start, known to nobody else."""
    sealing: str
    """Seals the secrets of jobs."""
    webhooks: str
    """The keys of webhooks follow from it."""


def first_secrets(key: Ed25519PrivateKey) -> Secrets:
    """The secrets of a service whose first signing key this is."""
    return Secrets(
        ids=hashlib.sha256(IDS_PURPOSE + key.private_bytes_raw()).hexdigest(),
        sealing=_derived(key, SECRETS_PURPOSE).hex(),
        webhooks=_derived(key, WEBHOOK_PURPOSE).hex(),
    )


def seal(kept: Secrets, job: str, values: dict[str, str]) -> bytes:
    """The secrets of a job encrypted; they open under its name only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(bytes.fromhex(kept.sealing)).encrypt(nonce, encode(values), job.encode())


def unseal(kept: Secrets, job: str, sealed: bytes) -> dict[str, str]:
    """The secrets of a job.

    Raises: InputError when they were sealed by another service or name: a restored or changed key is no reason to stop.
    """
    nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        plain = AESGCM(bytes.fromhex(kept.sealing)).decrypt(nonce, cipher, job.encode())
    except InvalidTag:
        line = f"the secrets of job {job} do not open under this service's key any more; submit the job again"
        raise InputError(line, code=SEALED) from None
    return decode(plain, dict[str, str])


def webhook_key(kept: Secrets, tenant: str) -> bytes:
    """With what notices to a tenant are signed; the tenant may ask for it."""
    return hmac.digest(bytes.fromhex(kept.webhooks), tenant.encode(), hashlib.sha256)


def notice_signature(key: bytes, at_ms: int, body: bytes) -> str:
    """HMAC-SHA256 over the moment and the body, hex; docs/job-contract.md tells how to check it."""
    return hmac.new(key, f"{at_ms}.".encode() + body, hashlib.sha256).hexdigest()


def _derived(key: Ed25519PrivateKey, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key.private_bytes_raw())
