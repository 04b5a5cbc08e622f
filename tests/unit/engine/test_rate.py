"""Prices as events: what is refused, what follows, and that a journal replays to the same rate."""

from __future__ import annotations

import pytest

from sunward.engine import rate
from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.writer import replay
from sunward.model.datum import Quality
from sunward.model.events import RateObserved
from sunward.model.rate import PricesTold, RateConfirmed, RateRulesSet, ToldPrice
from sunward.settlement.rate import WINDOW_MS
from sunward.units import DAY_MS, HOUR_MS
from tests.support.network import Network
from tests.support.scenarios import job

ABC = ("a", "b", "c")


def told(network: Network, price: int, *sources: str) -> PricesTold:
    names = sources or ABC
    return PricesTold(
        prices=tuple(ToldPrice(source=name, usd_micro_per_ath=price, at_ms=network.at_ms) for name in names)
    )


def observed(wei: int) -> RateObserved:
    return RateObserved(wei_per_usd_micro=wei, sources=ABC, quality=Quality.PUBLISHED)


def priced(price: int = 500_000) -> Network:
    network = Network()
    network.tell(RateRulesSet(sources=ABC), told(network, price))
    network.tell(observed(rate.due(network.state)))
    return network


def test_a_network_without_sources_keeps_its_recorded_rate():
    network = Network()
    found = rate.view(network.state, network.at_ms + 100 * DAY_MS)
    assert (found.fixed, found.stale, found.quotes_refused, found.promises_paused) == (True, False, False, False)
    assert rate.may_promise(network.state, network.at_ms)


def test_the_rate_must_be_what_the_sources_make():
    network = priced(400_000)
    assert network.state.world.wei_per_usd_micro == 10**18 // 400_000
    assert network.refusal(observed(2 * 10**12)).code == "SW-801"
    network.tell(RateRulesSet(sources=()), observed(2 * 10**12))


@pytest.mark.parametrize("sources", [("a", "b"), ("a", "b", "b"), ("a", "b", "c d"), tuple(map(str, range(21)))])
def test_sources_that_could_make_no_rate_are_refused(sources):
    assert Network().refusal(RateRulesSet(sources=sources)).code == "SW-800"


def test_prices_that_cannot_be_are_refused():
    network = priced()
    network.at_ms += 1
    assert network.refusal(told(network, 500_000, "d")).code == "SW-800"
    assert network.refusal(told(network, 500_000, "a", "a")).code == "SW-800"
    assert network.refusal(told(network, 0)).code == "SW-800"
    assert network.refusal(told(network, 10**15 + 1)).code == "SW-800"
    assert network.refusal(PricesTold(prices=())).code == "SW-800"
    network.at_ms -= 1
    assert network.refusal(told(network, 500_000)).code == "SW-800"


def test_a_price_from_the_future_counts_from_now():
    network = priced()
    network.at_ms += HOUR_MS
    ahead = [ToldPrice(source=name, usd_micro_per_ath=600_000, at_ms=network.at_ms + DAY_MS) for name in ABC]
    network.tell(PricesTold(prices=tuple(ahead)))
    assert network.state.rates.told["a"][-1] == (network.at_ms, 600_000)


def test_a_rate_older_than_a_day_is_not_quoted_by_and_what_is_escrowed_goes_on():
    network = priced()
    network.submit(job("j-1"))
    network.wait(25)
    assert rate.view(network.state, network.at_ms).quotes_refused
    assert not rate.may_promise(network.state, network.at_ms)
    with pytest.raises(Exception, match="older than a day") as refused:
        rate.require_fresh(network.state, network.at_ms)
    assert refused.value.code == "SW-802"
    network.tell(told(network, 500_000, "a", "b"))
    with pytest.raises(Exception, match="older than a day"):
        network.submit(job("j-2", deadline_ms=network.at_ms + DAY_MS))
    assert "j-1" in network.state.world.jobs
    network.tell(told(network, 500_000, "c"))
    network.submit(job("j-2", deadline_ms=network.at_ms + DAY_MS))


def test_a_move_pauses_promises_only_until_the_operator_confirms():
    network = priced()
    network.wait(1)
    network.tell(told(network, 700_000))
    network.tell(observed(rate.due(network.state)))
    found = rate.view(network.state, network.at_ms)
    assert (found.promises_paused, found.paused_ms, found.stale) == (True, network.at_ms, False)
    assert found.reference_usd_micro_per_ath == 500_000
    network.submit(job("j-1"))
    assert network.refusal(RateConfirmed(usd_micro_per_ath=500_000)).code == "SW-801"
    network.tell(RateConfirmed(usd_micro_per_ath=700_000))
    assert rate.may_promise(network.state, network.at_ms)


def test_nothing_can_be_confirmed_before_any_price():
    assert Network().refusal(RateConfirmed(usd_micro_per_ath=1)).code == "SW-801"


def test_history_and_snapshot_lead_to_the_same_state():
    network = priced()
    for price in (520_000, 640_000, 510_000):
        network.wait(0.4)
        network.tell(told(network, price))
    again = replay(network.journal.read())
    assert again.rates == network.state.rates
    loaded = load(dump(network.state))
    assert loaded.rates == network.state.rates
    assert state_digest(loaded) == state_digest(network.state)
    assert loaded.rates.median(network.at_ms + WINDOW_MS) == network.state.rates.median(network.at_ms + WINDOW_MS)
