"""A grid event lowers what a site may draw: who yields and when, what is refused, and that it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.inputs import solve_again
from sunward.engine.snapshots import dump, load, state_digest
from sunward.model.commands import JobChanged, Rejected, RequestPlan
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import ForecastIssued, SiteCurtailed
from sunward.model.identity import SiteId, ZoneId
from sunward.model.job import JobState
from sunward.model.plan import Plan
from sunward.model.signal import Forecast
from sunward.model.site import Ceiling, Phase, SiteSpec
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.tick import take_tick
from tests.support.network import COAL, HYDRO, SOLAR, Network, assignment, of_kind, segment, unplaced
from tests.support.scenarios import SITES, START_MS, job

NORTH = SiteId("no-hydro")
ONE_W = 961
"""What one H100 at work draws at the meter of the northern site above sleeping; asleep, all four draw 13 W."""
NOTICE_H = 5 / 60


def limit(watts: int, from_h: float, to_h: float, *, name: str = "g-1") -> Ceiling:
    start_ms, end_ms = (START_MS + round(hours * HOUR_MS) for hours in (from_h, to_h))
    return Ceiling(ceiling=name, start_ms=start_ms, end_ms=end_ms, ceiling_w=watts, source="operator")


def curtail(network: Network, watts: int, from_h: float, to_h: float, **words: str):
    return network.tell(SiteCurtailed(site=NORTH, ceiling=limit(watts, from_h, to_h, **words)))


def lift(network: Network, name: str = "g-1"):
    return network.tell(SiteCurtailed(site=NORTH, ceiling=limit(0, 0, 1, name=name), cancelled=True))


def running(*, sites: tuple[SiteSpec, ...] = SITES, **jobs: dict[str, object]) -> Network:
    """Each job runs in the north, for some five hours."""
    network = Network(sites=sites)
    network.submit(*(job(name, length_ms=12 * HOUR_MS, **more) for name, more in jobs.items()))
    network.plan(*(assignment(name, segment(HYDRO, 0, 6, int(more.get("gpus", 1)))) for name, more in jobs.items()))
    for name in jobs:
        network.report(f"{name}.1", Phase.RUNNING)
    return network


def solved(network: Network) -> Plan:
    """What the planner makes of the world as it is, with flat forecasts."""
    issued = tuple(
        Forecast(
            zone=ZoneId(zone),
            kind=kind,
            issued_ms=network.at_ms,
            start_ms=START_MS,
            p10=(100_000,) * 168,
            p50=(100_000,) * 168,
            p90=(100_000,) * 168,
            source="flat",
            quality=Quality.FORECAST,
        )
        for zone in ("ES", "NO-NO1", "PL")
        for kind in (SeriesKind.CARBON_AVERAGE_LIFECYCLE, SeriesKind.PRICE)
    )
    network.tell(ForecastIssued(forecasts=issued, digest="d" * 64))
    return solve_again(network.state.world, network_plan(network)).plan


def network_plan(network: Network) -> Plan:
    return Plan(
        based_on=network.state.world.sequence,
        at_ms=network.at_ms,
        slot_ms=15 * MINUTE_MS,
        slots=96,
        planner="hand",
        assignments=(),
        unplaced=(),
        awake=(),
    )


def stopped(network: Network) -> list[str]:
    return [order.job for order in network.orders(NORTH).leases if order.action == "suspend"]


PAUSES = {"interruptible": True}
STAYS = {"interruptible": False}


def test_running_work_yields_at_the_notice_and_no_more_than_needed():
    network = running(a=PAUSES, b=PAUSES, c=PAUSES)
    asked = curtail(network, 13 + 2 * ONE_W + 1, 1, 2)
    assert [one.reason for one in of_kind(asked, RequestPlan)] == ["curtailed"]
    assert stopped(network) == []
    network.wait(1 - NOTICE_H - 0.01)
    assert stopped(network) == []
    network.wait(0.02)
    assert len(stopped(network)) == 1
    network.wait(1)
    assert len(stopped(network)) == 1


def test_an_event_without_notice_is_obeyed_at_once():
    network = running(a=PAUSES, b=PAUSES)
    curtail(network, 13 + ONE_W + 1, 0, 2)
    assert len(stopped(network)) == 1


def test_the_reason_is_told_and_the_job_waits_for_a_plan():
    network = running(a=PAUSES)
    curtail(network, 0, 0, 2)
    commands = network.report("a.1", Phase.SUSPENDED, units=400, checkpoint=400)
    (told,) = of_kind(commands, JobChanged)
    assert (told.state, told.reason) == ("suspended", "curtailed")
    (line,) = network.cell("attempt_lines", "a")
    assert line.ended == "curtailed"
    assert [one.reason for one in of_kind(commands, RequestPlan)] == ["curtailed"]
    network.plan(assignment("a", segment(SOLAR, 0, 4)))
    assert [order.checkpoint_units for order in network.orders("es-solar").leases] == [400]


def test_what_the_plan_gives_it_later_stays():
    network = running(a=PAUSES)
    network.plan(assignment("a", segment(HYDRO, 0, 0.5), segment(SOLAR, 0.5, 4)))
    curtail(network, 0, 0, 2)
    network.report("a.1", Phase.SUSPENDED, units=400, checkpoint=400)
    assert network.cell("segments", "a") == (segment(SOLAR, 0.5, 4),)
    network.wait(0.6)
    assert [order.lease for order in network.orders("es-solar").leases] == ["a.2"]


def test_what_cannot_pause_yields_only_if_nothing_else_suffices():
    network = running(a=STAYS, b=PAUSES, c=STAYS)
    curtail(network, 13 + 2 * ONE_W + 1, 0, 2)
    assert stopped(network) == ["b"]
    curtail(network, 13 + ONE_W + 1, 0, 2, name="g-2")
    assert len(stopped(network)) == 2
    (other,) = set(stopped(network)) - {"b"}
    network.report(f"{other}.1", Phase.SUSPENDED)
    assert network.job_state(other) is JobState.SUBMITTED
    assert network.cell("segments", other) == ()


def test_the_one_with_the_least_unsaved_work_yields():
    network = running(a=PAUSES, b=PAUSES)
    network.wait(0.5)
    network.report("a.1", Phase.RUNNING, units=100, checkpoint=10)
    network.report("b.1", Phase.RUNNING, units=300, checkpoint=299)
    curtail(network, 13 + ONE_W + 1, 0, 2)
    assert stopped(network) == ["b"]


def test_the_one_that_still_ends_in_time_yields():
    network = running(a=PAUSES, b={**PAUSES, "deadline_ms": START_MS + 8 * HOUR_MS})
    network.wait(0.5)
    network.report("a.1", Phase.RUNNING, units=100, checkpoint=10)
    network.report("b.1", Phase.RUNNING, units=100, checkpoint=100)
    curtail(network, 13 + ONE_W + 1, 0.5, 5)
    assert stopped(network) == ["a"]


def test_one_that_frees_enough_spares_the_others():
    network = running(a=PAUSES, b={**PAUSES, "gpus": 3})
    network.wait(0.5)
    network.report("a.1", Phase.RUNNING, units=300, checkpoint=300)
    network.report("b.1", Phase.RUNNING, units=300, checkpoint=100)
    curtail(network, 13 + ONE_W + 1, 0.5, 2)
    assert stopped(network) == ["b"]


def test_what_ends_before_the_event_is_left_to_end_and_stopped_if_it_does_not():
    network = running(a=PAUSES)
    network.wait(3.9)
    network.report("a.1", Phase.RUNNING, units=990, checkpoint=900)
    curtail(network, 0, 3.97, 7)
    assert stopped(network) == []
    network.wait(0.08)
    assert stopped(network) == ["a"]


def test_the_planner_moves_what_can_move_and_the_commit_takes_it():
    network = running(a=PAUSES, b=PAUSES)
    curtail(network, 13 + ONE_W + 1, 1, 8)
    plan = solved(network)
    given = {"a": (segment(HYDRO, 0, 6),), "b": (segment(HYDRO, 0, 6),)}
    given |= {one.job: one.segments for one in plan.assignments}
    held = [one for segments in given.values() for one in segments if one.pool == HYDRO]
    for at_ms in range(START_MS + HOUR_MS, START_MS + 8 * HOUR_MS, 15 * MINUTE_MS):
        assert sum(one.start_ms <= at_ms < one.end_ms for one in held) <= 1
    assert not of_kind(network.plan(*plan.assignments), Rejected)
    network.wait(1.01)
    assert len([order for order in network.orders(NORTH).leases if order.action == "run"]) == 1


def test_what_runs_and_finds_nothing_is_planned_around():
    north = replace(SITES[0], power_ceiling_w=13 + 2 * ONE_W + 2)
    network = running(sites=(north,), a={**PAUSES, "gpus": 2, "deadline_ms": START_MS + 6 * HOUR_MS})
    network.submit(job("b"))
    network.plan(leave=(unplaced("b"),))
    curtail(network, ONE_W, 1, 2)
    plan = solved(network)
    assert [one.job for one in plan.unplaced] == ["a"]
    assert not of_kind(network.plan(*plan.assignments, leave=plan.unplaced), Rejected)
    network.wait(0.5)
    assert [order.job for order in network.orders(NORTH).leases] == ["a"]


def test_an_assignment_over_the_ceiling_is_refused_at_commit():
    network = running(a=STAYS)
    network.submit(job("b"), job("c"))
    curtail(network, 13 + 2 * ONE_W + 1, 1, 2)
    told = network.plan(assignment("b", segment(HYDRO, 1, 3)), assignment("c", segment(HYDRO, 1, 3)))
    assert [(one.job, one.reason) for one in of_kind(told, Rejected)] == [("c", "ceiling")]
    assert not of_kind(network.plan(assignment("c", segment(HYDRO, 2, 4))), Rejected)


def test_other_sites_and_other_hours_are_as_they_were():
    network = Network()
    curtail(network, 100, 1.2, 2)
    snapshot = take_tick(network.state.world, network.at_ms)
    row = snapshot.sites.index("no-hydro")
    slots = snapshot.site_ceiling_w[row].tolist()
    assert [slot for slot, watts in enumerate(slots) if watts == 100] == [4, 5, 6, 7]
    assert all(watts == float("inf") for slot, watts in enumerate(slots) if not 4 <= slot < 8)
    others = [at for at in range(len(snapshot.sites)) if at != row]
    assert (snapshot.site_ceiling_w[others] == float("inf")).all()


def test_the_lowest_of_all_limits_holds():
    network = Network(sites=(replace(SITES[0], power_ceiling_w=3_000), *SITES[1:]))
    curtail(network, 2_000, 0, 2)
    curtail(network, 5_000, 1, 4, name="g-2")
    snapshot = take_tick(network.state.world, network.at_ms)
    assert snapshot.site_ceiling_w[snapshot.sites.index("no-hydro"), ::4].tolist()[:5] == [
        2_000,
        2_000,
        3_000,
        3_000,
        3_000,
    ]


def test_no_offer_breaks_a_ceiling_and_its_end_lets_it_go_on():
    network = Network()
    network.submit(job("a"), job("b"))
    network.plan(assignment("a", segment(HYDRO, 0.5, 4)), assignment("b", segment(HYDRO, 0.5, 4)))
    curtail(network, 13 + ONE_W + 1, 0.25, 2)
    network.wait(1)
    assert [order.job for order in network.orders(NORTH).leases] == ["a"]
    network.wait(1.01)
    assert [order.job for order in network.orders(NORTH).leases] == ["a", "b"]


def test_a_lifted_limit_counts_no_more():
    network = running(a=PAUSES)
    curtail(network, 0, 1, 2)
    asked = lift(network)
    assert [one.reason for one in of_kind(asked, RequestPlan)] == ["curtailed"]
    assert not network.state.world.sites[NORTH].ceilings
    network.wait(2)
    assert stopped(network) == []


def test_a_limit_told_again_replaces_the_first():
    network = running(a=PAUSES)
    curtail(network, 0, 1, 2)
    curtail(network, 0, 3, 3.5)
    network.wait(2)
    assert stopped(network) == []
    network.wait(1)
    assert stopped(network) == ["a"]
    network.wait(1)
    assert not network.state.world.sites[NORTH].ceilings


def test_a_snapshot_keeps_limits_and_one_without_is_what_it_was():
    network = Network()
    before = dump(network.state)
    assert b"ceilings" not in state_digest(network.state).encode()
    curtail(network, 100, 1, 2)
    curtail(network, 100, 0.5, 2, name="f-1")
    again = load(dump(network.state))
    assert again.world.sites[NORTH].ceilings == network.state.world.sites[NORTH].ceilings
    assert state_digest(again) == state_digest(network.state)
    lift(network)
    lift(network, "f-1")
    assert load(before).world.sites[NORTH].ceilings == {} == network.state.world.sites[NORTH].ceilings


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ceiling_w": -1}, "SW-700"),
        ({"ceiling_w": 10**13}, "SW-700"),
        ({"ceiling": ""}, "SW-700"),
        ({"ceiling": "a/b"}, "SW-700"),
        ({"end_ms": START_MS + HOUR_MS}, "SW-700"),
        ({"start_ms": START_MS - 2 * HOUR_MS, "end_ms": START_MS}, "SW-700"),
        ({"start_ms": -1}, "SW-700"),
    ],
)
def test_limits_that_mean_nothing_are_refused(changes, code):
    network = Network()
    wrong = replace(limit(100, 1, 2), **changes)
    assert network.refusal(SiteCurtailed(site=NORTH, ceiling=wrong)).code == code


def test_what_is_not_there_is_refused():
    network = Network()
    one = limit(100, 1, 2)
    assert network.refusal(SiteCurtailed(site=SiteId("nowhere"), ceiling=one)).code == "SW-134"
    assert network.refusal(SiteCurtailed(site=NORTH, ceiling=one, cancelled=True)).code == "SW-701"
    for number in range(256):
        curtail(network, 100, 1, 2, name=f"g-{number}")
    assert network.refusal(SiteCurtailed(site=NORTH, ceiling=limit(1, 1, 2, name="more"))).code == "SW-702"
    curtail(network, 50, 1, 2, name="g-7")


def test_a_job_that_visits_another_pool_later_counts_there():
    network = running(a=PAUSES)
    network.plan(assignment("a", segment(HYDRO, 0, 1), segment(COAL, 1, 4)))
    network.submit(job("b"))
    network.tell(SiteCurtailed(site=SiteId("pl-coal"), ceiling=limit(700, 1, 2)))
    told = network.plan(assignment("b", segment(COAL, 1, 3)))
    assert [one.reason for one in of_kind(told, Rejected)] == ["ceiling"]
