"""Addresses that somebody else names: only public ones are reached, whatever a name or a redirect leads to.

Each hop is resolved once, every address of it is looked at, and the connection goes to one that was looked at: a name
that changes its answer in between gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import httpx

from sunward.errors import InputError

URL_CHARS = 2_000
SECURE = "https"
PLAIN = "http"
REFUSED = "SW-521"
TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""NAT64 (RFC 6052): IPv4 addresses by another name."""


class PublicTransport(httpx.BaseTransport):
    """A transport that refuses addresses which are not public, and anything but https, unless told otherwise."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request to an address that was looked at.

        Raises: InputError for an address that is refused, httpx.TransportError when it cannot be reached.
        """
        if self._allow_private:
            return self._inner.handle_request(request)
        if request.url.scheme != SECURE:
            raise InputError(f"{request.url.host} is not asked without https; use an https address", code=REFUSED)
        address = public_address(request.url.host, request.url.port or 443)
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        return self._inner.handle_request(pinned)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def public_address(host: str, port: int) -> str:
    """An address of a host, all of whose addresses are public.

    Raises: InputError when one is not, httpx.ConnectError when the name has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as reason:
        raise httpx.ConnectError(f"{host} has no address: {reason}") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not is_public(address):
            raise InputError(f"{host} is a private address ({address}); name a public one", code=REFUSED)
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open network: not private, loopback, link-local, multicast or reserved."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inside(found) if isinstance(found, ipaddress.IPv6Address) else None
    return found.is_global and not found.is_multicast and (inner is None or is_public(str(inner)))


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to, if it is such a one."""
    if address in TRANSLATED:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def check_address(url: str, *, allow_private: bool, code: str) -> None:
    """Refuse a web address that can be seen to be unusable without asking anybody.

    Raises: InputError.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    schemes = (SECURE, PLAIN) if allow_private else (SECURE,)
    if len(url) > URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise InputError(f"an address has at most {URL_CHARS} printable ASCII characters", code=code)
    if not host or parts.scheme not in schemes or parts.username is not None or parts.fragment:
        raise InputError("not an address to use; write https://HOST/PATH without a user or a fragment", code=code)
    if not allow_private and (host == "localhost" or (_is_literal(host) and not is_public(host))):
        raise InputError("the address is a private one; name a public one", code=code)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
