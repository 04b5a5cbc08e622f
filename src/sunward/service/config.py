"""What an operator sets of the REST service; times are machine time."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.adapters.endorsers import Endorser


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """How requests reach the server."""

    tls_cert: str = ""
    """File of the certificate chain; empty = plain HTTP."""
    tls_key: str = ""
    proxy_address: str = ""
    """The proxy, or network of proxies, that is believed about who asks; empty = nobody is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """Limits and lifetimes; the defaults suit one machine."""

    token_days: int = 365
    enrolment_hours: int = 24
    body_bytes_max: int = 4 << 20
    """Of a request with a record in it."""
    readings_bytes_max: int = 64 << 20
    """Of one delivery of signed batches."""
    log_bytes_max: int = 1 << 20
    """Of one piece of log."""
    header_bytes_max: int = 16 << 10
    """Of all headers together."""
    address_chars_max: int = 4 << 10
    """Of path and query."""
    body_pause_s: float = 30.0
    """Longest that a body may pause on its way here."""
    object_bytes_max: int = 2 << 30
    """Of a bundle, checkpoint or result."""
    poll_s_max: float = 20.0
    """Longest an agent waits for orders in one request."""
    faucet: bool = True
    """Whether tenants may credit themselves with test ATH."""
    webhook_allow_private: bool = False
    """Whether notices may go to addresses of this machine and its own networks, and without https."""
    endorsers: tuple[Endorser, ...] = ()
    """Whose signed words on sites' keys are believed."""
    drain_s: int = 2
    """How long open requests may take when the service ends."""
    reads_per_s: float = 500.0
    """Requests per second and token that read; these rates are averages over ten seconds, and 0 is no limit."""
    writes_per_s: float = 200.0
    """Requests per second and token that change something."""
    agents_per_s: float = 200.0
    """Requests per second of one agent."""
    visitors_per_s: float = 20.0
    """Requests per second and address without a token."""
    failures_per_s: float = 1.0
    """Requests per second and address with a token that is not valid."""
    solves_max: int = 32
    """Jobs priced at once."""
