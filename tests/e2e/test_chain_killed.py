"""`kill -9` before and after every step of posting: nothing stands on the chain twice, and nothing is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sunward.adapters.chain_outbox import Wanted
from sunward.adapters.chain_rpc import open_rpc
from sunward.adapters.contracts import contract
from sunward.model.codec import encode
from sunward.service.deploying import make
from sunward.service.postings import Planned, calls
from tests.support import anvil
from tests.support.lives import chain_at, live_until_done
from tests.support.posting import HEAD, KEY, OWNERS, deployed, read, standing, statement

pytestmark = pytest.mark.slow


@pytest.mark.services
def test_an_epoch_outlives_a_death_at_every_step(tmp_path: Path) -> None:
    with anvil.running() as node:
        node.grant(KEY.address)
        chain = open_rpc(node.url)
        settings = deployed(chain)
        before = chain.next_nonce(KEY.address)
        planned = Planned(funded_wei=0, deposited_wei=0, retired_wei=0)
        closed = statement(settings, with_credits=True)
        wanted = list(calls(settings, KEY.address, encode(closed), HEAD, planned))
        killed = live_until_done(tmp_path, node.url, wanted)
        # Each call is signed, sent and seen, with a death before and after; and all are planned at once.
        assert killed >= 6 * len(wanted)
        told, last = standing(chain, settings), closed.chain
        assert last is not None
        assert told["number of the account"] == before + len(wanted)
        assert told["distributor"] == told["funded"] == last.funded_wei
        assert told["promised"] == sum(one.cumulative_wei for one in last.payouts)
        assert told["vault"] == last.offset_wei - last.retired_wei
        assert told["minted"] == last.funded_wei + last.offset_wei
        assert told["test kg"] == 1_000


def test_an_embedded_chain_outlives_it_too(tmp_path: Path) -> None:
    where = str(tmp_path / "chain.log")
    token = make(chain_at(where), KEY, contract("TestATH").creation())
    mints = [contract("TestATH").call("mint", owner, 5) for owner in OWNERS[:2]]
    wanted = [Wanted(item=f"{place} mint", epoch=0, target=token, data=data) for place, data in enumerate(mints)]
    assert live_until_done(tmp_path, where, wanted) >= 6 * len(wanted)
    chain = chain_at(where)
    assert read(chain, "TestATH", token, "totalSupply") == 10
    assert chain.next_nonce(KEY.address) == 3
