"""Jobs that run on another number of GPUs from attempt to attempt: leases, orders, accounts, and what is refused."""

from __future__ import annotations

import pytest

from sunward.engine.accounts import job_account
from sunward.engine.jobs import check_elastic
from sunward.errors import InputError
from sunward.model.job import JobState
from sunward.model.site import Phase
from sunward.units import HOUR_MS, PPM
from sunward.world.occupancy import occupied
from sunward.world.view import take_snapshot
from tests.support.network import HYDRO, Network, assignment, segment
from tests.support.scenarios import job

CURVE = (1_000_000, 1_600_000, 2_000_000)


def elastic(**changes: object):
    return job("j-1", **({"interruptible": True, "gpus_max": 3, "speedup_ppm": CURVE} | changes))


def running(containers: int, **changes: object) -> Network:
    network = Network()
    network.submit(elastic(**changes))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1, containers), segment(HYDRO, 1, 5, 1)))
    network.report("j-1.1", Phase.RUNNING)
    return network


def held(network: Network) -> int:
    return network.state.world.busy(HYDRO)


def test_a_lease_holds_what_its_segment_names_and_is_paced_by_it():
    network = running(3)
    order = network.orders("no-hydro").leases[0]
    assert (order.gpus, held(network), network.orders("no-hydro").awake[0].count) == (3, 3, 3)
    alone = running(1).orders("no-hydro").leases[0]
    assert alone.unit_ms_grid == pytest.approx(2 * order.unit_ms_grid, abs=1)


def test_another_number_on_the_same_pool_is_a_stop_and_a_start():
    network = running(3)
    network.wait(1)
    assert network.orders("no-hydro").leases[0].action == "suspend"
    network.report("j-1.1", Phase.SUSPENDED, units=400, checkpoint=400)
    order = network.orders("no-hydro").leases[0]
    assert (order.lease, order.gpus, order.checkpoint_units) == ("j-1.2", 1, 400)
    assert held(network) == 1
    changes = [one for one in network.journal.job_changes if one.state == "suspended"]
    assert [one.reason for one in changes] == ["resizing"]
    network.report("j-1.2", Phase.RUNNING, units=400)
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    assert network.job_state("j-1") is JobState.FINISHED
    assert [line.gpus for line in network.cell("attempt_lines", "j-1")] == [3, 1]


def test_time_is_accounted_by_what_each_attempt_held():
    network = running(3)
    network.wait(1)
    network.report("j-1.1", Phase.SUSPENDED, units=400, checkpoint=400)
    network.report("j-1.2", Phase.RUNNING, units=400)
    network.wait(2)
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    assert job_account(network.state, "j-1").leased_ms == (3 * 1 + 1 * 2) * HOUR_MS


@pytest.mark.parametrize("version", [1, 2])
def test_it_is_compared_with_the_least_gpus(version):
    network = running(3, counterfactual=version)
    network.wait(1)
    network.report("j-1.1", Phase.SUSPENDED, units=600, checkpoint=600)
    network.report("j-1.2", Phase.RUNNING, units=600)
    network.wait(0.8)
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    first, second = job_account(network.state, "j-1").run_now.pieces
    assert {first.containers, second.containers} == {1}
    if version == 2:
        # It ran for an hour on three GPUs, which work as fast as two that are used in full.
        assert (first.run_ms, second.run_ms) == (2 * HOUR_MS, round(0.8 * HOUR_MS))
    else:
        assert first.run_ms / second.run_ms == pytest.approx(600 / 400, rel=1e-3)


def test_the_planner_is_told_how_many_it_runs_on_and_they_count_as_taken():
    network = running(2)
    view = take_snapshot(network.state.world, network.at_ms).jobs[0]
    assert (view.pool, view.gpus) == (HYDRO, 2)
    taken = occupied(network.state.world, network.at_ms, 8, (), [HYDRO])[HYDRO]
    assert taken.tolist() == [2, 2, 2, 2, 1, 1, 1, 1]


def test_what_runs_to_its_end_holds_what_it_was_leased():
    network = running(2)
    network.report("j-1.1", Phase.RUNNING, units=990)
    view = take_snapshot(network.state.world, network.at_ms).jobs[0]
    assert view.fixed
    assert [one.containers for one in view.segments] == [2]
    assert occupied(network.state.world, network.at_ms, 2, (), [HYDRO])[HYDRO].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"gpus_max": 0}, "below gpus"),
        ({"gpus": 4}, "below gpus"),
        ({"speedup_ppm": CURVE[:2]}, "2 values for 1 to 3 GPUs"),
        ({"speedup_ppm": ()}, "0 values"),
        ({"speedup_ppm": (900_000, *CURVE[1:])}, "begins with 1"),
        ({"speedup_ppm": (PPM, 1_600_000, 1_500_000)}, "never falls"),
        ({"speedup_ppm": (PPM, 2_000_001, 2_100_000)}, "more than in proportion"),
        ({"gpus": 2, "speedup_ppm": (PPM, 1_600_000)}, "more than in proportion to 2"),
        ({"interruptible": False}, "must be able to pause"),
        ({"gpus_max": 5_000, "speedup_ppm": (PPM,) * 5_000}, "at most 1024"),
    ],
)
def test_a_curve_that_means_nothing_is_refused_in_one_line(changes, line):
    with pytest.raises(InputError, match=line) as refused:
        check_elastic(elastic(**changes))
    assert refused.value.code == "SW-187"


@pytest.mark.parametrize(
    "changes", [{}, {"gpus": 2, "gpus_max": 2, "speedup_ppm": (PPM,)}, {"speedup_ppm": (PPM,) * 3}]
)
def test_a_curve_may_be_flat_or_of_one_number(changes):
    check_elastic(elastic(**changes))
