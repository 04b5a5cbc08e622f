"""Which service addresses keep a token to themselves."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from sunward.errors import InputError

IN_CLEAR = "SW-683"


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host never leaves the machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parts_of(url: str) -> SplitResult:
    """The parts of an address; where it cannot be read as one, they are empty."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def require_private(url: str, *, insecure: bool) -> None:
    """Refuse to show a token to a service that others on the way could read it from.

    Raises: InputError for plain HTTP to another machine, unless that is meant.
    """
    parts = parts_of(url)
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname or ""):
        raise InputError(
            f"{url} is plain HTTP to another machine, and others could read the token; use https, or say --insecure",
            code=IN_CLEAR,
        )
