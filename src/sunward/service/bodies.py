"""Records in and out by the one codec, and their description for /openapi.json."""

from __future__ import annotations

import hmac
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, BinaryIO, TypeVar, cast

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

import sunward
from sunward.adapters.access_sql import Asked, Reply, mint_token
from sunward.errors import InputError, SourceError
from sunward.model.codec import decode, digest_bytes, encode
from sunward.service.control import ControlPlane
from sunward.service.problems import UNREADABLE, RequestError

T = TypeVar("T")

JSON = "application/json"
SCHEMAS = "#/components/schemas/{model}"
SPOOL_BYTES = 1 << 20
KEY_CHARS = 200
NEXT = "Sunward-Next"
"""The header of a plain list that says where the next page starts."""
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,80}$")]
"""An identifier in an address; nothing else ever reaches the store."""
Cursor = Annotated[str, Query(pattern=r"^([0-9]{1,18}([.][0-9]{1,18}){1,2})?$")]
"""Where a page continues, as the page before it said."""
_taken: dict[str, type] = {}
"""Records that routes take; filled while the routes are declared."""


def record_of(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that reads the request's record.

    Raises: RequestError (422) naming the field that does not fit.
    """

    async def read(request: Request) -> T:
        try:
            return decode(await request.body(), kind)
        except InputError as reason:
            raise RequestError(reason.message, status=422, code=UNREADABLE) from None

    return read


def takes(kind: type) -> dict[str, Any]:
    """The OpenAPI description of a route's request record."""
    _taken[kind.__name__] = kind
    schema = {"$ref": SCHEMAS.format(model=kind.__name__)}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def takes_bytes(media_type: str) -> dict[str, Any]:
    """The OpenAPI description of a route that takes bytes."""
    schema = {"type": "string", "format": "binary"}
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def answer(record: object, status: int = 200) -> Response:
    """A record in its canonical bytes, so that what is signed or hashed is what is sent."""
    return Response(encode(record), status_code=status, media_type=JSON)


def page_of(found: Sequence[T], limit: int, cursor: Callable[[T], str]) -> Response:
    """At most `limit` of what was found as a plain list, with the cursor of the last where there is more."""
    response = answer(found[:limit])
    if len(found) > limit:
        response.headers[NEXT] = cursor(found[limit - 1])
    return response


def describe(app: FastAPI) -> None:
    """Have /openapi.json describe every record, those in requests too."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _described(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title="Sunward", version=sunward.__version__, summary=sunward.__doc__, routes=app.routes)
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name, kind in sorted(_taken.items()):
        described = TypeAdapter(kind).json_schema(ref_template=SCHEMAS)
        schemas.update(described.pop("$defs", {}))
        schemas[name] = described
    return schema


async def once(
    control: ControlPlane, subject: str, request: Request, act: Callable[[str], Awaitable[Response]]
) -> Response:
    """Act, unless the same request with the same Idempotency-Key was answered already; then answer the same.

    `act` is given the key, or nothing.
    Raises: InputError for an unusable key, ConflictError for one that was used for another request.
    """
    asked = await asked_of(control, subject, request)
    if asked is None:
        return await act("")
    access = control.store.access
    reply = access.recall_reply(subject, asked.key, asked.request)
    if reply is not None:
        return Response(reply.response, status_code=reply.status, media_type=JSON)
    response = await act(asked.key)
    reply = Reply(status=response.status_code, response=bytes(response.body))
    access.keep_reply(subject, asked.key, asked.request, reply, asked.kept_machine_ms)
    return response


async def once_alike(
    control: ControlPlane, subject: str, request: Request, act: Callable[[Asked | None], Awaitable[Response]]
) -> Response:
    """Act, also when the request comes again: `act` changes nothing then, and keeps what was asked with what it does.

    Raises: as `once`.
    """
    asked = await asked_of(control, subject, request)
    if asked is not None:
        control.store.access.recall_reply(subject, asked.key, asked.request)
    return await act(asked)


def key_of(request: Request) -> str:
    """The request's Idempotency-Key, or nothing. Raises: InputError."""
    key = request.headers.get("idempotency-key", "")
    if len(key) > KEY_CHARS or not key.isascii() or not key.isprintable():
        raise InputError(f"an Idempotency-Key has at most {KEY_CHARS} printable ASCII characters", code="SW-149")
    return key


async def asked_of(control: ControlPlane, subject: str, request: Request) -> Asked | None:
    """What is asked under a key, so that a key is never answered with another request's reply; None without one.

    Raises: InputError for an unusable key.
    """
    key = key_of(request)
    if not key:
        return None
    line = f"{request.method} {request.url.path}\n".encode()
    asked = digest_bytes(line + await request.body())
    return Asked(subject=subject, key=key, request=asked, kept_machine_ms=control.clock.machine_ms())


async def secret_once(control: ControlPlane, subject: str, request: Request, keep: Callable[[str], None]) -> str:
    """A new token that `keep` stores; the same one, and not stored again, when the request comes again with its key.

    No reply that holds a secret is kept: under a key the token follows from the service's own secret instead.
    Raises: as `once`.
    """
    asked = await asked_of(control, subject, request)
    if asked is None:
        token = mint_token()
        keep(token)
        return token
    known = control.store.access.recall_reply(subject, asked.key, asked.request)
    named = f"token\n{subject}\n{asked.key}\n{asked.request}".encode()
    token = mint_token(hmac.digest(control.seed, named, "sha256"))
    if known is None:
        keep(token)
        reply = Reply(status=200, response=b"")
        control.store.access.keep_reply(subject, asked.key, asked.request, reply, asked.kept_machine_ms)
    return token


async def spooled(request: Request) -> BinaryIO:
    """The body in a temporary file, at its start; small bodies stay in memory."""
    file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115  closed by the caller
    try:
        async for chunk in request.stream():
            file.write(chunk)
        file.seek(0)
    except OSError as reason:
        file.close()
        raise SourceError(f"the body cannot be kept on its way: {reason}", code="SW-211") from None
    except BaseException:
        file.close()
        raise
    return cast("BinaryIO", file)
