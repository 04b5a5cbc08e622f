"""A service and a chain: what the contracts hold is what the books say, wei by wei, and the books follow the chain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sunward.adapters.chain_key import ChainKey, make_key
from sunward.adapters.chain_settings import EMBEDDED, KEY_FILE, ChainSettings, open_chain, write_settings
from sunward.adapters.contracts import contract
from sunward.cli.chain_proof import roots_of
from sunward.errors import SourceError
from sunward.model.codec import convert
from sunward.model.events import EpochRequested
from sunward.model.identity import TenantId
from sunward.model.onchain import ChainStatus, ClosedView, WalletRequest, wallet_words
from sunward.model.staking_events import StakeRequested, StakingRulesSet
from sunward.service.deploying import Roles, Terms, deploy, transact
from sunward.service.posting import Posting, begin
from sunward.verification.onchain import RewardLeaf, leaf_leads_to
from tests.api.harness import Service
from tests.support.posting import read
from tests.support.staking import ATH, RULES

WORDS = "correct horse battery"
BUDGETS = ("treasury", "budget:staking", "budget:bonus")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Contracts on an embedded chain, which each test copies."""
    folder = tmp_path_factory.mktemp("home")
    key = make_key(folder / KEY_FILE, WORDS, 2)
    chain = open_chain(folder, EMBEDDED)
    roles = Roles(poster=key.address, vetoer=key.address, buyer=key.address)
    own = deploy(chain, key, roles, Terms(veto_window_s=3_600))
    write_settings(folder, ChainSettings(rpc=EMBEDDED, chain_id=chain.chain_id, contracts=own, test_token=True))
    return folder


@pytest.fixture
def service(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for file in home.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("SUNWARD_CHAIN_PASSPHRASE", WORDS)
    one = Service(tmp_path)
    one.control.commit_one(StakingRulesSet(rules=RULES))
    yield one
    one.close()


@pytest.fixture
def posting(service: Service) -> Posting:
    made = begin(service.control, service.home)
    assert made is not None
    go(service, made)
    return made


def go(service: Service, posting: Posting) -> None:
    for _ in range(40):
        if not service.loop.run_until_complete(posting.round()):
            service.loop.run_until_complete(posting.round())
            return
    raise AssertionError("posting does not end")


def close(service: Service) -> int:
    service.control.commit_one(EpochRequested())
    return service.control.state.epoch - 1


def earned(service: Service, owner: TenantId) -> None:
    """Stake of a whole epoch."""
    service.control.commit_one(StakeRequested(owner=owner, request="1", amount_wei=300 * ATH, on_chain=True))
    close(service)
    close(service)


def wallet(service: Service, name: str = "wallet.json") -> ChainKey:
    """Another key, bound to the provider."""
    key = make_key(service.home / name, WORDS, 2)
    told = service.ok("GET", "/v1/wallet", "provider")
    words = wallet_words(told["network"], told["owner"], key.address)
    asked = WalletRequest(address=key.address, signature=key.sign_words(words))
    assert service.ok("POST", "/v1/wallet", "provider", json=asked)["address"] == key.address
    return key


def in_the_books(service: Service, *accounts: str) -> int:
    return sum(service.control.state.ledger.balance(one) for one in accounts)


def test_contracts_hold_what_the_books_say_and_a_claim_is_followed(service: Service, posting: Posting) -> None:
    chain, own = posting.poster.chain, posting.settings.contracts
    key = wallet(service)
    owner = service.ok("GET", "/v1/wallet", "provider")["owner"]
    earned(service, TenantId(owner))
    go(service, posting)
    rewards = f"rewards:{owner}"
    assert in_the_books(service, rewards) > 0
    assert read(chain, "TestATH", own.token, "balanceOf", own.distributor) == in_the_books(service, rewards, *BUDGETS)
    assert read(chain, "TestATH", own.token, "balanceOf", own.vault) == in_the_books(service, "offset")
    status = service.ok("GET", "/v1/chain", "auditor")
    assert (status["posted"], status["waiting"], status["trouble"]) == (service.control.state.epoch - 1, [], "")

    chain.travel(3_600)
    told = service.ok("GET", f"/v1/chain/leaves/{key.address}?epoch={status['posted']}", "tenant")
    words = (told["epoch"], key.address, told["cumulative_wei"], bytes.fromhex(told["salt"]))
    proof = [bytes.fromhex(step) for step in told["proof"]]
    transact(chain, posting.poster.key, own.distributor, contract("RewardDistributor").call("claim", *words, proof))
    go(service, posting)
    assert read(chain, "TestATH", own.token, "balanceOf", key.address) == told["cumulative_wei"]
    assert in_the_books(service, rewards) == 0
    assert read(chain, "TestATH", own.token, "balanceOf", own.distributor) == in_the_books(service, rewards, *BUDGETS)
    assert service.control.state.ledger.total() == 0


def test_what_was_closed_leads_from_its_statement_to_the_roots_on_the_chain(service: Service, posting: Posting) -> None:
    chain, own = posting.poster.chain, posting.settings.contracts
    key = wallet(service)
    earned(service, TenantId(service.ok("GET", "/v1/wallet", "provider")["owner"]))
    go(service, posting)
    epoch = service.control.state.epoch - 1
    told = service.ok("GET", f"/v1/chain/epochs/{epoch}", "auditor")
    evidence, head, _ = read(chain, "ProviderRegistry", own.registry, "roots", epoch)
    assert hashlib.sha256(told["statement"].encode()).digest() == evidence
    assert told["journal_head"] == head.hex()
    (record,) = service.ok("GET", f"/v1/journal?after={told['sequence'] - 1}&limit=1", "auditor")["records"]
    assert record["hash"] == told["journal_head"]
    status = convert(service.ok("GET", "/v1/chain", "auditor"), ChainStatus)
    steps = roots_of(chain, status, ClosedView(**told))
    assert [one.passed for one in steps] == [True, True]
    forged = told | {"statement": told["statement"].replace('"cumulative_wei":', '"cumulative_wei":1')}
    assert [one.passed for one in roots_of(chain, status, ClosedView(**forged))] == [False, False]
    leaf = service.ok("GET", f"/v1/chain/leaves/{key.address}?epoch={epoch}", "auditor")
    root, proof = leaf.pop("root"), leaf.pop("proof")
    contract_ = leaf.pop("distributor")
    assert leaf_leads_to(root, RewardLeaf(contract=contract_, **leaf), proof)
    assert read(chain, "RewardDistributor", own.distributor, "root_of", epoch)[0].hex() == root


def test_another_start_posts_nothing_twice_and_records_no_claim_again(service: Service, posting: Posting) -> None:
    chain, own = posting.poster.chain, posting.settings.contracts
    key = wallet(service)
    earned(service, TenantId(service.ok("GET", "/v1/wallet", "provider")["owner"]))
    go(service, posting)
    chain.travel(3_600)
    epoch = service.control.state.chain.posted
    told = service.ok("GET", f"/v1/chain/leaves/{key.address}?epoch={epoch}", "tenant")
    words = (epoch, key.address, told["cumulative_wei"], bytes.fromhex(told["salt"]))
    proof = [bytes.fromhex(step) for step in told["proof"]]
    transact(chain, posting.poster.key, own.distributor, contract("RewardDistributor").call("claim", *words, proof))
    go(service, posting)
    sequence, nonce = service.control.state.world.sequence, chain.next_nonce(posting.poster.key.address)
    again = begin(service.control, service.home)
    assert again is not None
    go(service, again)
    assert service.control.state.world.sequence == sequence
    assert chain.next_nonce(posting.poster.key.address) == nonce


def test_epochs_that_closed_while_nobody_posted_are_all_posted_in_order(service: Service, posting: Posting) -> None:
    wallet(service)
    earned(service, TenantId(service.ok("GET", "/v1/wallet", "provider")["owner"]))
    close(service)
    go(service, posting)
    state, own = service.control.state, posting.settings.contracts
    assert state.chain.posted == state.epoch - 1
    assert read(posting.poster.chain, "ProviderRegistry", own.registry, "posted") == 3
    assert read(posting.poster.chain, "RewardDistributor", own.distributor, "funded") == in_the_books(
        service, *BUDGETS, *(f"rewards:{owner}" for owner in state.stakes.earned_wei)
    )


def test_a_wallet_must_have_signed_for_this_owner_and_network(service: Service, posting: Posting) -> None:
    key = make_key(service.home / "wallet.json", WORDS, 2)
    for words in ("anything", wallet_words("local", "somebody-else", key.address)):
        asked = WalletRequest(address=key.address, signature=key.sign_words(words))
        answer = service.ask("POST", "/v1/wallet", "provider", json=asked)
        assert (answer.status_code, answer.json()["code"]) == (400, "SW-820")
    assert service.ask("POST", "/v1/wallet", "tenant", json=asked).status_code == 403
    assert service.control.state.chain.wallets == {}


def test_an_outage_is_told_and_nothing_of_the_service_stops(service: Service, posting: Posting) -> None:
    class Dead:
        def __getattr__(self, name: str) -> object:
            raise SourceError("nobody answers", code="SW-821")

    alive = posting.poster
    posting.poster = type(alive)(alive.outbox, Dead(), alive.key, 1, alive.max_fee_wei)
    close(service)
    with pytest.raises(SourceError):
        go(service, posting)
    assert service.ok("GET", "/v1/chain", "auditor")["posted"] == -1
    posting.poster = alive
    go(service, posting)
    assert service.control.state.chain.posted == service.control.state.epoch - 1
