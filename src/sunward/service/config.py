"""What an operator sets of the REST service; times are machine time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """Limits and lifetimes; the defaults suit one machine."""

    token_days: int = 365
    enrolment_hours: int = 24
    body_bytes_max: int = 4 << 20
    """Of a request with a record in it."""
    readings_bytes_max: int = 64 << 20
    """Of one delivery of signed batches."""
    object_bytes_max: int = 2 << 30
    """Of a bundle, checkpoint or result."""
    poll_s_max: float = 20.0
    """Longest an agent waits for orders in one request."""
    faucet: bool = True
    """Whether tenants may credit themselves with test ATH."""
    webhook_allow_private: bool = False
    """Whether notices may go to addresses of this machine and its own networks, and without https."""
    drain_s: int = 2
    """How long open requests may take when the service ends."""
