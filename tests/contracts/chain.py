"""A chain in memory for the tests of contracts: deploy an artefact, call it, and read what it answered or emitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boa
import pytest
from eth_abi import decode, encode
from eth_utils import keccak, to_checksum_address
from vyper.compiler import compile_code

from tests.conftest import ROOT
from tests.contracts.tree import CHAIN_ID

__all__ = ["CHAIN_ID"]

START_S = 1_800_000_000
DAY_S = 86_400
TOKENS = Path(__file__).parent / "tokens"
ERROR = keccak(text="Error(string)")[:4]
ATH = 10**18


@cache
def artifact(name: str) -> dict[str, Any]:
    """What this checkout's contract compiles to, whichever is installed."""
    made: dict[str, Any] = json.loads((ROOT / "contracts" / "build" / f"{name}.json").read_text())
    return made


class Reverted(Exception):  # noqa: N818 - it is an answer, not a fault
    """A call that the contract refused, with its reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def person(name: str) -> str:
    """The address of an actor named by role."""
    return to_checksum_address(keccak(text=name)[12:])


def word(name: str) -> bytes:
    """Any 32 bytes, by name: an order, a verdict, a root."""
    return keccak(text=name)


OWNER, POSTER, VETOER, SLASHER, SINK, BUYER = map(person, ("owner", "poster", "vetoer", "slasher", "sink", "buyer"))
ALICE, BOB, CAROL, STRANGER = map(person, ("alice", "bob", "carol", "stranger"))


@dataclass(frozen=True)
class Event:
    """What a contract emitted."""

    name: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """One function or event of an ABI, ready for use."""

    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_view: bool


def solidity_type(field: dict[str, Any]) -> str:
    """The type of an ABI's field as it stands in a signature."""
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    inner = ",".join(solidity_type(one) for one in field["components"])
    return f"({inner}){field['type'].removeprefix('tuple')}"


class Contract:
    """A contract at an address; its functions are attributes."""

    def __init__(self, address: str, abi: list[dict[str, Any]]) -> None:
        self.address = address
        self.functions = {one["name"]: member(one) for one in abi if one["type"] == "function"}
        self.events = {event_topic(one): one for one in abi if one["type"] == "event"}
        self.logs: list[Event] = []
        """What the last call emitted here."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.functions:
            raise AttributeError(name)
        return lambda *args, sender=OWNER: self.call(name, *args, sender=sender)

    def data(self, name: str, *args: Any) -> bytes:
        """The bytes that call a function."""
        one = self.functions[name]
        return one.selector + encode(one.inputs, args)

    def call(self, name: str, *args: Any, sender: str = OWNER) -> Any:
        """What a function answers. Raises: Reverted."""
        one = self.functions[name]
        done = boa.env.execute_code(
            to_address=self.address, sender=sender, data=self.data(name, *args), is_modifying=not one.is_view
        )
        if done.is_error:
            raise Reverted(reason_of(done.output))
        if not one.is_view:
            self.logs = [self._event(topics, data) for at, topics, data in done.get_log_entries() if self._is(at)]
        answers = decode(one.outputs, done.output)
        return answers[0] if len(answers) == 1 else answers

    def _is(self, address: bytes) -> bool:
        return address == bytes.fromhex(self.address[2:])

    def _event(self, topics: tuple[int, ...], data: bytes) -> Event:
        one = self.events[topics[0]]
        indexed = [field for field in one["inputs"] if field["indexed"]]
        plain = [field for field in one["inputs"] if not field["indexed"]]
        values = {
            field["name"]: decode([field["type"]], topic.to_bytes(32, "big"))[0]
            for field, topic in zip(indexed, topics[1:], strict=True)
        }
        values |= dict(
            zip([field["name"] for field in plain], decode([field["type"] for field in plain], data), strict=True)
        )
        return Event(one["name"], values)


def member(one: dict[str, Any]) -> Member:
    """A function of an ABI."""
    inputs = tuple(solidity_type(field) for field in one["inputs"])
    return Member(
        selector=keccak(text=f"{one['name']}({','.join(inputs)})")[:4],
        inputs=inputs,
        outputs=tuple(solidity_type(field) for field in one["outputs"]),
        is_view=one["stateMutability"] in {"view", "pure"},
    )


def event_topic(one: dict[str, Any]) -> int:
    """The first topic of an event."""
    signature = f"{one['name']}({','.join(field['type'] for field in one['inputs'])})"
    return int.from_bytes(keccak(text=signature), "big")


def reason_of(output: bytes) -> str:
    """The reason of a revert; empty where there is none, which no contract here may do."""
    return str(decode(["string"], output[4:])[0]) if output[:4] == ERROR else ""


def deploy(name: str, *args: Any, sender: str = OWNER) -> Contract:
    """A contract from its artefact. Raises: Reverted."""
    made = artifact(name)
    return deploy_bytes(made["abi"], bytes.fromhex(made["bytecode"].removeprefix("0x")), *args, sender=sender)


def deploy_bytes(abi: list[dict[str, Any]], code: bytes, *args: Any, sender: str = OWNER) -> Contract:
    """A contract from ABI and bytecode. Raises: Reverted."""
    wanted = next((one["inputs"] for one in abi if one["type"] == "constructor"), [])
    bytecode = code + encode([field["type"] for field in wanted], args)
    address, done = boa.env.deploy(sender=sender, bytecode=bytecode)
    if done.is_error:
        raise Reverted(reason_of(done.output))
    return Contract(str(address), abi)


@cache
def compiled_token(name: str) -> tuple[list[dict[str, Any]], bytes]:
    """ABI and bytecode of a token of the tests, compiled once."""
    made = compile_code((TOKENS / f"{name}.vy").read_text(), output_formats=["abi", "bytecode"])
    return made["abi"], bytes.fromhex(made["bytecode"].removeprefix("0x"))


def deploy_token(name: str) -> Contract:
    """One of the hostile tokens."""
    return deploy_bytes(*compiled_token(name))


def now_s() -> int:
    """The time of the chain."""
    return int(boa.env.timestamp)


def pass_time(seconds: int) -> None:
    """Let time pass."""
    boa.env.time_travel(seconds=seconds)


def refuses(reason: str) -> AbstractContextManager[Any]:
    """Expect a call to be refused with exactly this reason."""
    return pytest.raises(Reverted, check=lambda found: found.reason == reason)


def give(token: Contract, holder: str, amount: int, *spenders: Contract) -> None:
    """Mint for a holder, who lets the spenders take all of it."""
    token.mint(holder, amount)
    for one in spenders:
        token.approve(one.address, 2**256 - 1, sender=holder)
