"""Power limits in simulated runs: energy is saved, and deadlines are kept, also by jobs slower than planned."""

from __future__ import annotations

from dataclasses import replace

from sunward.sim.runner import Simulation
from sunward.units import HOUR_MS
from tests.support.faults import FAULTS, problems
from tests.support.scenarios import START_MS, job, random_jobs, scenario, site

LAB = replace(site("lab", "PL", "PL", "V100-PCIE-16GB", 4, 1.2, 0.0), power_caps=True)
SUNNY = replace(site("sunny", "ES", "ES", "V100-PCIE-16GB", 4, 1.1, 0.0), power_caps=True)
SEED = 3
ASKED = {"allowed_countries": ("PL",), "length_ms": 2 * HOUR_MS, "units": 500}


def run(*sites, jobs, hours: int = 24, **changes) -> Simulation:
    simulation = Simulation(replace(scenario(jobs, hours=hours), sites=sites, **changes))
    simulation.run()
    return simulation


def due(hours: float) -> int:
    return START_MS + round(hours * HOUR_MS)


def receipts(simulation: Simulation):
    return {one.job: one for one in simulation.journal.receipts}


def test_time_to_spare_becomes_energy_saved():
    jobs = (
        (START_MS, job("j-soon", **ASKED, deadline_ms=due(5.4))),
        (START_MS, job("j-late", **ASKED, deadline_ms=due(9))),
    )
    found = run(LAB, jobs=jobs)
    assert problems(found) == []
    soon, late = receipts(found)["j-soon"], receipts(found)["j-late"]
    assert all(promise.kept for one in (soon, late) for promise in one.promises)
    assert late.facility_j < 0.98 * soon.facility_j


def test_a_job_slower_than_planned_is_in_time_because_its_limit_is_lifted():
    slow = job("j-slow", **ASKED, deadline_ms=due(6.7))
    found = run(LAB, jobs=((START_MS, slow),), true_ms={"j-slow": round(1.08 * 2 * HOUR_MS)})
    assert problems(found) == []
    (one,) = found.journal.receipts
    assert all(promise.kept for promise in one.promises)
    assert len(one.attempts) == 1


def hard(spec):
    """The same job on one slow GPU, at a price of carbon that makes limits worth it."""
    return replace(spec, allowed_countries=(), carbon_price_usd_per_t=5_000, gpus=1, length_ms=spec.length_ms // 3)


def test_everything_holds_with_limits_whatever_goes_wrong():
    jobs = tuple((at_ms, hard(spec)) for at_ms, spec in random_jobs(SEED, 6, 8))
    found = run(LAB, SUNNY, jobs=jobs, hours=48, faults=FAULTS, seed=SEED)
    assert min(found.tally.crashes, found.tally.kills, found.tally.restarts) > 0
    assert problems(found) == []
    assert any(part.power_cap_w for part in planned(found))


def planned(simulation: Simulation):
    """Every segment of every plan."""
    records = (one for one in simulation.journal.read() if one.event.kind == "plan_proposed")
    return [part for one in records for made in one.event.payload.plan.assignments for part in made.segments]
