"""Where `sunward up` listens, and the rule that no token crosses a network in the clear."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from sunward.cli.text import _
from sunward.errors import InputError
from sunward.model.address import is_loopback
from sunward.service.config import Entrance

LOOPBACK = "127.0.0.1"
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the command line says of listening."""

    host: str = LOOPBACK
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    proxy_address: str = LOOPBACK
    public_url: str = ""

    def entrance(self) -> Entrance:
        """The checked settings of the server.

        Raises: InputError where tokens would cross a network in the clear, or a file or address cannot be used.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError(_("TLS needs both --tls-cert and --tls-key"), code="SW-681")
        tls = self.tls_cert is not None
        if not (is_loopback(self.host) or tls or self.behind_proxy):
            line = _("{host} is open to others: add --tls-cert and --tls-key, or --behind-proxy where a proxy does TLS")
            raise InputError(line.format(host=self.host), code="SW-680")
        if self.tls_cert is not None and self.tls_key is not None:
            _check_pair(self.tls_cert, self.tls_key)
        if self.behind_proxy:
            _check_address(self.proxy_address)
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            line = _("not a service address: {url}; give http://… or https://…")
            raise InputError(line.format(url=self.public_url), code="SW-611")
        return Entrance(
            tls_cert=str(self.tls_cert or ""),
            tls_key=str(self.tls_key or ""),
            proxy_address=self.proxy_address if self.behind_proxy else "",
        )

    def listen(self) -> socket.socket:
        """A socket, taken before anything is written. Raises: InputError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
        except socket.gaierror:
            listener.close()
            line = _("{host} is no address of this machine")
            raise InputError(line.format(host=self.host), code="SW-682") from None
        except OSError as reason:
            listener.close()
            if not is_loopback(self.host) and reason.errno not in _TAKEN:
                line = _("cannot listen on {host}: {reason}")
                raise InputError(line.format(host=self.host, reason=reason.strerror), code="SW-682") from None
            line = _("port {port} is taken; choose another with --port")
            raise InputError(line.format(port=self.port), code="SW-620") from None
        return listener

    def url(self, listener: socket.socket) -> str:
        """Under which address clients reach the service."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme = "https" if self.tls_cert is not None else "http"
        host = LOOPBACK if _is_wildcard(self.host) else self.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _check_pair(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as reason:
        why = reason.strerror or str(reason)
        line = _("{cert} and {key} are no usable certificate and key ({reason})")
        raise InputError(line.format(cert=certificate, key=key, reason=why), code="SW-681") from None


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_network(address, strict=False)
    except ValueError:
        line = _("{address} is no IP address or network; --proxy-address takes one")
        raise InputError(line.format(address=address), code="SW-682") from None
