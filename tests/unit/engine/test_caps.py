"""Leases under a power limit: their pace, what lifts the limit, and what a change of it is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sunward.engine.snapshots import state_digest
from sunward.engine.writer import replay
from sunward.model.commands import RequestPlan
from sunward.model.hardware import WorkClass
from sunward.model.identity import SiteId
from sunward.model.plan import Segment
from sunward.model.site import LeaseOrder, Phase, SiteSpec
from sunward.units import HOUR_MS
from sunward.world import draw
from sunward.world.power import lease_rate
from sunward.world.view import take_snapshot
from tests.support.network import Network, assignment, of_kind, segment
from tests.support.scenarios import SITES, START_MS, job, site

LAB = SiteId("lab")
CAPPED = replace(site("lab", "NO-NO1", "NO", "V100-PCIE-16GB", 2, 1.1, 0.0), power_caps=True)
POOL = CAPPED.pools[0].pool
CAP_W = 150
FREE_H, CAPPED_H = (1 / lease_rate("V100-PCIE-16GB", WorkClass.TRAINING, cap_w) for cap_w in (0, CAP_W))
"""What an hour on the reference GPU takes here."""


def limited(start_h: float, end_h: float, cap_w: int = CAP_W) -> Segment:
    return replace(segment(POOL, start_h, end_h), power_cap_w=cap_w)


def network_with(due_h: float, *, lab: SiteSpec = CAPPED, **changes: object) -> Network:
    """`j-1` of an hour runs under a limit."""
    network = Network(sites=(*SITES, lab))
    due_ms = START_MS + round(due_h * HOUR_MS)
    network.submit(job("j-1", length_ms=HOUR_MS, units=100, deadline_ms=due_ms, **changes))
    network.plan(assignment("j-1", limited(0, CAPPED_H)))
    network.report("j-1.1", Phase.RUNNING)
    return network


def order(network: Network) -> LeaseOrder:
    (found,) = network.orders(LAB).leases
    return found


def held_w(network: Network) -> list[int]:
    return [one.power_cap_w for one in network.cell("segments", "j-1")]


def test_an_order_names_the_limit_and_the_pace_under_it():
    network = network_with(due_h=8)
    assert order(network).power_cap_w == CAP_W
    assert order(network).unit_ms_grid == pytest.approx(CAPPED_H * HOUR_MS / 100, abs=1)
    (view,) = take_snapshot(network.state.world, network.at_ms).jobs
    assert (view.power_cap_w, view.segments[0].power_cap_w) == (CAP_W, CAP_W)


def test_a_limit_stays_while_the_work_will_be_in_time():
    network = network_with(due_h=CAPPED_H + 0.2)
    for hours, units in ((1, 32), (1, 64), (1, 97)):
        network.wait(hours)
        network.report("j-1.1", Phase.RUNNING, units=units)
        assert order(network).power_cap_w == CAP_W


def test_work_that_falls_behind_loses_its_limit_and_runs_on():
    network = network_with(due_h=CAPPED_H + 0.2)
    network.wait(1)
    revision = network.number("revision", "j-1")
    commands = network.report("j-1.1", Phase.RUNNING, units=20)
    assert (order(network).action, order(network).power_cap_w, held_w(network)) == ("run", 0, [0])
    assert [one.reason for one in of_kind(commands, RequestPlan)] == ["limit lifted"]
    assert network.number("revision", "j-1") > revision
    (view,) = take_snapshot(network.state.world, network.at_ms).jobs
    assert view.power_cap_w == 0
    assert view.segments[0].end_ms - network.at_ms == pytest.approx(0.8 * FREE_H * HOUR_MS, rel=1e-3)
    assert state_digest(replay(network.journal.read())) == state_digest(network.state)


def test_a_limit_that_a_ceiling_needs_is_not_lifted():
    (pool,) = CAPPED.pools
    least_w = draw.asleep_w(CAPPED) + draw.above_w(CAPPED, pool, "training", 1, CAP_W)
    tight = replace(CAPPED, power_ceiling_w=math.ceil(least_w) + 10)
    network = network_with(due_h=CAPPED_H - 0.1, lab=tight)
    assert order(network).power_cap_w == CAP_W


def test_a_start_too_late_for_the_limit_is_without_it():
    assert order(network_with(due_h=CAPPED_H - 0.1)).power_cap_w == 0


def test_another_limit_is_a_stop_and_a_start():
    network = network_with(due_h=9, interruptible=True)
    network.plan(assignment("j-1", limited(0, 2.9, 175)))
    assert order(network).action == "suspend"
    network.wait(0.01)
    network.report("j-1.1", Phase.SUSPENDED, units=3, checkpoint=3)
    assert order(network).power_cap_w == 175
    (line,) = network.cell("attempt_lines", "j-1")
    assert line.ended == "capping"


def test_limits_are_offered_only_where_the_site_can_set_them():
    with_caps, without = (
        take_snapshot(Network(sites=(spec,)).state.world, START_MS).pools.caps
        for spec in (CAPPED, replace(CAPPED, power_caps=False))
    )
    assert without is None
    assert with_caps is not None
    training, generic = (list(WorkClass).index(kind) for kind in (WorkClass.TRAINING, WorkClass.GENERIC))
    assert with_caps.cap_w[0, training].tolist() == [200, 175, 150]
    assert not with_caps.cap_w[0, generic].any()
