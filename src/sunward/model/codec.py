"""One canonical encoding for every record: JSON with fields in declared order.

Equal records give equal bytes, so a digest of the bytes is a digest of the record.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec
from msgspec import Meta

from sunward.errors import InputError

__all__ = ["Meta", "convert", "decode", "digest", "digest_bytes", "encode", "json_schema"]

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="deterministic")
_decoders: dict[type, msgspec.json.Decoder] = {}  # type: ignore[type-arg]


def encode(record: object) -> bytes:
    """The canonical bytes of a record (dataclasses, tuples, enums, str, int, bool, None; dicts sorted)."""
    return _encoder.encode(record)


def decode(raw: bytes | str, kind: type[T]) -> T:
    """Read a record of one type.

    Raises: InputError naming the field that does not fit.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(raw)  # type: ignore[no-any-return]
    except RecursionError:
        raise InputError(f"not a valid {kind.__name__}: it is nested too deeply", code="SW-101") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"not a valid {kind.__name__}: {reason}", code="SW-101") from None


def convert(values: object, kind: type[T]) -> T:
    """A record from plain values, where text may stand for a number or a truth value.

    Raises: InputError with the text of the misfit and the path to it.
    """
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as reason:
        raise InputError(str(reason), code="SW-101") from None


def json_schema(kind: type) -> dict[str, Any]:
    """The JSON schema of a record type."""
    return msgspec.json.schema(kind)


def digest(record: object) -> str:
    """SHA-256 of the canonical bytes, lower-case hex."""
    return hashlib.sha256(encode(record)).hexdigest()


def digest_bytes(raw: bytes) -> str:
    """SHA-256 of raw bytes, lower-case hex."""
    return hashlib.sha256(raw).hexdigest()
