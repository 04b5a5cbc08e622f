"""Credits as events: an order at the close, what may become of it, and what the books say then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine import offset
from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.writer import replay
from sunward.model.commands import CloseEpoch, PostEntries
from sunward.model.credit_events import CreditRulesSet, CreditsOrdered, CreditsRefused, CreditsRetired
from sunward.model.credits import CreditOrder, CreditRules, RetiredCredits
from sunward.model.events import EpochRequested
from sunward.model.receipt import EpochStatement
from sunward.model.site import Phase
from sunward.settlement.ledger import OFFSET, RETIRED
from sunward.units import MG_PER_KG, MICRO
from tests.support.network import HYDRO, Network, assignment, of_kind, segment
from tests.support.scenarios import START_MS, job

CHEAP = CreditRules(price_usd_micro_per_t=200_000)
"""Money for some kg out of one job's share."""
JOULES = 3_600_000_000
"""1 MWh."""


def work(network: Network, name: str = "j-1", joules: int = JOULES) -> EpochStatement:
    """Run a job and close the epoch; its statement."""
    start_h = (network.at_ms - START_MS) / 3_600_000
    network.submit(job(name, deadline_ms=network.at_ms + 12 * 3_600_000))
    network.plan(assignment(name, segment(HYDRO, start_h, start_h + 2)))
    network.report(f"{name}.1", Phase.RUNNING)
    network.wait(2)
    network.report(f"{name}.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {f"{name}.1": joules})
    return close(network)


def close(network: Network) -> EpochStatement:
    (closed,) = of_kind(network.tell(EpochRequested()), CloseEpoch)
    return closed.statement


def ruled(rules: CreditRules = CHEAP) -> Network:
    network = Network()
    network.tell(CreditRulesSet(rules=rules))
    return network


def only(network: Network) -> CreditOrder:
    (order,) = network.state.credits.open.values()
    return order


def lot(kg: int, first: int = 1, **changes: object) -> RetiredCredits:
    plain: dict[str, object] = {
        "registry": "vcs",
        "first": first,
        "last": first + kg - 1,
        "kg": kg,
        "vintage": 2025,
        "method": "ACM0002",
        "country": "IN",
        "project": "wind",
    }
    return RetiredCredits(**(plain | changes))  # type: ignore[arg-type]


def send(network: Network) -> CreditOrder:
    order = only(network)
    network.tell(CreditsOrdered(order=order.order, reference="r-1"))
    return order


def test_without_rules_nothing_is_ordered_and_no_statement_speaks_of_it():
    network = Network()
    statement = work(network)
    assert statement.offset is None
    assert not network.state.credits.open
    assert offset.view(network.state).rules is None


def test_a_close_orders_what_the_share_can_pay():
    network = ruled()
    statement = work(network)
    order, held = only(network), network.state.ledger.balance(OFFSET)
    assert (order.epoch, order.registry, order.vintage_from) == (1, "test", 2021)
    assert (order.start_ms, order.end_ms) == (START_MS, network.at_ms)
    assert order.limit_usd_micro_per_t == 210_000
    assert [one.country for one in order.emitted] == ["NO"]
    assert order.emitted[0].location_mg == statement.location_mg
    assert 0 < order.kg <= -(-statement.liability_mg // MG_PER_KG)
    assert 0 < order.held_wei <= held
    assert statement.offset is not None
    assert (statement.offset.residual_mg, statement.offset.retired_kg) == (statement.liability_mg, 0)


def test_what_open_orders_hold_is_not_spent_twice():
    network = ruled()
    work(network)
    close(network)
    book, held = network.state.credits, network.state.ledger.balance(OFFSET)
    assert book.held_wei <= held
    work(network, "j-2")
    assert book.held_wei <= network.state.ledger.balance(OFFSET)
    assert sum(one.kg for one in book.open.values()) <= -(-network.state.liability_mg // MG_PER_KG)


def test_counted_credits_lower_the_liability_and_are_paid_once():
    network = ruled()
    work(network)
    before = network.state.liability_mg
    order = send(network)
    done = CreditsRetired(order=order.order, credits=(lot(order.kg),), paid_usd_micro=order.limit_usd_micro)
    (posted,) = of_kind(network.tell(done), PostEntries)
    (entry,) = posted.entries
    assert (entry.cause, entry.ref) == ("retire", order.order)
    assert {one.account: one.amount_wei for one in entry.postings} == {OFFSET: -order.held_wei, RETIRED: order.held_wei}
    assert network.state.liability_mg == before - order.kg * MG_PER_KG
    assert network.refusal(done).code == "SW-806"
    told = close(network).offset
    assert told is not None
    assert (told.retired_kg, told.test_kg, told.credits, told.paid_wei) == (
        order.kg,
        0,
        (lot(order.kg),),
        order.held_wei,
    )
    assert (told.residual_mg, told.residual_to_date_mg) == (0, before)
    assert told.coverage_ppm == order.kg * MG_PER_KG * MICRO // before
    again = close(network).offset
    assert again is not None
    assert (again.retired_kg, again.retired_to_date_kg, again.coverage_ppm) == (0, order.kg, told.coverage_ppm)


def test_test_credits_are_paid_and_count_nothing():
    network = ruled()
    work(network)
    before = network.state.liability_mg
    order = send(network)
    network.tell(CreditsRetired(order=order.order, credits=(lot(order.kg, test=True),), paid_usd_micro=1))
    assert network.state.liability_mg == before
    told = close(network).offset
    assert told is not None
    assert (told.retired_kg, told.test_kg, told.coverage_ppm) == (0, order.kg, 0)
    seen = offset.view(network.state)
    assert seen.sentence == "Retired credits cover 0.00 % of measured residual."
    assert seen.spent_wei == str(order.wei_per_usd_micro)


def test_an_order_goes_out_once():
    network = ruled()
    work(network)
    order = send(network)
    assert network.refusal(CreditsOrdered(order=order.order, reference="r-2")).code == "SW-806"
    assert only(network).reference == "r-1"


def test_nothing_is_retired_for_an_order_that_did_not_go_out():
    network = ruled()
    work(network)
    order = only(network)
    done = CreditsRetired(order=order.order, credits=(lot(1),), paid_usd_micro=1)
    assert network.refusal(done).code == "SW-806"
    assert network.refusal(replace(done, order="co-none")).code == "SW-806"


@pytest.mark.parametrize(
    "changes",
    [
        {"kg": 0},
        {"kg": 10**6},
        {"first": 2, "last": 1},
        {"first": -1},
        {"last": 2**53},
        {"registry": ""},
        {"country": "India"},
        {"method": "a\nb"},
        {"vintage": -1},
    ],
)
def test_credits_that_cannot_be_are_refused(changes):
    network = ruled()
    work(network)
    order = send(network)
    wrong = replace(lot(1), **changes)
    done = CreditsRetired(order=order.order, credits=(wrong,), paid_usd_micro=1)
    assert network.refusal(done).code == "SW-807"
    assert network.refusal(replace(done, credits=())).code == "SW-807"
    assert network.refusal(replace(done, credits=(lot(1),), paid_usd_micro=-1)).code == "SW-807"


def test_more_than_was_ordered_is_refused():
    network = ruled()
    work(network)
    order = send(network)
    done = CreditsRetired(order=order.order, credits=(lot(order.kg + 1),), paid_usd_micro=1)
    assert network.refusal(done).code == "SW-807"


def test_a_serial_is_retired_once_whoever_asked():
    network = ruled()
    work(network)
    order = send(network)
    twice = (lot(1), lot(1))
    assert network.refusal(CreditsRetired(order=order.order, credits=twice, paid_usd_micro=1)).code == "SW-808"
    network.tell(CreditsRetired(order=order.order, credits=(lot(1, first=5),), paid_usd_micro=1))
    work(network, "j-2")
    second = send(network)
    again = CreditsRetired(order=second.order, credits=(lot(1, first=5),), paid_usd_micro=1)
    assert network.refusal(again).code == "SW-808"
    network.tell(replace(again, credits=(lot(1, first=6),)))


def test_a_refused_order_frees_its_money_and_the_next_stands_for_its_emissions():
    network = ruled()
    work(network)
    first = send(network)
    network.tell(CreditsRefused(order=first.order, reason="out of stock"))
    assert network.state.credits.held_wei == 0
    close(network)
    second = only(network)
    assert second.order != first.order
    assert (second.start_ms, second.emitted) == (first.start_ms, first.emitted)
    assert network.refusal(CreditsRefused(order="co-none", reason="x")).code == "SW-806"
    assert network.refusal(CreditsRefused(order=second.order, reason="")).code == "SW-807"


def test_rules_that_nothing_could_be_bought_by_are_refused():
    network = Network()
    for changes in (
        {"registry": "a b"},
        {"methods": ("",)},
        {"countries": ("XX",)},
        {"vintage_years_max": -1},
        {"slippage_bps": 10_001},
        {"price_usd_micro_per_t": -1},
    ):
        assert network.refusal(CreditRulesSet(rules=replace(CHEAP, **changes))).code == "SW-805", changes


def test_an_order_for_a_registry_that_is_named_no_more_is_taken_back_unless_it_went_out():
    network = ruled()
    work(network)
    network.tell(CreditRulesSet(rules=replace(CHEAP, registry="cnaught")))
    assert not network.state.credits.open
    close(network)
    assert send(network).registry == "cnaught"
    network.tell(CreditRulesSet(rules=CHEAP))
    assert len(network.state.credits.open) == 1


def test_the_price_of_the_rules_moves_the_share_too():
    dear, cheap = ruled(replace(CHEAP, price_usd_micro_per_t=10**9)), ruled(replace(CHEAP, price_usd_micro_per_t=1))
    assert work(dear).next_offset_share_bps > work(cheap).next_offset_share_bps
    assert not dear.state.credits.open


def test_history_and_snapshot_lead_to_the_same_state():
    network = ruled()
    work(network)
    order = send(network)
    network.tell(CreditsRetired(order=order.order, credits=(lot(1),), paid_usd_micro=7))
    work(network, "j-2")
    loaded = load(dump(network.state))
    assert loaded.credits == network.state.credits
    assert state_digest(loaded) == state_digest(network.state) == state_digest(replay(network.journal.read()))
