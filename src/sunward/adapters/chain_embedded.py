"""A chain inside this process, for trying out: eth-tester's, kept in a file so that it outlives a crash.

The file holds every transaction with the time of its block, written before the chain takes it; opening the file takes
them all again, which gives the same chain. One process at a time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils.address import to_canonical_address
from eth_utils.exceptions import ValidationError
from web3 import EthereumTesterProvider, Web3

from sunward.adapters.chain_rpc import NOT_REACHED, REFUSED, Web3Chain
from sunward.adapters.secret_file import OWNER_ONLY
from sunward.errors import ChainRefusedError, InputError, SourceError
from sunward.model.codec import decode, encode

GRANT_WEI = 10**24
"""Coin for gas that the chain's first account begins with; it is worth nothing."""
GAS_LIMIT = 30_000_000
ASKER = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
"""In whose name eth-tester calls views; it must be able to pay for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What the file holds: the first line who was given coin, each other a transaction or a moment alone."""

    at_s: int
    granted: str = ""
    raw: str = ""


class EmbeddedChain(Web3Chain):
    """The chain port over eth-tester."""

    def __init__(self, granted: str, path: Path | None = None, now_s: int | None = None) -> None:
        lines = list(_read(path)) if path is not None and path.exists() else []
        first = lines[0] if lines else _Line(at_s=now_s or int(time.time()), granted=granted)
        self._path = path
        self._tester = EthereumTester(_backend(first))
        super().__init__(Web3(EthereumTesterProvider(self._tester)))
        if not lines:
            self._keep(first)
        for line in lines[1:]:
            # What the chain did not take the first time it does not take again, and nothing follows from it.
            with contextlib.suppress(SourceError):
                self._take(line)

    def now_s(self) -> int:
        """Time of the next block, at least."""
        told: int = self._tester.get_block_by_number("pending")["timestamp"]
        return told

    def travel(self, seconds: int) -> None:
        """Let time pass."""
        line = _Line(at_s=self.now_s() + seconds)
        self._keep(line)
        self._take(line)

    def gas(self, sender: str, to: str, data: bytes) -> int:
        """What a transaction would use. Raises: ChainRefusedError."""
        with _refused():
            return super().gas(sender, to, data)

    def read(self, to: str, data: bytes) -> bytes:
        """The answer of a contract's view. Raises: ChainRefusedError."""
        with _refused():
            return super().read(to, data)

    def send(self, raw: bytes) -> None:
        """Hand over a signed transaction; it is in a block of its own at once."""
        line = _Line(at_s=max(self.now_s(), int(time.time())), raw=raw.hex())
        self._keep(line)
        self._take(line)

    def _take(self, line: _Line) -> None:
        if line.at_s > self.now_s():
            self._tester.time_travel(line.at_s)
        if line.raw:
            try:
                super().send(bytes.fromhex(line.raw))
            except (ValidationError, TransactionFailed) as reason:
                if "nonce" not in str(reason):
                    raise SourceError(f"the chain answers: {reason}", code=NOT_REACHED) from None

    def _keep(self, line: _Line) -> None:
        if self._path is None:
            return
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OWNER_ONLY), "ab") as file:
            file.write(encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except TransactionFailed as reason:
        raise ChainRefusedError(f"the contract refuses: {reason}", transient=False, code=REFUSED) from None


def _backend(first: _Line) -> PyEVMBackend:
    parameters = PyEVMBackend.generate_genesis_params({"timestamp": first.at_s, "gas_limit": GAS_LIMIT})
    account = {"balance": GRANT_WEI, "nonce": 0, "code": b"", "storage": {}}
    holders = {to_canonical_address(one): account for one in (ASKER, first.granted)}
    return PyEVMBackend(genesis_parameters=parameters, genesis_state=holders)


def _read(path: Path) -> Iterator[_Line]:
    """What the file holds; a last line that was cut off by a crash was taken by nobody."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for number, raw in enumerate(whole.split(b"\n") if whole else (), 1):
        try:
            yield decode(raw, _Line)
        except InputError as reason:
            line = f"{path}, line {number}: {reason.message}; delete the file to begin another embedded chain"
            raise InputError(line, code="SW-827") from None
