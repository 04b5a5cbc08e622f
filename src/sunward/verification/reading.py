"""Signed batches of readings, read and checked from the text of docs/readings.md alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import cbor2

from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.model.reading import READING_FORMAT, ReadingBatch, Span
from sunward.verification.exact import MILLION, MS_IN_DAY
from sunward.verification.signature import signed_by

SIGN1_PARTS = 4
PREFIX = bytes.fromhex("d28443a10127a0")
"""Tag 18, four parts; protected {1: -8}: the algorithm is EdDSA; nothing unprotected."""
SIGNATURE_HEAD = bytes.fromhex("5840")
"""64 bytes follow."""
SIGNED_PREFIX = bytes.fromhex("846a") + b"Signature1" + bytes.fromhex("43a1012740")
"""Of the four parts that are signed, all but the payload."""
KEYS = tuple(range(1, 11))
SHARED_COUNTERS = frozenset({"host", "meter"})
"""Counters that never work for one lease alone."""
STATES = frozenset({"off", "asleep", "waking", "idle", "busy", "draining"})
HASH_BYTES = 32
SPAN_FIELDS = 7
NAME_MAX = 128
NUMBER_MAX = 2**53 - 1
SPANS_MAX, SPANS_OF_ONE_MAX = 20_000, 120
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
NOT_CBOR = (cbor2.CBORError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError, MemoryError)
"""What the reader of CBOR lets through where a tagged value is nonsense, besides its own errors."""


def read_message(text: str) -> tuple[ReadingBatch, str, bytes, bytes]:
    """A base64 message as batch, hash, signed bytes and signature; the signature is still to be checked.

    Raises: InputError with what does not fit.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        if len(raw) > MESSAGE_BYTES_MAX:
            raise InputError("it has more bytes than are taken")
        # The last letter of base64 may hold bits that no byte uses.
        if base64.b64encode(raw).decode() != text:
            raise InputError("its base64 is not in its one valid form")
        payload, signature = _parts(cbor2.loads(raw))
        told = cbor2.dumps(payload)
        if raw != PREFIX + told + SIGNATURE_HEAD + signature:
            raise InputError("it is not a COSE_Sign1 message by an Ed25519 key in its one valid form")
        batch = _batch(cbor2.loads(payload, str_errors="replace"), payload)
    except (binascii.Error, *NOT_CBOR) as reason:
        raise InputError(f"it is not a reading: {type(reason).__name__}") from None
    return batch, hashlib.sha256(raw).hexdigest(), SIGNED_PREFIX + told, signature


def _parts(message: Any) -> tuple[bytes, bytes]:  # noqa: ANN401  whatever CBOR held
    """Payload and signature of a message; its headers are compared as bytes."""
    parts = message.value if isinstance(message, cbor2.CBORTag) else None
    if type(parts) is not list or len(parts) != SIGN1_PARTS:
        raise InputError("it is not a COSE_Sign1 message")
    _, _, payload, signature = parts
    if type(payload) is not bytes or type(signature) is not bytes:
        raise InputError("its payload or signature is no byte string")
    return payload, signature


def message_signed(signed: bytes, signature: bytes, public_key: str) -> bool:
    """Whether the site's key signed the message."""
    return signed_by(public_key, signature, signed)


def faults(batch: ReadingBatch) -> Iterator[str]:
    """What cannot be true of a batch, in words."""
    if not 0 < batch.t1_ms - batch.t0_ms <= MS_IN_DAY:
        yield "it covers no time or more than a day"
    if not (_is_name(batch.site) and _is_name(batch.boot)):
        yield "its site or boot is no name of 1 to 128 printable characters"
    if batch.counter < 1 or bool(batch.previous) != (batch.counter > 1):
        yield "its number is below 1, or the first batch names another one, or a later one names none"
    if batch.uncertainty_ppm > MILLION:
        yield "its uncertainty is more than the whole"
    if not _in_range((batch.counter, batch.t0_ms, batch.t1_ms, batch.uncertainty_ppm)):
        yield "a number of it lies outside 0 to 2^53 - 1"
    spans = Counter(span.device for span in batch.spans)
    if spans.total() > SPANS_MAX or max(spans.values(), default=0) > SPANS_OF_ONE_MAX:
        yield "it has more spans than are taken"
    last: dict[str, Span] = {}
    for span in batch.spans:
        if not _is_sound(span, batch, last.get(span.device)):
            yield from _faults_of(span, batch, last.get(span.device))
        last[span.device] = span


def _is_sound(span: Span, batch: ReadingBatch, before: Span | None) -> bool:
    """Whether there is nothing to say of a span, in one look; `_faults_of` has the words."""
    device, lease = span.device, span.lease
    return (
        0 < len(device) <= NAME_MAX
        and device.isprintable()
        and (not lease or (len(lease) <= NAME_MAX and lease.isprintable() and device not in SHARED_COUNTERS))
        and span.state in STATES
        and 0 <= batch.t0_ms <= span.t0_ms < span.t1_ms <= batch.t1_ms <= NUMBER_MAX
        and 0 <= span.start_j <= span.end_j <= NUMBER_MAX
        and (before is None or (span.t0_ms >= before.t1_ms and span.start_j >= before.end_j))
    )


def _faults_of(span: Span, batch: ReadingBatch, before: Span | None) -> Iterator[str]:
    if not (_is_name(span.device) and (not span.lease or _is_name(span.lease)) and span.state in STATES):
        yield "a span's device, lease or state is none"
    if not _in_range((span.t0_ms, span.t1_ms, span.start_j, span.end_j)):
        yield f"a number of {span.device} lies outside 0 to 2^53 - 1"
    if not batch.t0_ms <= span.t0_ms < span.t1_ms <= batch.t1_ms:
        yield f"a span of {span.device} lies outside the batch"
    if span.end_j < span.start_j or span.start_j < 0:
        yield f"the counter of {span.device} falls"
    if span.lease and span.device in SHARED_COUNTERS:
        yield f"{span.device} is said to work for one lease"
    if before and (span.t0_ms < before.t1_ms or span.start_j < before.end_j):
        yield f"spans of {span.device} overlap or its counter falls between them"


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_MAX and text.isprintable()


def _in_range(numbers: Iterable[int]) -> bool:
    return all(0 <= number <= NUMBER_MAX for number in numbers)


def _batch(fields: Any, payload: bytes) -> ReadingBatch:  # noqa: ANN401  whatever CBOR held
    if not isinstance(fields, dict) or tuple(fields) != KEYS or cbor2.dumps(fields) != payload:
        raise InputError("its payload is not the canonical map of ten fields")
    if type(fields[1]) is not int or fields[1] != READING_FORMAT:
        raise InputError(f"it has the unknown format {fields[1]}")
    strings = (fields[2], fields[3], fields[9])
    numbers = (fields[4], fields[5], fields[6], fields[8])
    if not _all(strings, str) or not _all(numbers, int) or type(fields[7]) is not bytes or type(fields[10]) is not list:
        raise InputError("a field has the wrong type")
    if len(fields[7]) not in {0, HASH_BYTES}:
        raise InputError("its predecessor is named by no SHA-256")
    return ReadingBatch(
        site=fields[2],
        boot=fields[3],
        counter=fields[4],
        t0_ms=fields[5],
        t1_ms=fields[6],
        previous=fields[7].hex(),
        uncertainty_ppm=fields[8],
        quality=Quality(fields[9]),
        spans=tuple(map(_span, fields[10])),
    )


def _span(row: Any) -> Span:  # noqa: ANN401  whatever CBOR held
    if type(row) is not list or len(row) != SPAN_FIELDS:
        raise InputError("a span is no list of seven")
    device, lease, state, t0_ms, t1_ms, start_j, end_j = row
    # A CBOR true is an int to Python, hence the exact type.
    words = type(device) is str and type(lease) is str and type(state) is str
    if not (words and type(t0_ms) is int and type(t1_ms) is int and type(start_j) is int and type(end_j) is int):
        raise InputError("a span has a field of the wrong type")
    return Span(device=device, lease=lease, state=state, t0_ms=t0_ms, t1_ms=t1_ms, start_j=start_j, end_j=end_j)


def _all(values: tuple[object, ...], kind: type) -> bool:
    # A CBOR true is an int to Python, hence the exact type.
    return all(type(value) is kind for value in values)
