"""Closing an epoch: final receipts, carried jobs, patience, balanced books."""

from __future__ import annotations

import pytest

from sunward.engine.epochs import PATIENCE_MS
from sunward.model.commands import CloseEpoch, IssueReceipt
from sunward.model.events import CancelRequested, EpochRequested, SignalObserved
from sunward.model.identity import JobId
from sunward.model.site import Phase
from sunward.units import DAY_MS, HOUR_MS, hours
from tests.support.network import HYDRO, Network, assignment, flat_signals, of_kind, segment
from tests.support.scenarios import TENANT, WEI_PER_USD_MICRO, job


def finished(network: Network | None = None) -> Network:
    """`j-1` has run for an hour in the north; its readings are not in."""
    network = network or Network()
    network.submit(job("j-1", functional_unit="step"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(1)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    return network


def close(network: Network):
    commands = network.tell(EpochRequested())
    receipts = [one.receipt for one in of_kind(commands, IssueReceipt)]
    (statement,) = [one.statement for one in of_kind(commands, CloseEpoch)]
    assert statement.balance_wei == 0
    return receipts, statement


def test_a_receipt_waits_for_the_readings_and_comes_once():
    network = finished()
    receipts, statement = close(network)
    assert receipts == []
    assert statement.epoch == 1
    assert network.state.closing == ["j-1"]
    network.seal("no-hydro", {"j-1.1": 3_600_000})
    receipts, statement = close(network)
    assert [one.job for one in receipts] == ["j-1"]
    assert statement.epoch == 2
    assert close(network)[0] == []
    assert "j-1" not in network.state.world.jobs
    assert len(network.state.world.leases) == len(network.state.world.energy) == 0


def test_the_receipt_says_what_was_metered_and_paid():
    network = finished()
    network.seal("no-hydro", {"j-1.1": 3_600_000})
    (receipt,), statement = close(network)
    assert (receipt.gpu_j, receipt.facility_j, receipt.gpu_ms) == (3_600_000, 3_600_000, HOUR_MS)
    assert receipt.location_mg == 100_000
    assert receipt.price_usd_micro == 2_400_000
    assert receipt.price_wei == 2_400_000 * WEI_PER_USD_MICRO
    assert receipt.offset_wei + receipt.provider_wei + receipt.network_wei == receipt.price_wei
    assert network.balance("provider:p-no-hydro") == receipt.provider_wei
    assert network.balance("escrow:j-1") == 0
    assert [promise.kept for promise in receipt.promises] == [True]
    assert receipt.sci_mg_per_unit == round((receipt.location_mg + receipt.embodied_mg) / 1_000)
    assert (statement.paid_wei, statement.idle_j, statement.facility_j) == (receipt.price_wei, 50, receipt.facility_j)


def test_an_escrow_that_is_short_caps_what_the_statement_says_was_paid():
    network = Network()
    network.submit(job("j-1", escrow_wei=10**18))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(1)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 3_600_000})
    (receipt,), statement = close(network)
    assert (receipt.price_usd_micro, receipt.price_wei) == (2_400_000, 10**18)
    assert statement.paid_usd_micro == 10**18 // WEI_PER_USD_MICRO < receipt.price_usd_micro


def test_patience_ends_and_the_receipt_says_what_was_not_metered():
    network = finished()
    network.tell(flat_signals())
    network.wait(hours(PATIENCE_MS))
    assert close(network)[0] == []
    network.wait(0.01)
    (receipt,), _ = close(network)
    assert receipt.metered_ppm == 0
    assert "part_of_time_unmetered" in receipt.not_proved
    assert receipt.price_wei == 0


def test_readings_that_come_after_the_receipt_are_told_as_late():
    network = finished()
    network.wait(hours(PATIENCE_MS) + 0.01)
    close(network)
    network.seal("no-hydro", {"j-1.1": 40})
    assert network.state.world.late_j == 40


def test_an_hour_without_a_signal_holds_the_receipt_back():
    network = Network()
    network.state.world.signals.observed.clear()
    finished(network)
    network.seal("no-hydro", {"j-1.1": 3_600_000})
    assert close(network)[0] == []
    network.tell(SignalObserved(observations=flat_signals().observations))
    assert len(close(network)[0]) == 1


def test_a_lost_attempt_is_covered_too_even_when_no_word_of_its_start_came():
    network = Network()
    network.submit(job("j-1", retries=0))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1)))
    network.report("j-1.1", Phase.ACCEPTED)
    network.wait(0.5)
    network.report("j-1.1", Phase.FAILED)
    assert close(network)[0] == []
    network.seal("no-hydro", {"j-1.1": 10})
    assert [one.facility_j for one in close(network)[0]] == [10]


@pytest.mark.parametrize("served", [True, False])
def test_a_cancelled_job_gets_a_receipt_and_its_escrow_back(served):
    network = Network()
    network.submit(job("j-1"))
    if served:
        network.plan(assignment("j-1", segment(HYDRO, 0, 1)))
    network.tell(CancelRequested(job=JobId("j-1")))
    (receipt,), _ = close(network)
    assert (receipt.state, receipt.price_wei, receipt.promises) == ("cancelled", 0, ())
    assert receipt.refund_wei == 10**20
    assert network.balance(f"tenant:{TENANT}") == 10**21


def test_an_epoch_ends_by_itself_and_an_early_close_moves_the_next():
    network = Network(epoch_ms=DAY_MS)
    assert [one.statement.epoch for one in of_kind(network.wait(24), CloseEpoch)] == [1]
    network.wait(12)
    close(network)
    assert of_kind(network.wait(12), CloseEpoch) == []
    assert [one.statement.epoch for one in of_kind(network.wait(12), CloseEpoch)] == [3]


def test_the_offset_share_moves_by_steps_within_its_bounds():
    network = finished()
    network.seal("no-hydro", {"j-1.1": 3_600_000_000})
    _, first = close(network)
    assert first.liability_mg > 0
    assert abs(first.next_offset_share_bps - first.offset_share_bps) <= 50
    assert close(network)[1].offset_share_bps == first.next_offset_share_bps
