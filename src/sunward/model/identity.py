"""Identifiers: typed strings, minted from a seed and a name, never from a clock or a global generator."""

from __future__ import annotations

import base64
import hashlib
from typing import NewType

ZoneId = NewType("ZoneId", str)
SiteId = NewType("SiteId", str)
PoolId = NewType("PoolId", str)
JobId = NewType("JobId", str)
LeaseId = NewType("LeaseId", str)
TenantId = NewType("TenantId", str)
DeviceId = NewType("DeviceId", str)

ID_LENGTH = 10


def mint(prefix: str, seed: bytes, *parts: object) -> str:
    """A short identifier that depends only on the arguments: `prefix-` and ten base32 characters."""
    material = b"\x00".join([seed, prefix.encode(), *(str(part).encode() for part in parts)])
    code = base64.b32encode(hashlib.sha256(material).digest()).decode().lower()
    return f"{prefix}-{code[:ID_LENGTH]}"


def pool_id(site: SiteId, gpu_model: str) -> PoolId:
    """The pool of all containers of one GPU model at one site."""
    return PoolId(f"{site}/{gpu_model}")


def lease_id(job: JobId, attempt: int) -> LeaseId:
    """The lease of one attempt of one job; an attempt never has two leases."""
    return LeaseId(f"{job}.{attempt}")
