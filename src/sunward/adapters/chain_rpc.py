"""A chain asked by JSON-RPC; whatever fails is named by whether asking again can help."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.eth import Eth
from web3.exceptions import BadResponseFormat, ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import FilterParams, TxParams, TxReceipt

from sunward.errors import ChainRefusedError, InputError, SourceError
from sunward.ports import ChainLog, Fees, Mined

# A library under web3 lets Python recurse 100,000 deep as it is loaded: a message nested so deep would end the process.
sys.setrecursionlimit(1_000)

NOT_REACHED, OTHER_CHAIN, REFUSED = "SW-821", "SW-822", "SW-823"
TIMEOUT_S = 20.0
GAS_MARGIN_PERCENT = 25
"""More gas than estimated: what is stored until a transaction is in a block may make it dearer."""
KNOWN_ALREADY = ("already known", "already imported", "nonce too low", "known transaction")
"""How nodes say that a transaction needs no sending: it waits there, or its number was used, by itself or another."""


class Web3Chain:
    """The chain port over a provider of web3."""

    def __init__(self, web3: Web3) -> None:
        self._web3 = web3
        with _asked():
            self._chain_id = web3.eth.chain_id

    @property
    def chain_id(self) -> int:
        """Which chain it is."""
        return self._chain_id

    def _eth(self) -> Eth:
        """What is asked; a chain that others write to looks what they wrote first."""
        return self._web3.eth

    def height(self) -> int:
        """Number of the newest block."""
        with _asked():
            return self._eth().block_number

    def next_nonce(self, address: str) -> int:
        """How many transactions of an address are in blocks."""
        with _asked():
            return self._eth().get_transaction_count(to_checksum_address(address), "latest")

    def balance(self, address: str) -> int:
        """What an address may spend on gas, wei."""
        with _asked():
            return self._eth().get_balance(to_checksum_address(address))

    def fees(self) -> Fees:
        """What gas costs now."""
        with _asked():
            base = self._eth().get_block("latest").get("baseFeePerGas", 0)
            return Fees(base_wei=base, tip_wei=self._eth().max_priority_fee)

    def gas(self, sender: str, to: str, data: bytes) -> int:
        """What a transaction would use, with a margin. Raises: ChainRefusedError."""
        asked: TxParams = {"from": to_checksum_address(sender), "data": HexBytes(data)}
        with _asked():
            used = self._eth().estimate_gas(asked | _to(to))
        return used * (100 + GAS_MARGIN_PERCENT) // 100

    def send(self, raw: bytes) -> None:
        """Hand over a signed transaction."""
        try:
            with _asked():
                self._eth().send_raw_transaction(raw)
        except SourceError as reason:
            if not any(words in reason.message.lower() for words in KNOWN_ALREADY):
                raise

    def mined(self, transaction: str) -> Mined | None:
        """What became of a transaction; nothing while no block holds it."""
        with _asked():
            try:
                found = self._eth().get_transaction_receipt(HexStr(transaction))
            except TransactionNotFound:
                return None
        return _mined(transaction, found)

    def read(self, to: str, data: bytes) -> bytes:
        """The answer of a contract's view. Raises: ChainRefusedError."""
        with _asked():
            return bytes(self._eth().call({"data": HexBytes(data)} | _to(to)))

    def logs(self, contract: str, topic: bytes, first_block: int, last_block: int) -> tuple[ChainLog, ...]:
        """Events of a kind in blocks, both ends included, in order."""
        wanted: FilterParams = {
            "address": to_checksum_address(contract),
            "topics": [HexStr("0x" + topic.hex())],
            "fromBlock": first_block,
            "toBlock": last_block,
        }
        with _asked():
            found = self._eth().get_logs(wanted)
        return tuple(
            ChainLog(
                contract=one["address"].lower(),
                topics=tuple(bytes(each) for each in one["topics"]),
                data=bytes(one["data"]),
                block=one["blockNumber"],
                transaction="0x" + bytes(one["transactionHash"]).hex(),
            )
            for one in found
        )


def open_rpc(url: str, chain_id: int = 0) -> Web3Chain:
    """A chain behind an address; 0 takes whichever answers.

    Raises: SourceError when nobody answers, InputError when it is another chain than was named.
    """
    chain = Web3Chain(
        Web3(HTTPProvider(url, request_kwargs={"timeout": TIMEOUT_S}, exception_retry_configuration=None))
    )
    if chain_id not in {0, chain.chain_id}:
        line = f"{url} is chain {chain.chain_id}, not {chain_id}; correct the address or the number"
        raise InputError(line, code=OTHER_CHAIN)
    return chain


def _to(address: str) -> TxParams:
    return {"to": to_checksum_address(address)} if address else {}


def _mined(transaction: str, found: TxReceipt) -> Mined:
    made = found.get("contractAddress")
    return Mined(
        hash=transaction,
        block=found["blockNumber"],
        succeeded=found["status"] == 1,
        gas_used=found["gasUsed"],
        contract=made.lower() if made else "",
    )


@contextmanager
def _asked() -> Iterator[None]:
    try:
        yield
    except ContractLogicError as reason:
        raise ChainRefusedError(f"the contract refuses: {reason.message}", transient=False, code=REFUSED) from None
    except (requests.RequestException, OSError) as reason:
        line = f"the chain cannot be asked: {type(reason).__name__}"  # Its text may hold the key in an address.
        raise SourceError(line, transient=True, code=NOT_REACHED) from None
    except TransactionNotFound:
        raise
    except (Web3RPCError, BadResponseFormat) as reason:
        raise SourceError(f"the chain answers: {reason}", transient=True, code=NOT_REACHED) from None
