"""Tenants with weights through the whole engine: turns hold from plan to plan, under faults, and break no promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.events import Deposited
from sunward.model.identity import TenantId
from sunward.sim.runner import Simulation
from sunward.units import HOUR_MS
from tests.support.faults import FAULTS, problems
from tests.support.scenarios import START_MS, TENANT, job, scenario

SECOND = TenantId("t-beta")
EACH, HOURS, LENGTH_H = 28, 14, 1


def asked(tenant: TenantId, number: int):
    """Jobs of an hour on the reference GPU that any site could do; all those of the first tenant come earlier."""
    at_ms = START_MS + (0 if tenant == TENANT else HOUR_MS // 4)
    changes = {"length_ms": LENGTH_H * HOUR_MS, "deadline_ms": START_MS + HOURS * HOUR_MS, "carbon_price_usd_per_t": 0}
    return at_ms, job(f"{tenant}-{number:02d}", tenant=tenant, interruptible=False, **changes)


@pytest.fixture(scope="module", params=[(), ((TENANT, 1), (SECOND, 3))], ids=["plain", "weighed"])
def run(request) -> Simulation:
    jobs = tuple(asked(tenant, number) for tenant in (TENANT, SECOND) for number in range(EACH))
    plain = scenario(jobs, hours=HOURS + 4, faults=FAULTS, seed=5)
    rules = replace(plain.rules, policy=replace(plain.rules.policy, tenant_shares=request.param))
    rich = tuple(Deposited(tenant=tenant, amount_wei=10**24) for tenant in (TENANT, SECOND))
    simulation = Simulation(replace(plain, rules=rules, deposits=rich))
    simulation.run()
    return simulation


def test_everything_holds(run):
    assert problems(run) == [], f"seed {run.scenario.seed}"


def test_who_weighs_more_gets_more_though_it_came_later_and_nobody_starves(run):
    contested = (START_MS + HOUR_MS, START_MS + 5 * HOUR_MS)
    ends = [(one.tenant, one.finished_ms) for one in run.journal.receipts]
    first, second = (
        sum(tenant == one and contested[0] < at_ms <= contested[1] for one, at_ms in ends)
        for tenant in (TENANT, SECOND)
    )
    if run.scenario.rules.policy.tenant_shares:
        assert second >= 2 * first > 0
    else:
        assert second < first
