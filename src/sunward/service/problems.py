"""Errors as the API tells them: RFC 9457 problem details, one line, with the stable code of docs/errors.md."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sunward.errors import ConflictError, InputError, InvariantError, NotFoundError, SourceError, SunwardError
from sunward.model.codec import encode
from sunward.model.request import Problem

log = logging.getLogger("sunward.api")

PROBLEM_JSON = "application/problem+json"
DETAIL_CHARS = 600
TITLES = {
    400: "The request is not acceptable",
    401: "No valid token",
    403: "Not allowed with this token",
    404: "Not found",
    405: "Not possible here",
    408: "Too slow",
    409: "It contradicts the present state",
    413: "Too large",
    414: "The address is too long",
    422: "The request cannot be read",
    429: "Too many requests",
    431: "The headers are too large",
    500: "The service failed",
    503: "Not possible at this moment",
}
NO_ROUTE, NO_METHOD, TOO_LARGE, UNREADABLE, BROKEN = "SW-404", "SW-405", "SW-413", "SW-422", "SW-900"
TOO_MUCH_HEADER, TOO_LONG, TOO_SLOW = "SW-431", "SW-432", "SW-433"
HTTP_CODES = {404: NO_ROUTE, 405: NO_METHOD, 408: TOO_SLOW, 413: TOO_LARGE}
STATUS_OF: tuple[tuple[type[SunwardError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (InputError, 400),
    (SourceError, 503),
    (InvariantError, 500),
)


class RequestError(InputError):
    """A refusal with an HTTP status of its own."""

    def __init__(self, message: str, *, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.headers = headers


def problem(
    status: int, detail: str, code: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    """A problem response; `more` are extension members."""
    record = Problem(
        type=f"urn:sunward:problem:{code}",
        title=TITLES.get(status, "The request failed"),
        status=status,
        detail=" ".join(detail.split())[:DETAIL_CHARS],
        code=code,
    )
    body = {name: getattr(record, name) for name in Problem.__slots__}
    return Response(encode(body | more), status_code=status, headers=headers, media_type=PROBLEM_JSON)


def told(error: SunwardError) -> Response:
    """The response that tells one of our own errors."""
    if isinstance(error, RequestError):
        return problem(error.status, error.message, error.code, headers=error.headers)
    status = next(status for kind, status in STATUS_OF if isinstance(error, kind))
    headers = {"Retry-After": "1"} if isinstance(error, SourceError) and error.transient else None
    return problem(status, error.message, error.code, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every error as a problem; the ones that are our own fault also end the service."""

    async def refused(_request: Request, error: Exception) -> Response:
        return told(error) if isinstance(error, SunwardError) else problem(500, "unknown error", BROKEN)

    async def unreadable(_request: Request, error: Exception) -> Response:
        return problem(422, _first(error), UNREADABLE)

    async def http(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = {404: "there is no such address; see /openapi.json", 405: "this address takes another method"}
        text = error.detail if isinstance(error, HTTPException) else ""
        headers = error.headers if isinstance(error, HTTPException) else None
        return problem(status, detail.get(status, text), HTTP_CODES.get(status, "SW-100"), headers=headers)

    async def fatal(request: Request, error: Exception) -> Response:
        request.app.state.control.fail(error)
        return problem(500, "the service met a contradiction and is stopping; try again in a moment", BROKEN)

    async def unforeseen(_request: Request, error: Exception) -> Response:
        log.error("unforeseen %s", type(error).__name__, exc_info=error)
        return problem(500, "the service failed to answer; its log says why", BROKEN)

    async def gone(_request: Request, _error: Exception) -> Response:
        return problem(400, "the request broke off", "SW-100")

    app.add_exception_handler(SunwardError, refused)
    app.add_exception_handler(InvariantError, fatal)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unforeseen)


def _first(error: Exception) -> str:
    """The first fault of a request, with its place; what was sent is never repeated."""
    faults = error.errors() if isinstance(error, RequestValidationError) else ()
    for fault in faults:
        return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
    return "the request cannot be read"
