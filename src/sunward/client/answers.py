"""What an answer of the service means: a record, or one of this project's errors."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx

from sunward.errors import ConflictError, InputError, NotFoundError, SourceError
from sunward.model.codec import decode
from sunward.model.request import Problem

T = TypeVar("T")

TRY_AGAIN = frozenset({408, 425, 429})
"""Refusals of the moment: the same request is welcome later."""
BUSY = frozenset({429, 503})
REFUSALS: dict[int, type[InputError]] = {404: NotFoundError, 409: ConflictError}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """Log bytes from an offset, where the next part starts, and whether the log can still grow."""

    text: bytes
    next_offset: int
    final: bool


def job_path(job: str, part: str = "") -> str:
    """The address of a job, or of a part of it; a name that is no id must not lead to another address."""
    return "/v1/jobs/" + quote(job, safe="") + (f"/{part}" if part else "")


def site_path(site: str, part: str = "") -> str:
    """The address of a site, or of what is asked of it."""
    return "/v1/sites/" + quote(site, safe="") + (f"/{part}" if part else "")


def verdict_path(verdict: str, part: str) -> str:
    """The address of what is asked of a verdict."""
    return "/v1/verdicts/" + quote(verdict, safe="") + f"/{part}"


def read(reply: httpx.Response, kind: type[T]) -> T:
    """The record in an answer.

    Raises: SourceError when it is not one.
    """
    try:
        return decode(reply.content, kind)
    except InputError as reason:
        raise _not_understood(reason.message) from None


def log_part(reply: httpx.Response) -> LogPart:
    """The piece of a log in an answer.

    Raises: SourceError when the answer does not say where the next piece starts.
    """
    try:
        next_offset = int(reply.headers["Sunward-Next-Offset"])
    except (KeyError, ValueError):
        raise _not_understood("Sunward-Next-Offset") from None
    return LogPart(text=reply.content, next_offset=next_offset, final=reply.headers.get("Sunward-Final") == "1")


def refusal(reply: httpx.Response) -> InputError | SourceError:
    """The service's problem as an error of ours."""
    try:
        problem = decode(reply.content, Problem)
    except InputError:
        line = _("the service answered {status} without a reason").format(status=reply.status_code)
        return SourceError(line, transient=reply.is_server_error, code="SW-641")
    if reply.is_server_error or reply.status_code in TRY_AGAIN:
        return SourceError(problem.detail, code=problem.code)
    return REFUSALS.get(reply.status_code, InputError)(problem.detail, code=problem.code)


def retry_after_s(reply: httpx.Response) -> float | None:
    """When to ask again, if the service took nothing because it is busy or was asked too often; else None."""
    told = reply.headers.get("Retry-After", "")
    return float(told) if reply.status_code in BUSY and told.isascii() and told.isdigit() else None


UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""How the TLS library says that nobody believed vouches for a certificate; httpx passes on its words alone."""


def trust(ca: Path | None, url: str) -> ssl.SSLContext | bool:
    """Whose certificates are believed: those of a file, else those that the world believes.

    Raises: InputError when the file holds none.
    """
    if ca is None and url.startswith("http://"):
        # Nobody is asked over TLS, and reading all that the world believes takes longer than most answers.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError) as reason:
        line = _("{file} holds no certificates ({reason}); --ca takes a PEM file")
        raise InputError(line.format(file=ca, reason=reason.strerror or reason), code="SW-684") from None


def unreachable(url: str, reason: httpx.TransportError) -> SourceError:
    """That nothing answers at an address, or one whose certificate is not believed."""
    if UNTRUSTED in str(reason):
        line = _("the certificate of {url} is not believed ({reason})")
        return SourceError(line.format(url=url, reason=reason), transient=False, code="SW-643")
    line = _("the service at {url} cannot be reached ({reason})")
    return SourceError(line.format(url=url, reason=str(reason) or type(reason).__name__), code="SW-640")


def _not_understood(what: str) -> SourceError:
    line = _("the service's answer is not understood ({what})")
    return SourceError(line.format(what=what), transient=False, code="SW-642")
