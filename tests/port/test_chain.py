"""One suite for every chain: eth-tester's inside this process, and a real node over JSON-RPC."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from sunward.adapters.chain_embedded import EmbeddedChain
from sunward.adapters.chain_key import ChainKey
from sunward.adapters.chain_rpc import Web3Chain, open_rpc
from sunward.errors import ChainRefusedError, InputError, SourceError
from sunward.ports import Mined, Signed, Transaction
from tests.support import anvil

KEY = ChainKey(Account.from_key(b"\x07" * 32))
NOBODY = "0x" + "0b" * 20
RUNTIME = "3615601a576000358060115760006000fd5b60005260206000f35b602a600052600760206000a100"
"""Without calldata it logs 42 under topic 7; else it returns its first word, and reverts where that is zero."""
CREATION = bytes.fromhex("60288060093d393df3" + RUNTIME)


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.services)])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Web3Chain]:
    if request.param == "embedded":
        yield EmbeddedChain(KEY.address, tmp_path / "chain.log")
        return
    with anvil.running() as node:
        node.grant(KEY.address)
        yield open_rpc(node.url)


def signed(chain: Web3Chain, to: str, data: bytes, nonce: int | None = None) -> Signed:
    number = chain.next_nonce(KEY.address) if nonce is None else nonce
    return KEY.sign(
        Transaction(
            chain_id=chain.chain_id,
            nonce=number,
            to=to,
            data=data,
            gas=chain.gas(KEY.address, to, data),
            max_fee_wei=chain.fees().most_wei,
            tip_wei=chain.fees().tip_wei,
        )
    )


def sent(chain: Web3Chain, to: str, data: bytes) -> Mined:
    one = signed(chain, to, data)
    chain.send(one.raw)
    mined = chain.mined(one.hash)
    assert mined is not None
    assert mined.succeeded
    return mined


def test_a_contract_is_made_called_and_heard(chain: Web3Chain) -> None:
    made = sent(chain, "", CREATION)
    assert chain.read(made.contract, (5).to_bytes(32, "big")) == (5).to_bytes(32, "big")
    called = sent(chain, made.contract, b"")
    (log,) = chain.logs(made.contract, (7).to_bytes(32, "big"), made.block, chain.height())
    assert (log.contract, log.block, log.transaction) == (made.contract, called.block, called.hash)
    assert int.from_bytes(log.data, "big") == 42
    assert chain.logs(made.contract, (8).to_bytes(32, "big"), 0, chain.height()) == ()
    assert called.gas_used > 21_000


def test_what_would_fail_is_refused_before_it_costs_gas(chain: Web3Chain) -> None:
    made = sent(chain, "", CREATION)
    nonce = chain.next_nonce(KEY.address)
    with pytest.raises(ChainRefusedError, match="refuses"):
        chain.gas(KEY.address, made.contract, bytes(32))
    with pytest.raises(ChainRefusedError):
        chain.read(made.contract, bytes(32))
    assert chain.next_nonce(KEY.address) == nonce


def test_sending_the_same_transaction_again_does_nothing(chain: Web3Chain) -> None:
    made = sent(chain, "", CREATION)
    one = signed(chain, made.contract, b"")
    for _ in range(3):
        chain.send(one.raw)
    assert chain.next_nonce(KEY.address) == 2
    assert len(chain.logs(made.contract, (7).to_bytes(32, "big"), 0, chain.height())) == 1


def test_a_transaction_nobody_sent_is_in_no_block(chain: Web3Chain) -> None:
    one = signed(chain, NOBODY, b"")
    assert chain.mined(one.hash) is None
    assert chain.next_nonce(KEY.address) == 0


def test_who_has_no_coin_is_told_and_nothing_is_sent(chain: Web3Chain) -> None:
    poor = ChainKey(Account.from_key(b"\x08" * 32))
    one = Transaction(chain_id=chain.chain_id, nonce=0, to=NOBODY, data=b"", gas=21_000, max_fee_wei=10**10, tip_wei=1)
    assert chain.balance(poor.address) == 0
    assert chain.balance(KEY.address) > 0
    with pytest.raises(SourceError):
        chain.send(poor.sign(one).raw)
    assert chain.next_nonce(poor.address) == 0


def test_the_embedded_chain_is_the_same_after_a_crash(tmp_path: Path) -> None:
    file = tmp_path / "chain.log"
    first = EmbeddedChain(KEY.address, file)
    made = sent(first, "", CREATION)
    first.travel(3_600)
    called = sent(first, made.contract, b"")
    with file.open("ab") as broken:
        broken.write(b'{"at_s":99999')
    second = EmbeddedChain(KEY.address, file)
    assert second.mined(called.hash) == called
    assert second.height() == first.height()
    assert second._last_s() == first._last_s() >= time.time() + 3_590
    assert second.read(made.contract, (9).to_bytes(32, "big")) == (9).to_bytes(32, "big")


def test_what_one_process_does_to_the_embedded_chain_the_others_see(tmp_path: Path) -> None:
    file = tmp_path / "chain.log"
    one, other = EmbeddedChain(KEY.address, file), EmbeddedChain(NOBODY, file)
    made = sent(one, "", CREATION)
    assert other.mined(made.hash) == made
    called = sent(other, made.contract, b"")
    assert one.mined(called.hash) == called
    one.travel(60)
    assert other.height() == one.height()
    assert other.balance(NOBODY) == 0


def test_a_damaged_file_of_an_embedded_chain_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "chain.log"
    file.write_text("nonsense\n")
    with pytest.raises(InputError, match="delete the file"):
        EmbeddedChain(KEY.address, file)


def test_nobody_at_the_address_is_an_outage_that_does_not_tell_the_address() -> None:
    with pytest.raises(SourceError) as caught:
        open_rpc("http://127.0.0.1:9/secret-key-of-a-provider")
    assert caught.value.transient
    assert caught.value.code == "SW-821"
    assert "secret" not in caught.value.message


@pytest.mark.services
def test_another_chain_than_was_named_is_refused() -> None:
    with anvil.running("--chain-id", "777") as node:
        assert open_rpc(node.url, 777).chain_id == 777
        with pytest.raises(InputError, match="777, not 42161"):
            open_rpc(node.url, 42_161)


def test_what_a_chain_loads_lets_no_message_end_the_process():
    asked = "import sys, sunward.adapters.chain_embedded as _; print(sys.getrecursionlimit())"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1_000
