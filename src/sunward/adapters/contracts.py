"""The contracts' artefacts, which `sunward-contracts` holds, and how calls, answers and events are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import EncodingError
from eth_hash.auto import keccak

from sunward.errors import InputError, InvariantError
from sunward.ports import ChainLog

NOT_INSTALLED = "SW-826"
PACKAGE = "sunward_contracts"
SELECTOR_BYTES = 4


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract as it was compiled."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes

    def creation(self, *arguments: object) -> bytes:
        """What makes the contract."""
        return self.bytecode + _encoded(self._entry("constructor", ""), arguments)

    def call(self, function: str, *arguments: object) -> bytes:
        """A call of a function."""
        entry = self._entry("function", function)
        return keccak(_signature(entry).encode())[:SELECTOR_BYTES] + _encoded(entry, arguments)

    def answer(self, function: str, raw: bytes) -> tuple[Any, ...]:
        """What a view returned; the members of a structure stand side by side."""
        types = [_type(one) for one in self._entry("function", function)["outputs"]]
        told = decode(types, raw)
        return tuple(told[0]) if len(told) == 1 and isinstance(told[0], tuple) else tuple(told)

    def topic(self, event: str) -> bytes:
        """By what an event is found."""
        return keccak(_signature(self._entry("event", event)).encode())

    def event(self, name: str, log: ChainLog) -> dict[str, Any]:
        """The fields of an event."""
        inputs = self._entry("event", name)["inputs"]
        plain = [one for one in inputs if not one["indexed"]]
        told = dict(zip((one["name"] for one in plain), decode([one["type"] for one in plain], log.data), strict=True))
        indexed = [one for one in inputs if one["indexed"]]
        for one, topic in zip(indexed, log.topics[1:], strict=True):
            told[one["name"]] = decode([one["type"]], topic)[0]
        return told

    def _entry(self, kind: str, name: str) -> dict[str, Any]:
        for one in self.abi:
            if one["type"] == kind and one.get("name", "") in {name, "__init__"}:
                return one
        if kind == "constructor":
            return {"inputs": []}
        raise InvariantError(f"contract {self.name} has no {kind} {name}")


@cache
def contract(name: str) -> Contract:
    """An artefact by the contract's name.

    Raises: InputError where the package of the contracts is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        line = "the contracts are not installed; `make setup` installs them, or: pip install ./contracts"
        raise InputError(line, code=NOT_INSTALLED)
    told = json.loads((Path(found.origin).parent / "build" / f"{name}.json").read_text(encoding="utf-8"))
    return Contract(name, tuple(told["abi"]), bytes.fromhex(told["bytecode"].removeprefix("0x")))


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(_type(one) for one in entry['inputs'])})"


def _type(field: dict[str, Any]) -> str:
    """The type as signatures write it: a structure by its members."""
    told: str = field["type"]
    if not told.startswith("tuple"):
        return told
    return f"({','.join(_type(one) for one in field['components'])}){told.removeprefix('tuple')}"


def _encoded(entry: dict[str, Any], arguments: tuple[object, ...]) -> bytes:
    types = [_type(one) for one in entry["inputs"]]
    try:
        return encode(types, arguments)
    except EncodingError as reason:
        raise InvariantError(f"{entry.get('name', 'constructor')}: {reason}") from None
