"""Mutations that know the form: bytes, JSON and CBOR values are changed where a parser looks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import cbor2

ODD = (
    0,
    -1,
    1,
    2**31,
    2**53,
    2**63,
    2**64,
    -(2**63),
    10**30,
    0.5,
    1e308,
    "",
    "\x00",
    "é",
    "x" * 300,
    True,
    None,
    [],
    {},
)
WORDS = (b"\x00", b"\xff\xff\xff\xff", b"[", b"{", b'"', b"1e999", b"-1", b"NaN", b"\xc3\x28", b"\n", b"9" * 40)
DEEP = 2_000
FIRST_ARRAY = b"\x80"
"""Arrays, maps and tags begin from here on."""


def mutated(data: bytes, draw: random.Random) -> bytes:
    """One seed, changed once to four times; every other time by its form, where it has one."""
    for _ in range(draw.randint(1, 4)):
        shaped = _shaped(data, draw) if draw.random() < 0.5 else None
        data = _bytes(data, draw) if shaped is None else shaped
    return data


def _shaped(data: bytes, draw: random.Random) -> bytes | None:
    # Lone text is not tried: for each that is not UTF-8 the reader of CBOR loses some memory for good.
    forms = ((json.loads, _json), (cbor2.loads, _cbor)) if data[:1] >= FIRST_ARRAY else ((json.loads, _json),)
    for load, dump in forms:
        try:
            value = load(data)
        except Exception:  # noqa: BLE001, S112  bytes of no form are changed as bytes
            continue
        try:
            return dump(_changed(value, draw))
        except Exception:  # noqa: BLE001  what the form cannot hold is changed as bytes too
            return None
    return None


def _json(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _cbor(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _changed(value: object, draw: random.Random) -> object:
    """The value with one part of it replaced, dropped, doubled or put elsewhere."""
    paths = list(_paths(value))
    path = draw.choice(paths)
    return _with(value, path, draw)


def _paths(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [at]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        found += _paths(part, (*at, key))
    return found


def _with(value: object, path: tuple[object, ...], draw: random.Random) -> object:
    if not path:
        return _replaced(value, draw)
    key, *rest = path
    copied = dict(value) if isinstance(value, dict) else list(value)  # type: ignore[call-overload]
    if not rest and draw.random() < 0.2:
        del copied[key]
    elif not rest and draw.random() < 0.1 and isinstance(copied, list):
        copied.insert(key, copied[key])
    else:
        copied[key] = _with(copied[key], tuple(rest), draw)
    return copied


def _replaced(value: object, draw: random.Random) -> object:
    if type(value) is int and draw.random() < 0.7:
        return value + draw.choice((-1, 1, 60_000, -60_000, 2**32))
    if isinstance(value, str | bytes) and draw.random() < 0.6:
        raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        changed = _bytes(raw, draw)
        return changed if isinstance(value, bytes) else changed.decode("utf-8", "replace")
    return draw.choice(ODD)


def _bytes(data: bytes, draw: random.Random) -> bytes:
    at = draw.randint(0, len(data))
    some = draw.randint(1, 8)
    steps: tuple[Callable[[], bytes], ...] = (
        lambda: data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :],
        lambda: data[:at] + data[at + some :],
        lambda: data[:at] + draw.choice(WORDS) + data[at:],
        lambda: data[:at] + data[at : at + 40 * some] * 2 + data[at + 40 * some :],
        lambda: data[:at],
        lambda: data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :] if at < len(data) else data,
        lambda: data[:at] + draw.choice((b"[", b"\x81", b'{"a":')) * draw.choice((2, DEEP)) + data[at:],
    )
    return draw.choice(steps)()
