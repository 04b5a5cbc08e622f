"""Jobs of unknown length in the engine: what is promised, what the receipt tells, and that no plan's end kills them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.commands import IssueReceipt, RequestPlan
from sunward.model.events import EpochRequested, JobsSubmitted
from sunward.model.job import JobSpec, JobState, LengthKind
from sunward.model.receipt import Receipt
from sunward.model.site import Phase
from sunward.units import HOUR_MS, PPM
from tests.support.network import SOLAR, Network, assignment, of_kind, segment, unplaced
from tests.support.scenarios import START_MS, job

SITE = "es-solar"


def unknown(**changes: object) -> JobSpec:
    spec = job("j-1", units=1, length_kind=LengthKind.UNKNOWN, timeout_ms=24 * HOUR_MS, promise_ppm=950_000)
    return replace(spec, **changes)  # type: ignore[arg-type]


def ran(spec: JobSpec, *, planned_h: float, run_h: float) -> Network:
    """The job has run on the reference GPU, whatever was planned, and ended."""
    network = Network()
    network.submit(spec)
    network.plan(assignment("j-1", segment(SOLAR, 0, planned_h)))
    network.report("j-1.1", Phase.RUNNING, site=SITE)
    network.wait(run_h)
    network.report("j-1.1", Phase.FINISHED, units=spec.units)
    return network


def receipt(network: Network) -> Receipt:
    network.seal(SITE, {"j-1.1": 3_600_000})
    (issued,) = of_kind(network.tell(EpochRequested()), IssueReceipt)
    return issued.receipt


def test_the_end_of_what_was_planned_is_not_the_end_of_the_job():
    network = ran(unknown(), planned_h=1, run_h=3)
    assert network.job_state("j-1") is JobState.FINISHED


def test_a_pausable_job_that_outlasts_its_plan_asks_for_another():
    network = Network()
    network.submit(unknown(interruptible=True))
    network.plan(assignment("j-1", segment(SOLAR, 0, 1.1)))
    network.report("j-1.1", Phase.RUNNING, site=SITE)
    reasons = {one.reason for one in of_kind(network.wait(1.2), RequestPlan)}
    assert "overrun" in reasons
    assert network.orders(SITE).leases[0].action == "run"


def test_the_receipt_states_with_what_probability_was_promised():
    told = receipt(ran(unknown(start_by_ms=START_MS + HOUR_MS), planned_h=2, run_h=2))
    assert [(one.kind, one.stated_ppm, one.kept) for one in told.promises] == [
        ("finish_by", 950_000, True),
        ("start_by", 950_000, True),
    ]


def test_a_late_job_is_finished_and_its_promise_told_as_broken():
    told = receipt(ran(unknown(deadline_ms=START_MS + 2 * HOUR_MS), planned_h=2, run_h=3))
    assert [(one.kind, one.kept) for one in told.promises] == [("finish_by", False)]


@pytest.mark.parametrize(("version", "names"), [(1, "1"), (2, "2")])
def test_the_counterfactual_takes_the_time_told_or_the_time_really_run(version, names):
    spec = job("j-1", length_ms=4 * HOUR_MS, counterfactual=version)
    early = receipt(ran(spec, planned_h=4, run_h=1))
    told = receipt(ran(replace(spec, length_ms=HOUR_MS), planned_h=4, run_h=1))
    assert [one.name for one in early.counterfactuals] == [f"run-now-origin/{names}", f"run-now-mean-site/{names}"]
    times = 4 if version == 1 else 1
    for one, other in zip(early.counterfactuals, told.counterfactuals, strict=True):
        assert one.facility_j == pytest.approx(times * other.facility_j, abs=times)


def test_one_that_was_placed_is_not_refused_when_its_like_turn_out_longer():
    network = Network()
    network.submit(unknown())
    network.plan(assignment("j-1", segment(SOLAR, 5, 6)))
    network.plan(leave=(unplaced("j-1", permanent=True),))
    assert network.job_state("j-1") is JobState.SUBMITTED


def test_one_that_cannot_be_promised_anything_is_refused():
    network = Network()
    network.submit(unknown())
    network.plan(leave=(unplaced("j-1", permanent=True),))
    assert network.job_state("j-1") is JobState.REFUSED


@pytest.mark.parametrize("changes", [{"promise_ppm": PPM}, {"promise_ppm": -1}, {"timeout_ms": 0}])
def test_what_no_promise_can_be_made_of_is_refused(changes):
    assert Network().refusal(JobsSubmitted(jobs=(unknown(**changes),))).code == "SW-121"
