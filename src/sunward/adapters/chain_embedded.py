"""A chain on this machine alone, for trying out: eth-tester's, kept in a file that several processes may use.

The file holds every transaction with the time of its block, written before the chain takes it. Whoever opens the file
takes them all in the same order, which gives the same chain; what others add is taken before anything is asked.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from eth_account.types import TransactionDictType
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils.address import to_canonical_address
from eth_utils.exceptions import ValidationError
from web3 import EthereumTesterProvider, Web3
from web3.eth import Eth

from sunward.adapters.chain_rpc import NOT_REACHED, REFUSED, Web3Chain
from sunward.adapters.secret_file import OWNER_ONLY
from sunward.errors import ChainRefusedError, InputError, SourceError
from sunward.model.codec import decode, encode

GRANT_WEI = 10**24
"""Coin for gas that the chain's first account begins with; it is worth nothing."""
GAS_LIMIT = 30_000_000
ASKER = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
"""In whose name eth-tester calls views; it must be able to pay for them."""
ASKER_KEY = (1).to_bytes(32, "big")
TRANSFER_GAS = 21_000
DAMAGED = "SW-827"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What the file holds: the first line who was given coin, each other the time of a block, and what is in it."""

    at_s: int
    granted: str = ""
    raw: str = ""


class EmbeddedChain(Web3Chain):
    """The chain port over eth-tester."""

    def __init__(self, granted: str, path: Path) -> None:
        self._path = path
        self._taken = 0
        """Bytes of the file that the chain has taken."""
        with self._locked():
            lines = self._new()
            if not lines:
                lines = [_Line(at_s=int(time.time()), granted=granted)]
                self._write(lines[0])
        self._backend = _backend(lines[0])
        self._tester = EthereumTester(self._backend)
        super().__init__(Web3(EthereumTesterProvider(self._tester)))
        self._take(lines[1:])

    def _eth(self) -> Eth:
        if self._path.stat().st_size > self._taken:
            with self._locked():
                self._take(self._new())
        return super()._eth()

    def travel(self, seconds: int) -> None:
        """Let time pass."""
        with self._locked():
            self._take(self._new())
            line = _Line(at_s=self._last_s() + seconds)
            self._write(line)
            self._take([line])

    def grant(self, address: str, wei: int) -> None:
        """Give an account coin for gas, out of the one in whose name views are called; its key is known to all."""
        fees = self.fees()
        told: TransactionDictType = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": self.next_nonce(ASKER),
            "to": bytes.fromhex(address.removeprefix("0x")),
            "value": wei,
            "gas": TRANSFER_GAS,
            "maxFeePerGas": fees.most_wei,
            "maxPriorityFeePerGas": fees.tip_wei,
        }
        self.send(bytes(Account.from_key(ASKER_KEY).sign_transaction(told).raw_transaction))

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
        with self._locked():
            self._take(self._new())
            line = _Line(at_s=max(self._last_s() + 1, int(time.time())), raw=raw.hex())
            self._write(line)
            self._take_one(line)

    def _last_s(self) -> int:
        told: int = self._tester.get_block_by_number("latest")["timestamp"]
        return told

    def _take(self, lines: list[_Line]) -> None:
        for line in lines:
            # What the chain did not take the first time it does not take again, and nothing follows from it.
            with suppress(SourceError):
                self._take_one(line)

    def _take_one(self, line: _Line) -> None:
        self._backend.chain.set_header_timestamp(line.at_s)
        if not line.raw:
            self._backend.mine_blocks()
            return
        try:
            # The lock is held and all is taken, so nothing is looked for before it is sent.
            self._tester.send_raw_transaction(f"0x{line.raw}")
        except (ValidationError, TransactionFailed) as reason:
            if "nonce" not in str(reason):
                raise SourceError(f"the chain answers: {reason}", code=NOT_REACHED) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile."""
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, OWNER_ONLY), "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _new(self) -> list[_Line]:
        """Lines that were not taken yet; a last one that a crash cut off was taken by nobody, and goes."""
        raw = self._path.read_bytes()
        whole = raw[self._taken :].rpartition(b"\n")[0]
        found = []
        for one in whole.split(b"\n") if whole else ():
            try:
                found.append(decode(one, _Line))
            except InputError as reason:
                line = f"{self._path}: {reason.message}; delete the file to begin another embedded chain"
                raise InputError(line, code=DAMAGED) from None
        self._taken += len(whole) + 1 if whole else 0
        if len(raw) > self._taken:
            os.truncate(self._path, self._taken)
        return found

    def _write(self, line: _Line) -> None:
        with self._path.open("ab") as file:
            file.write(encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._taken = file.tell()


@contextmanager
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
