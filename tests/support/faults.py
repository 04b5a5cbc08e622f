"""A seeded run with everything going wrong now and then, and all that must hold after it."""

from __future__ import annotations

from sunward.sim.checkers import check_all, sealed_it_j
from sunward.sim.parity import run_again
from sunward.sim.runner import Faults, Simulation
from sunward.sim.site_checker import check_sites
from tests.support.scenarios import random_jobs, scenario

FAULTS = Faults(
    agent_crashes_per_h=0.15,
    job_kills_per_h=0.4,
    service_restarts_per_h=0.3,
    duplicate_frac=0.3,
    loss_frac=0.1,
    delay_ms_max=120_000,
    owner_uses_per_h=0.2,
    drains_per_h=0.05,
    curtailments_per_h=0.03,
)


def faulty(seed: int, *, jobs: int = 20, hours: int = 60) -> Simulation:
    """A finished run; its hours leave room for jobs that faults made end long after their deadlines."""
    simulation = Simulation(scenario(random_jobs(seed, jobs, 20), hours=hours, faults=FAULTS, seed=seed))
    simulation.run()
    return simulation


def problems(simulation: Simulation, *, settled: bool = True) -> list[str]:
    """Everything that does not hold, in words."""
    records, commands = list(simulation.journal.read()), list(simulation.journal.projected.values())
    found = check_all(records, commands, simulation.writer.state, settled=settled)
    found += check_sites(records, simulation.journal.projected)
    found += simulation.tally.plan_violations
    if sealed_it_j(records) != simulation.tally.metered_j:
        found.append(f"{simulation.tally.metered_j} J acknowledged, {sealed_it_j(records)} J sealed")
    again = run_again(records)
    if again.plans != simulation_plans(simulation) or again.plans_differing:
        found.append(f"plans {again.plans_differing} are not what solving again gives")
    if again.head_hash != simulation.journal.head().hash:
        found.append("the journal written again has another head")
    return found


def simulation_plans(simulation: Simulation) -> int:
    """Plans that were recorded."""
    return sum(record.event.kind == "plan_proposed" for record in simulation.journal.read())
