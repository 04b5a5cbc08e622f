"""The wire format of readings: one CBOR map with integer keys inside one COSE_Sign1 message (RFC 9052).

Every message has exactly one valid form, byte for byte: fixed headers, no unprotected header, shortest
CBOR. So no byte of an accepted message can be changed, and equal batches under one key are equal bytes.
docs/readings.md is the specification.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cwt import COSE, COSEKey, VerifyError

from sunward.errors import InputError
from sunward.model.codec import digest_bytes
from sunward.model.datum import Quality
from sunward.model.hardware import PowerState
from sunward.model.reading import READING_FORMAT, ReadingBatch, Span
from sunward.model.site import SiteSpec
from sunward.units import DAY_MS, PPM

NOT_SIGN1: Final = "SW-301"
BAD_SIGNATURE: Final = "SW-302"
UNKNOWN_VERSION: Final = "SW-303"
BAD_FIELD: Final = "SW-304"
BAD_KEY: Final = "SW-305"

HOST: Final = "host"
METER: Final = "meter"

BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
BATCH_MS_MAX: Final = DAY_MS
SPANS_MAX: Final = 20_000
SPANS_PER_COUNTER_MAX: Final = 120
"""Two changes of state a second over a minute: no real device comes near it."""
TEXT_MAX: Final = 128
INTEGER_MAX: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps; sums of many still fit 64 bits."""

_FIELDS: Final = (
    "format",
    "site",
    "boot",
    "counter",
    "t0_ms",
    "t1_ms",
    "previous",
    "uncertainty_ppm",
    "quality",
    "spans",
)
_SPAN_FIELDS: Final = ("device", "lease", "state", "t0_ms", "t1_ms", "start_j", "end_j")
_STATES: Final = frozenset(PowerState)
_QUALITIES: Final = frozenset(Quality)
_HASH_BYTES: Final = 32
# What cbor2 lets through when a tagged value is nonsense (a broken pattern, a fraction over zero) besides its own.
_NOT_CBOR: Final = (cbor2.CBORError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)

# COSE (RFC 9052, RFC 9053): tag 18, four parts; protected {1: -8} says EdDSA; the unprotected map is empty.
_ALG: Final = 1
_EDDSA: Final = -8
_PREFIX: Final = bytes.fromhex("d28443a10127a0")
_SIGNATURE_HEAD: Final = bytes.fromhex("5840")
_TAIL_BYTES: Final = 66
_STRING_HEADS: Final = (1, 2, 3, 5)
# COSE_Key of type OKP: 1 = kty, 3 = alg, -1 = crv (6 = Ed25519), -2 = x, -4 = d.
_OKP: Final = {1: 1, 3: _EDDSA, -1: 6}


def encode_batch(batch: ReadingBatch, private_key: Ed25519PrivateKey) -> bytes:
    """Sign one batch; equal batches and keys give equal bytes.

    Raises: InputError (SW-304) when the batch breaks a rule of the format, so nothing invalid is ever signed.
    """
    check_batch(batch)
    public = private_key.public_key().public_bytes_raw()
    key = COSEKey.new({**_OKP, -2: public, -4: private_key.private_bytes_raw()})
    raw = COSE.new().encode_and_sign(_payload(batch), key, protected={_ALG: _EDDSA})
    if len(raw) > BATCH_BYTES_MAX:
        _bad_field(f"the batch has {len(raw)} bytes; at most {BATCH_BYTES_MAX} are taken")
    return bytes(raw)


def decode_batch(raw: bytes, public_key_hex: str) -> ReadingBatch:
    """Verify and read one batch.

    Raises: InputError with SW-301 (not such a message), SW-302 (another key, or a byte was changed),
    SW-303 (version), SW-304 (field), SW-305 (the public key itself).
    """
    payload = _unframed(raw)
    _verify(raw, public_key_hex)
    batch = _read(payload)
    check_batch(batch)
    if _payload(batch) != payload:
        _bad_field("the payload is not in canonical CBOR; sort keys and use the shortest form of each number")
    return batch


def decode_of_site(raw: bytes, site: SiteSpec) -> ReadingBatch:
    """Verify and read one batch under the key that signs its number at the site.

    Raises: InputError as `decode_batch` does; SW-302 for a key that may not sign this number.
    """
    for key in (*(one.public_key for one in site.retired_keys), site.public_key):
        try:
            batch = decode_batch(raw, key)
        except InputError as reason:
            if reason.code != BAD_SIGNATURE or key == site.public_key:
                raise
            continue
        if site.key_at(batch.counter) == key:
            return batch
    raise InputError("the reading is signed by a key that may not sign its number", code=BAD_SIGNATURE)


def batch_hash(raw: bytes) -> str:
    """SHA-256 of the whole signed message, hex: what the next batch names as `previous`."""
    return digest_bytes(raw)


def check_batch(batch: ReadingBatch) -> None:
    """Check every rule that one batch can be held to alone.

    Raises: InputError (SW-304) naming the first field that does not fit.
    """
    for name, text in (("site", batch.site), ("boot", batch.boot)):
        _check_text(name, text)
    _check_range("counter", batch.counter, least=1)
    _check_interval("batch", batch.t0_ms, batch.t1_ms)
    if batch.t1_ms - batch.t0_ms > BATCH_MS_MAX:
        _bad_field(f"the batch covers more than {BATCH_MS_MAX} ms; sign shorter batches")
    if bool(batch.previous) != (batch.counter > 1):
        _bad_field("previous must be empty in batch 1 and only there")
    _check_range("uncertainty_ppm", batch.uncertainty_ppm, most=PPM)
    if batch.quality not in _QUALITIES:
        _bad_field(f"quality {batch.quality!r} is not one of {', '.join(Quality)}")
    if len(batch.spans) > SPANS_MAX:
        _bad_field(f"{len(batch.spans)} spans; at most {SPANS_MAX} are taken in one batch")
    for index, span in enumerate(batch.spans):
        _check_span(f"spans[{index}]", span, batch)
    _check_counters(batch.spans)


def _payload(batch: ReadingBatch) -> bytes:
    values = (
        READING_FORMAT,
        batch.site,
        batch.boot,
        batch.counter,
        batch.t0_ms,
        batch.t1_ms,
        _hash_bytes(batch.previous),
        batch.uncertainty_ppm,
        str(batch.quality),
        [[s.device, s.lease, str(s.state), s.t0_ms, s.t1_ms, s.start_j, s.end_j] for s in batch.spans],
    )
    return cbor2.dumps(dict(enumerate(values, start=1)), canonical=True)


def _unframed(raw: bytes) -> bytes:
    """The payload, when the frame is the one valid form; no untrusted CBOR is decoded to find out."""
    if len(raw) > BATCH_BYTES_MAX:
        raise InputError(f"the reading has {len(raw)} bytes; at most {BATCH_BYTES_MAX} are taken", code=NOT_SIGN1)
    signed = raw[len(_PREFIX) : -_TAIL_BYTES]
    if raw.startswith(_PREFIX) and raw[-_TAIL_BYTES:].startswith(_SIGNATURE_HEAD):
        for head in _STRING_HEADS:
            payload = signed[head:]
            if cbor2.dumps(payload) == signed:
                return payload
    raise InputError("the reading is not a COSE_Sign1 message signed with EdDSA; see docs/readings.md", code=NOT_SIGN1)


def _verify(raw: bytes, public_key_hex: str) -> None:
    try:
        key = COSEKey.new({**_OKP, -2: bytes.fromhex(public_key_hex)})
    except ValueError:
        raise InputError("the public key of a site is 64 hex digits of an Ed25519 key", code=BAD_KEY) from None
    try:
        COSE.new().decode(raw, key)
    except VerifyError:
        message = "the signature does not fit: another key signed the reading, or a byte was changed"
        raise InputError(message, code=BAD_SIGNATURE) from None


def _read(payload: bytes) -> ReadingBatch:
    """The batch in a payload whose signature holds; a signer may still have written nonsense."""
    try:
        # Text that is no UTF-8 is replaced here and found when the payload is made again: as an error of the
        # reader it would keep its memory for good.
        fields = cbor2.loads(payload, str_errors="replace")
    except _NOT_CBOR:
        _bad_field("the payload is not CBOR")
    if not isinstance(fields, dict) or 1 not in fields:
        _bad_field("the payload is not a map with the format under key 1")
    if type(fields[1]) is not int or fields[1] != READING_FORMAT:
        message = f"this version of sunward reads format {READING_FORMAT} of readings, not the one sent: upgrade it"
        raise InputError(message, code=UNKNOWN_VERSION)
    if list(fields) != list(range(1, len(_FIELDS) + 1)):
        _bad_field(f"the payload must have exactly the keys 1 to {len(_FIELDS)}")
    _, site, boot, counter, t0_ms, t1_ms, previous, uncertainty_ppm, quality, spans = fields.values()
    _check_types(_FIELDS, tuple(fields.values()), (int, str, str, int, int, int, bytes, int, str, list))
    if len(previous) not in (0, _HASH_BYTES):
        _bad_field("previous is neither empty nor a SHA-256")
    if quality not in _QUALITIES:
        _bad_field(f"quality {quality!r:.20} is not one of {', '.join(Quality)}")
    return ReadingBatch(
        site=site,
        boot=boot,
        counter=counter,
        t0_ms=t0_ms,
        t1_ms=t1_ms,
        previous=previous.hex(),
        uncertainty_ppm=uncertainty_ppm,
        quality=Quality(quality),
        spans=tuple(_read_span(index, row) for index, row in enumerate(spans)),
    )


def _read_span(index: int, row: object) -> Span:
    if not isinstance(row, list) or len(row) != len(_SPAN_FIELDS):
        _bad_field(f"spans[{index}] must hold {', '.join(_SPAN_FIELDS)}")
    _check_types((f"spans[{index}].{name}" for name in _SPAN_FIELDS), row, (str, str, str, int, int, int, int))
    device, lease, state, t0_ms, t1_ms, start_j, end_j = row
    return Span(device=device, lease=lease, state=state, t0_ms=t0_ms, t1_ms=t1_ms, start_j=start_j, end_j=end_j)


def _check_span(name: str, span: Span, batch: ReadingBatch) -> None:
    _check_text(f"{name}.device", span.device)
    if span.lease:
        _check_text(f"{name}.lease", span.lease)
        if span.device in (HOST, METER):
            _bad_field(f"{name}: {span.device} works for no single lease; leave lease empty")
    if span.state not in _STATES:
        _bad_field(f"{name}.state {span.state!r:.20} is not one of {', '.join(PowerState)}")
    _check_interval(name, span.t0_ms, span.t1_ms)
    if span.t0_ms < batch.t0_ms or span.t1_ms > batch.t1_ms:
        _bad_field(f"{name} lies outside the batch's [t0_ms, t1_ms)")
    _check_range(f"{name}.start_j", span.start_j)
    _check_range(f"{name}.end_j", span.end_j)
    if span.end_j < span.start_j:
        _bad_field(f"{name}.end_j is less than start_j; a cumulative counter never falls")


def _check_counters(spans: Iterable[Span]) -> None:
    """Spans of one counter follow each other in time, and its joules never fall."""
    last: dict[str, Span] = {}
    seen: dict[str, int] = {}
    for index, span in enumerate(spans):
        before = last.get(span.device)
        if before is not None and span.t0_ms < before.t1_ms:
            _bad_field(f"spans[{index}] overlaps an earlier span of {span.device}")
        if before is not None and span.start_j < before.end_j:
            _bad_field(f"spans[{index}].start_j is below what {span.device} had already counted")
        last[span.device] = span
        seen[span.device] = seen.get(span.device, 0) + 1
        if seen[span.device] > SPANS_PER_COUNTER_MAX:
            _bad_field(f"more than {SPANS_PER_COUNTER_MAX} spans of {span.device} in one batch")


def _check_types(names: Iterable[str], values: Iterable[object], types: Iterable[type]) -> None:
    for name, value, kind in zip(names, values, types, strict=True):
        # A CBOR true must not pass for 1, so the exact type is asked for.
        if type(value) is not kind:
            _bad_field(f"{name} must be of type {kind.__name__}")


def _check_text(name: str, text: str) -> None:
    if not 0 < len(text) <= TEXT_MAX or not text.isprintable():
        _bad_field(f"{name} must be 1 to {TEXT_MAX} printable characters")


def _check_range(name: str, value: int, *, least: int = 0, most: int = INTEGER_MAX) -> None:
    if not least <= value <= most:
        _bad_field(f"{name} must lie in {least}..{most}")


def _check_interval(name: str, t0_ms: int, t1_ms: int) -> None:
    _check_range(f"{name}.t0_ms", t0_ms)
    _check_range(f"{name}.t1_ms", t1_ms)
    if t1_ms <= t0_ms:
        _bad_field(f"{name}: t1_ms must be later than t0_ms")


def _hash_bytes(hexadecimal: str) -> bytes:
    try:
        found = bytes.fromhex(hexadecimal)
    except ValueError:
        found = b"?"
    if len(found) not in (0, _HASH_BYTES) or found.hex() != hexadecimal:
        _bad_field("previous is neither empty nor a SHA-256 in lower-case hex")
    return found


def _bad_field(problem: str) -> NoReturn:
    raise InputError(f"malformed reading: {problem}", code=BAD_FIELD)
