"""Start-by and run time under faults: what the receipts tell keeps to what was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.events import JobsSubmitted
from sunward.sim.runner import Simulation
from sunward.units import HOUR_MS, SECOND_MS
from tests.support.faults import FAULTS, problems
from tests.support.scenarios import random_jobs, scenario

HOURS = 20
WORD_MS = FAULTS.delay_ms_max + 10 * SECOND_MS
"""An attempt is told of so much later than it began or ended, at most."""


def limited(index: int, at_ms: int, spec):
    """Jobs in one piece; every second is to start within half an hour, every third may run for half of its length."""
    changes = {"start_by_ms": at_ms + HOUR_MS // 2} if index % 2 == 0 else {}
    return replace(spec, **changes, interruptible=False, timeout_ms=spec.length_ms // 2 if index % 3 == 0 else 0)


@pytest.fixture(scope="module")
def run() -> Simulation:
    asked = tuple((at_ms, limited(index, at_ms, spec)) for index, (at_ms, spec) in enumerate(random_jobs(3, 26, 4)))
    simulation = Simulation(scenario(asked, hours=HOURS, faults=FAULTS, seed=3))
    simulation.run()
    return simulation


def test_everything_holds(run):
    assert problems(run) == [], f"seed {run.scenario.seed}"


def test_receipts_keep_to_what_was_asked(run):
    payloads = [record.event.payload for record in run.journal.read()]
    specs = {spec.job: spec for one in payloads if isinstance(one, JobsSubmitted) for spec in one.jobs}
    ended = {change.job: change.reason for change in run.journal.job_changes if change.state in ("failed", "expired")}
    assert {"timeout", "start_by"} <= set(ended.values())
    for receipt in run.journal.receipts:
        spec = specs[receipt.job]
        ran = [line for line in receipt.attempts if line.end_ms > line.start_ms]
        if spec.timeout_ms:
            assert sum(line.end_ms - line.start_ms for line in ran) <= spec.timeout_ms + len(ran) * WORD_MS
        if ended.get(receipt.job) == "timeout":
            assert spec.timeout_ms
        if ended.get(receipt.job) == "start_by":
            assert (receipt.attempts, receipt.finished_ms) == ((), spec.start_by_ms)
        promised = {one.kind: one.kept for one in receipt.promises}
        if spec.start_by_ms and promised:
            assert promised["start_by"] == any(line.start_ms <= spec.start_by_ms for line in ran)
