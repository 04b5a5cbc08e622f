"""Promises of the reserve: offered, sold within what the vault covers, paid for, and the vault's own requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine import cover
from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.writer import replay
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.datum import Quality
from sunward.model.events import EpochRequested, RateObserved
from sunward.model.rate import RateConfirmed
from sunward.model.reserve import Backing, ReserveRules
from sunward.model.reserve_events import (
    PromiseSold,
    PromiseWithdrawn,
    ReserveRulesSet,
    ReserveUsdTold,
    VaultRequested,
)
from sunward.settlement.ledger import OFFSET, RESERVE, provider_account
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.network import COAL, HYDRO, SOLAR, Network
from tests.support.reserve import BUYER, OWNER, RULES, USD, offer
from tests.support.scenarios import START_MS, TENANT, WEI_PER_USD_MICRO
from tests.unit.engine.test_rate import priced, told


def network(usd: int = 1_000, rules: ReserveRules = RULES) -> Network:
    """A reserve with so many USD beside an empty vault."""
    made = Network()
    made.tell(ReserveRulesSet(rules=rules), ReserveUsdTold(usd_held_micro=usd * USD))
    return made


def put(made: Network, wei: int, holder: str = BUYER) -> None:
    made.tell(VaultRequested(number=made.state.world.reserve.next_request, holder=holder, wei=wei))


def leave(made: Network, shares: int, holder: str = BUYER) -> None:
    made.tell(VaultRequested(number=made.state.world.reserve.next_request, holder=holder, shares=shares))


def test_without_rules_there_is_no_reserve() -> None:
    made = Network()
    assert made.refusal(offer()).code == "SW-810"
    made.wait(24 * 8)
    assert made.state.world.reserve.is_new
    assert made.refusal(ReserveRulesSet(rules=replace(RULES, haircut_ppm=0))).code == "SW-810"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"containers": 0}, "a container or more"),
        ({"premium_usd_micro_per_h": 0}, "premium"),
        ({"end_ms": START_MS + MINUTE_MS}, "an hour"),
        ({"notice_ms": MINUTE_MS}, "notice lies"),
        ({"backing": (Backing(pool=HYDRO, containers=1),) * 2}, "in order"),
        ({"backing": (Backing(pool=SOLAR, containers=1), Backing(pool=COAL, containers=1))}, "one GPU model"),
    ],
)
def test_a_promise_that_means_nothing_is_refused(changes: dict[str, object], line: str) -> None:
    refused = network().refusal(offer(**changes))
    assert isinstance(refused, InputError)
    assert line in refused.message


def test_the_notice_is_no_shorter_than_what_it_takes_to_wake() -> None:
    made = network(rules=replace(RULES, notice_min_ms=MINUTE_MS))
    assert "needs 300 s" in made.refusal(offer(notice_ms=4 * MINUTE_MS)).message


def test_one_promises_only_ones_own() -> None:
    made = network()
    assert isinstance(made.refusal(offer(owner="p-es-solar")), NotFoundError)


def test_a_container_backs_one_promise() -> None:
    made = network()
    made.tell(offer("r-1", 3))
    assert made.refusal(offer("r-1", 1)).code == "SW-815"
    refused = made.refusal(offer("r-2", 2))
    assert isinstance(refused, ConflictError)
    assert "1 of the 4 containers" in refused.message
    # Where the times do not meet, the same containers may be promised again.
    later = {"start_ms": START_MS + 10 * HOUR_MS, "end_ms": START_MS + 20 * HOUR_MS}
    made.tell(offer("r-3", 4, **later), offer("r-4", 1))
    made.tell(PromiseWithdrawn(promise="r-1"))
    made.tell(offer("r-5", 3))
    assert made.refusal(PromiseWithdrawn(promise="r-1")).code == "SW-812"


def test_a_sale_that_the_vault_does_not_cover_is_refused_with_one_line() -> None:
    # Two containers for ten hours, 4 USD less 0.50 USD: 70 USD owed, 105 USD wanted.
    made = network(usd=104)
    made.tell(offer())
    refused = made.refusal(PromiseSold(promise="r-1", tenant=TENANT))
    assert refused.code == "SW-814"
    assert "148 %" in refused.message
    assert "150 %" in refused.message
    assert "\n" not in refused.message
    made.tell(ReserveUsdTold(usd_held_micro=105 * USD), PromiseSold(promise="r-1", tenant=TENANT))
    assert cover.coverage_of(made.state) == 1_500_000
    assert made.refusal(PromiseSold(promise="r-1", tenant=TENANT)).code == "SW-813"
    assert made.refusal(PromiseWithdrawn(promise="r-1")).code == "SW-813"


def test_nothing_is_sold_while_the_price_of_ath_has_moved_too_far() -> None:
    made = priced()
    made.tell(ReserveRulesSet(rules=RULES), ReserveUsdTold(usd_held_micro=1_000 * USD), offer())
    made.wait(1)
    made.tell(told(made, 700_000))
    refused = made.refusal(PromiseSold(promise="r-1", tenant=TENANT))
    assert (refused.code, "moved too far" in refused.message) == ("SW-813", True)
    made.tell(RateConfirmed(usd_micro_per_ath=700_000), PromiseSold(promise="r-1", tenant=TENANT))


def test_who_cannot_pay_the_first_premium_buys_nothing() -> None:
    made = network()
    made.tell(offer())
    assert made.refusal(PromiseSold(promise="r-1", tenant="t-poor")).code == "SW-813"


def test_a_premium_is_paid_for_what_was_served_and_only_where_it_is_sold() -> None:
    made = network()
    made.tell(offer("r-1"), offer("r-2"))
    made.wait(2)
    made.tell(PromiseSold(promise="r-1", tenant=TENANT))
    before = made.balance(BUYER)
    made.wait(3)
    made.tell(EpochRequested())
    paid = 2 * 3 * (USD // 2) * WEI_PER_USD_MICRO
    assert before - made.balance(BUYER) == paid
    stands = made.journal.epochs[-1].reserve
    assert stands is not None
    assert (stands.held_wei, stands.sold, stands.penalties_usd_micro) == (made.balance(RESERVE), 2, 0)
    assert stands.coverage_ppm == cover.coverage_of(made.state)
    offset, vault = paid // 100, (paid - paid // 100) // 5
    assert (made.balance(OFFSET), made.balance(RESERVE)) == (offset, vault)
    assert made.balance(provider_account(OWNER)) == paid - offset - vault
    made.wait(10)
    made.tell(EpochRequested())
    # The last five hours, then it is over.
    assert before - made.balance(BUYER) == 2 * 8 * (USD // 2) * WEI_PER_USD_MICRO
    assert made.state.world.reserve.promises == {}


def test_a_buyer_who_cannot_pay_any_more_is_let_go() -> None:
    made = network()
    made.tell(offer(), PromiseSold(promise="r-1", tenant=TENANT))
    put(made, made.balance(BUYER))
    made.tell(EpochRequested())
    assert "r-1" in made.state.world.reserve.promises  # nothing was served yet
    made.wait(1)
    made.tell(EpochRequested())
    assert made.state.world.reserve.promises == {}


def test_deposits_and_exits_wait_for_the_close() -> None:
    made = network(rules=replace(RULES, exit_delay_ms=DAY_MS))
    put(made, 10**20)
    assert (made.balance(RESERVE), made.balance(BUYER)) == (0, 10**21)
    assert made.refusal(VaultRequested(number=2, holder=BUYER, wei=10**21)).code == "SW-816"
    made.tell(EpochRequested())
    assert made.balance(RESERVE) == 10**20
    shares = made.state.world.reserve.shares[BUYER]
    leave(made, shares)
    assert made.refusal(VaultRequested(number=3, holder=BUYER, shares=1)).code == "SW-816"
    made.tell(EpochRequested())
    assert made.balance(RESERVE) == 10**20  # it has not matured
    made.wait(24)
    made.tell(EpochRequested())
    assert made.balance(RESERVE) <= 1_000
    assert made.state.world.reserve.requests == {}
    assert made.state.ledger.total() == 0


def test_a_deposit_whose_money_is_gone_is_dropped() -> None:
    made = network()
    put(made, made.balance(BUYER))
    made.tell(VaultRequested(number=2, holder="provider:p-new", wei=5, on_chain=True))
    made.tell(offer(), PromiseSold(promise="r-1", tenant=TENANT))
    made.wait(1)
    made.tell(EpochRequested())
    assert (made.state.world.reserve.requests, made.state.world.reserve.shares) == ({}, {"provider:p-new": 5})


def test_no_exit_below_the_floor_but_for_what_had_matured_before() -> None:
    made = network(usd=0, rules=replace(RULES, exit_delay_ms=0, haircut_ppm=1_000_000))
    put(made, 400 * USD * WEI_PER_USD_MICRO)
    made.tell(EpochRequested())
    made.tell(offer(), PromiseSold(promise="r-1", tenant=TENANT))
    leave(made, made.state.world.reserve.shares[BUYER])
    made.tell(EpochRequested())
    # All of it would leave nothing behind 70 USD owed: it waits whole.
    assert len(made.state.world.reserve.requests) == 1
    made.wait(0.5)
    made.tell(RateObserved(wei_per_usd_micro=10 * WEI_PER_USD_MICRO, sources=("x",), quality=Quality.MODELLED))
    fell_ms = made.state.world.reserve.fell_ms
    assert fell_ms == made.at_ms
    made.tell(EpochRequested())
    # It had matured before the token fell.
    assert made.state.world.reserve.requests == {}


def test_the_low_of_thirty_days_counts() -> None:
    made = network(usd=0, rules=replace(RULES, haircut_ppm=1_000_000))
    put(made, 100 * USD * WEI_PER_USD_MICRO)
    made.tell(EpochRequested())
    low = RateObserved(wei_per_usd_micro=4 * WEI_PER_USD_MICRO, sources=("x",), quality=Quality.MODELLED)
    made.tell(low, replace(low, wei_per_usd_micro=WEI_PER_USD_MICRO))
    assert cover.value_of(made.state) == 25 * USD
    made.wait(29 * 24)
    made.tell(replace(low, wei_per_usd_micro=WEI_PER_USD_MICRO))
    assert cover.value_of(made.state) == 25 * USD
    made.wait(3 * 24)
    made.tell(replace(low, wei_per_usd_micro=WEI_PER_USD_MICRO))
    assert cover.value_of(made.state) == 100 * USD


def test_the_reserve_comes_back_with_a_snapshot_and_by_replay() -> None:
    made = network()
    put(made, 10**20)
    made.tell(offer(), PromiseSold(promise="r-1", tenant=TENANT), EpochRequested())
    leave(made, 10**19)
    loaded = load(dump(made.state))
    assert state_digest(loaded) == state_digest(made.state)
    assert loaded.world.reserve == made.state.world.reserve
    assert state_digest(replay(made.journal.read())) == state_digest(made.state)
