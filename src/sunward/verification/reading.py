"""Signed batches of readings, read and checked from the text of docs/readings.md alone."""

from __future__ import annotations

import binascii
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import cbor2

from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.model.reading import READING_FORMAT, ReadingBatch, Span
from sunward.verification.exact import MILLION, MS_IN_DAY
from sunward.verification.signature import signed_by

PREFIX = bytes.fromhex("d28443a10127a0")
"""Tag 18, four parts; protected {1: -8}: the algorithm is EdDSA; nothing unprotected."""
SIGNATURE_HEAD = bytes.fromhex("5840")
"""64 bytes follow."""
SIGNATURE_BYTES = 64
SIGNED_PREFIX = bytes.fromhex("846a") + b"Signature1" + bytes.fromhex("43a1012740")
"""Of the four parts that are signed, all but the payload."""
LENGTHS = {0x58: (1, 24), 0x59: (2, 1 << 8), 0x5A: (4, 1 << 16)}
"""First byte of a byte string of some length: how many bytes tell the length, and the least that needs so many."""
KEYS = tuple(range(1, 11))
SHARED_COUNTERS = frozenset({"host", "meter"})
"""Counters that never work for one lease alone."""
STATES = frozenset({"off", "asleep", "waking", "idle", "busy", "draining"})
HASH_BYTES = 32
NAME_MAX = 128
NUMBER_MAX = 2**53 - 1
SPANS_MAX, SPANS_OF_ONE_MAX = 20_000, 120
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
NOT_CBOR = (cbor2.CBORError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError, MemoryError)
"""What the reader of CBOR lets through where a tagged value is nonsense, besides its own errors."""


class ToldSpan(NamedTuple):
    """A span as its message has it: the fields of `model.reading.Span` in the order in which they are signed."""

    device: str
    lease: str
    state: str
    t0_ms: int
    t1_ms: int
    start_j: int
    end_j: int


@dataclass(slots=True, kw_only=True)
class ToldBatch:
    """A batch as its message has it: the fields of `model.reading.ReadingBatch`, made in a third of the time."""

    site: str
    boot: str
    counter: int
    t0_ms: int
    t1_ms: int
    previous: str
    uncertainty_ppm: int
    quality: Quality
    spans: tuple[ToldSpan, ...]


class Message(NamedTuple):
    """A message that was read; its signature is still to be checked."""

    batch: ToldBatch
    hash: str
    """SHA-256 of the whole message, hex."""
    signed: bytes
    signature: bytes


AnySpan: TypeAlias = Span | ToldSpan
AnyBatch: TypeAlias = ReadingBatch | ToldBatch
SPAN_TYPES = (str, str, str, int, int, int, int)


def read_message(text: str) -> Message:
    """A message from its base64.

    Raises: InputError with what does not fit.
    """
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
        if len(raw) > MESSAGE_BYTES_MAX:
            raise InputError("it has more bytes than are taken")
        # The last letter of base64 may hold bits that no byte uses.
        if binascii.b2a_base64(raw, newline=False) != text.encode():
            raise InputError("its base64 is not in its one valid form")
        told, payload, signature = _parts(raw)
        batch = _batch(cbor2.loads(payload, str_errors="replace"), payload)
    except (binascii.Error, *NOT_CBOR) as reason:
        raise InputError(f"it is not a reading: {type(reason).__name__}") from None
    return Message(batch, hashlib.sha256(raw).hexdigest(), SIGNED_PREFIX + told, signature)


def _parts(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """The payload with its length in front, the payload, and the signature of a message in its one valid form."""
    end = len(raw) - SIGNATURE_BYTES - len(SIGNATURE_HEAD)
    begin = len(PREFIX)
    told, signature = raw[begin:end], raw[end + len(SIGNATURE_HEAD) :]
    digits, least = LENGTHS.get(told[0] if told else 0, (0, 0))
    size = int.from_bytes(told[1 : 1 + digits], "big")
    framed = raw.startswith(PREFIX) and raw.startswith(SIGNATURE_HEAD, max(end, begin))
    if not framed or not digits or size < least or len(told) != 1 + digits + size:
        raise InputError("it is not a COSE_Sign1 message by an Ed25519 key in its one valid form")
    return told, told[1 + digits :], signature


def message_signed(signed: bytes, signature: bytes, public_key: str) -> bool:
    """Whether the site's key signed the message."""
    return signed_by(public_key, signature, signed)


def unsigned(messages: Sequence[tuple[Message, str]]) -> Iterator[ToldBatch]:
    """Batches that their key did not sign, among messages in order of site and number, each with its key.

    A batch is signed, or named by the hash of its whole message in the next one of the same key, for which the same
    holds: the last signature of an unbroken chain covers all of it.
    """
    after: tuple[Message, str] | None = None
    for message, key in reversed(messages):
        batch, named = message.batch, False
        if after is not None and after[1] == key:
            follower = after[0].batch
            follows = follower.counter == batch.counter + 1 and follower.site == batch.site
            named = follows and follower.previous == message.hash
        after = message, key
        if not named and not message_signed(message.signed, message.signature, key):
            yield batch
            after = None


def faults(batch: AnyBatch) -> Iterator[str]:
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
    if len(batch.spans) > SPANS_OF_ONE_MAX:
        spans = Counter(span.device for span in batch.spans)
        if spans.total() > SPANS_MAX or max(spans.values()) > SPANS_OF_ONE_MAX:
            yield "it has more spans than are taken"
    last: dict[str, AnySpan] = {}
    known = {""}
    sound = batch.t0_ms >= 0 and batch.t1_ms <= NUMBER_MAX
    for span in batch.spans:
        before = last.get(span.device)
        if not (sound and _is_sound(span, batch, before, known)):
            yield from _faults_of(span, batch, before)
        last[span.device] = span


def _is_sound(span: AnySpan, batch: AnyBatch, before: AnySpan | None, known: set[str]) -> bool:
    """Whether there is nothing to say of a span, in one look; `_faults_of` has the words.

    `known`: leases that were looked at; most spans of a batch name the same few.
    """
    device, lease, t0_ms, start_j, end_j = span.device, span.lease, span.t0_ms, span.start_j, span.end_j
    if lease not in known:
        if len(lease) > NAME_MAX or not lease.isprintable():
            return False
        known.add(lease)
    return (
        0 < len(device) <= NAME_MAX
        and device.isprintable()
        and (not lease or device not in SHARED_COUNTERS)
        and span.state in STATES
        and batch.t0_ms <= t0_ms < span.t1_ms <= batch.t1_ms
        and 0 <= start_j <= end_j <= NUMBER_MAX
        and (before is None or (t0_ms >= before.t1_ms and start_j >= before.end_j))
    )


def _faults_of(span: AnySpan, batch: AnyBatch, before: AnySpan | None) -> Iterator[str]:
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


def _batch(fields: Any, payload: bytes) -> ToldBatch:  # noqa: ANN401  whatever CBOR held
    if not isinstance(fields, dict) or tuple(fields) != KEYS or cbor2.dumps(fields) != payload:
        raise InputError("its payload is not the canonical map of ten fields")
    format_, site, boot, counter, t0_ms, t1_ms, previous, uncertainty_ppm, quality, spans = fields.values()
    if type(format_) is not int or format_ != READING_FORMAT:
        raise InputError(f"it has the unknown format {format_}")
    # A CBOR true is an int to Python, hence the exact types.
    types = tuple(map(type, (site, boot, quality, counter, t0_ms, t1_ms, uncertainty_ppm, previous, spans)))
    if types != (str, str, str, int, int, int, int, bytes, list):
        raise InputError("a field has the wrong type")
    if len(previous) not in {0, HASH_BYTES}:
        raise InputError("its predecessor is named by no SHA-256")
    return ToldBatch(
        site=site,
        boot=boot,
        counter=counter,
        t0_ms=t0_ms,
        t1_ms=t1_ms,
        previous=previous.hex(),
        uncertainty_ppm=uncertainty_ppm,
        quality=Quality(quality),
        spans=tuple(map(_span, spans)),
    )


def _span(row: Any) -> ToldSpan:  # noqa: ANN401  whatever CBOR held
    # A CBOR true is an int to Python, hence the exact types.
    if type(row) is not list or tuple(map(type, row)) != SPAN_TYPES:
        raise InputError("a span is no list of three words and four numbers")
    return ToldSpan._make(row)
