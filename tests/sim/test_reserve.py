"""Containers sold to the reserve: asleep or lent until called, ready in time, and every job ends once all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.challenge import BeaconValue
from sunward.model.events import Payload
from sunward.model.identity import TenantId, pool_id
from sunward.model.job import JobSpec
from sunward.model.reserve import Backing, Outcome
from sunward.model.reserve_events import (
    DrillsDrawn,
    PromiseCalled,
    PromiseOffered,
    PromiseSold,
    ReserveRulesSet,
    ReserveUsdTold,
)
from sunward.sim.runner import Faults, Simulation
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.faults import problems
from tests.support.reserve import RULES, USD
from tests.support.scenarios import SITES, START_MS, TENANT, job, random_jobs, scenario

NOTICE_MS = 15 * MINUTE_MS
BEACON = BeaconValue(source="test", round=1, value="cd" * 32, label="test")
NORTH, SOUTH = SITES[0], SITES[1]


def begin(simulation: Simulation, containers: int = 3) -> None:
    """Promises of the two larger sites, sold from the start."""
    events: list[Payload] = [ReserveRulesSet(rules=RULES), ReserveUsdTold(usd_held_micro=10**6 * USD)]
    for spec in (NORTH, SOUTH):
        events += [
            PromiseOffered(
                promise=f"r-{spec.site}",
                owner=spec.owner,
                backing=(Backing(pool=pool_id(spec.site, spec.pools[0].gpu_model), containers=containers),),
                start_ms=START_MS,
                end_ms=START_MS + 200 * HOUR_MS,
                notice_ms=NOTICE_MS,
                premium_usd_micro_per_h=100_000,
            ),
            PromiseSold(promise=f"r-{spec.site}", tenant=TENANT),
        ]
    simulation.at(START_MS, lambda: simulation.commit(events))


def call(simulation: Simulation, site: str, minute: int, hours: int, containers: int = 3) -> None:
    at_ms = START_MS + minute * MINUTE_MS
    called = PromiseCalled(
        call=f"c-{minute}", promise=f"r-{site}", containers=containers, until_ms=at_ms + hours * HOUR_MS
    )
    simulation.at(at_ms, lambda: simulation.commit([called]))


def outcomes(simulation: Simulation) -> list[Outcome]:
    return [one.outcome for one in simulation.writer.state.world.reserve.ended.values()]


def work(count: int, **more: object) -> tuple[tuple[int, JobSpec], ...]:
    """Pausable work of a tenant that called nothing."""
    plain = {"interruptible": True, "length_ms": 5 * HOUR_MS, "deadline_ms": START_MS + 20 * HOUR_MS}
    return tuple((START_MS, job(f"j-{n}", **(plain | more))) for n in range(count))


@settings(max_examples=3)
@given(st.integers(1, 6 * 60), st.integers(1, 4), st.sampled_from([NORTH.site, SOUTH.site]), st.integers(0, 4))
def test_a_call_at_any_moment_is_met_and_nothing_is_lost(minute: int, hours: int, site: str, jobs: int) -> None:
    simulation = Simulation(scenario(work(jobs), hours=24))
    begin(simulation)
    call(simulation, site, minute, hours)
    simulation.run()
    assert problems(simulation) == []
    assert outcomes(simulation) == [Outcome.READY]
    assert simulation.writer.state.world.trust.verdicts == {}
    assert [receipt.state for receipt in simulation.journal.receipts] == ["finished"] * jobs


def test_lent_work_goes_on_elsewhere_while_a_call_lasts() -> None:
    owned = work(5, tenant=TenantId("t-lent"), length_ms=8 * HOUR_MS)
    plain = scenario(owned, hours=24)
    rich = replace(plain.deposits[0], tenant=TenantId("t-lent"))
    simulation = Simulation(replace(plain, deposits=(*plain.deposits, rich)))
    begin(simulation, 4)
    call(simulation, NORTH.site, 90, 3, 4)
    seen: list[int] = []
    pool = NORTH.pools[0].pool
    for minute in range(90 + 15, 90 + 3 * 60, 10):
        simulation.at(START_MS + minute * MINUTE_MS, lambda: seen.append(simulation.writer.state.world.busy(pool)))
    simulation.run()
    assert problems(simulation) == []
    assert set(seen) == {0}  # the containers are kept for who called, and nobody else's work runs there
    assert {line.ended for receipt in simulation.journal.receipts for line in receipt.attempts} >= {"called"}
    assert [receipt.state for receipt in simulation.journal.receipts] == ["finished"] * 5


def test_a_drill_that_nobody_announced_is_met_by_machines_that_sleep() -> None:
    simulation = Simulation(replace(scenario((), hours=48), naps=True))
    begin(simulation)
    drill = DrillsDrawn(draw=0, beacon=BEACON, owners=(NORTH.owner, SOUTH.owner))
    simulation.at(START_MS + 20 * HOUR_MS, lambda: simulation.commit([drill]))
    simulation.run()
    assert outcomes(simulation) == [Outcome.READY] * 2


@pytest.mark.soak
@pytest.mark.parametrize("seed", [5, 11, 14])
def test_calls_among_faults_lose_nothing(seed: int) -> None:
    faults = Faults(
        agent_crashes_per_h=0.05,
        service_restarts_per_h=0.1,
        curtailments_per_h=0.05,
        owner_uses_per_h=0.05,
        drains_per_h=0.03,
        duplicate_frac=0.1,
        loss_frac=0.05,
        delay_ms_max=30_000,
    )
    simulation = Simulation(scenario(random_jobs(seed, 14, 20), hours=50, faults=faults, seed=seed))
    begin(simulation)
    for minute in (45 + seed, 400, 900 + 7 * seed, 1_500):
        call(simulation, NORTH.site if seed % 2 else SOUTH.site, minute, 3)
    simulation.run()
    assert problems(simulation) == []
