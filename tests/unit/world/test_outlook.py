"""What the end of a job teaches, and what a planner is told of one whose length is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.snapshots import dump, load, state_digest
from sunward.model.events import AgentLost, CancelRequested
from sunward.model.identity import JobId, SiteId
from sunward.model.job import JobSpec, JobState, LengthKind
from sunward.model.site import Phase
from sunward.units import HOUR_MS, PPM
from sunward.world import outlook
from sunward.world.lengths import RATIO, RATIO_MS, RUN, Curve, bin_of, chain_of
from sunward.world.progress import progress
from sunward.world.snapshot import Lengths
from sunward.world.view import take_snapshot
from tests.support.network import SOLAR, Network, assignment, segment, unplaced
from tests.support.scenarios import TENANT, job

SITE = "es-solar"


def unknown(name: str = "j-1", **changes: object) -> JobSpec:
    plain: dict[str, object] = {
        "units": 1,
        "length_kind": LengthKind.UNKNOWN,
        "timeout_ms": 24 * HOUR_MS,
        "promise_ppm": 900_000,
    }
    return job(name, **(plain | changes))


def running(spec: JobSpec, hours: float = 4) -> Network:
    """A network on whose reference GPU the job runs."""
    network = Network()
    network.submit(spec)
    network.plan(assignment(spec.job, segment(SOLAR, 0, hours)))
    network.report(f"{spec.job}.1", Phase.RUNNING, site=SITE)
    return network


def seen(network: Network, name: str = "j-1") -> Lengths | None:
    views = {view.spec.job: view for view in take_snapshot(network.state.world, network.at_ms).jobs}
    return views[JobId(name)].lengths


def learnt(network: Network, kind: str = RUN) -> list[tuple[int, int]]:
    """Bins of the class of these jobs, ended and stopped."""
    key = chain_of(kind, tenant=TENANT, work_class="training", gpus=1, family="")[0]
    known = network.state.world.lengths.classes.get(key)
    return [] if known is None else [*known.ended.items(), *((-at, weight) for at, weight in known.stopped.items())]


def test_a_finished_job_teaches_how_long_it_ran():
    network = running(unknown())
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED)
    assert [at for at, _ in learnt(network)] == [bin_of(2 * HOUR_MS)]
    assert learnt(network, RATIO) == []


def test_an_estimate_teaches_how_far_off_it_was():
    network = running(unknown(length_kind=LengthKind.ESTIMATED, length_ms=HOUR_MS))
    network.wait(3)
    network.report("j-1.1", Phase.FINISHED)
    assert [at for at, _ in learnt(network)] == [bin_of(3 * HOUR_MS)]
    assert [at for at, _ in learnt(network, RATIO)] == [bin_of(3 * RATIO_MS)]


def test_a_cancelled_job_only_tells_that_it_is_longer():
    network = running(unknown())
    network.wait(1)
    network.tell(CancelRequested(job=JobId("j-1")))
    network.report("j-1.1", Phase.SUSPENDED)
    assert [at for at, _ in learnt(network)] == [-bin_of(HOUR_MS)]


def test_a_job_that_never_ran_teaches_nothing():
    network = Network()
    network.submit(unknown())
    network.tell(CancelRequested(job=JobId("j-1")))
    assert not network.state.world.lengths.classes


def test_what_was_learnt_survives_a_restart():
    network = running(unknown())
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED)
    again = load(dump(network.state))
    assert again.world.lengths.classes == network.state.world.lengths.classes
    assert state_digest(again) == state_digest(network.state)


def test_a_planner_is_told_what_may_be_left():
    network = running(unknown())
    before = seen(network)
    network.wait(2)
    after = seen(network)
    assert before is not None
    assert after is not None
    for told in (before, after):
        assert sum(told.weight_ppm) == PPM
        assert min(told.weight_ppm) > 0
        assert list(told.remaining_ms) == sorted(set(told.remaining_ms))
        assert told.remaining_ms[0] > 0
    # A heavy tail: who has run for two hours has more left than who has just begun.
    assert outlook.quantile_ms(after, 500_000) > outlook.quantile_ms(before, 500_000)


def test_a_known_length_stays_known():
    assert seen(running(job("j-1"))) is None


def test_progress_in_units_tells_what_is_left():
    network = running(unknown(units=1_000, length_kind=LengthKind.ESTIMATED, length_ms=4 * HOUR_MS))
    network.wait(2)
    network.report("j-1.1", Phase.RUNNING, units=900)
    told = seen(network)
    assert told is not None
    assert outlook.quantile_ms(told, 500_000) < HOUR_MS


def test_a_lost_attempt_is_remembered_as_a_lower_bound():
    network = running(unknown())
    network.wait(3)
    network.tell(AgentLost(site=SiteId(SITE)))
    world = network.state.world
    so_far = outlook.ran(world, world.jobs.row_of["j-1"], network.at_ms)
    assert (so_far.banked_ms, so_far.least_ms) == (0, 3 * HOUR_MS)
    told = seen(network)
    assert told is not None
    assert told.remaining_ms[0] > 3 * HOUR_MS


def test_kept_units_of_attempts_add_up():
    network = running(unknown(units=1_000, interruptible=True))
    network.wait(2)
    network.report("j-1.1", Phase.RUNNING, units=500, checkpoint=400)
    network.tell(AgentLost(site=SiteId(SITE)))
    world = network.state.world
    so_far = outlook.ran(world, world.jobs.row_of["j-1"], network.at_ms)
    # Four of five parts of what the attempt ran were saved.
    assert so_far.banked_ms == so_far.least_ms == 2 * HOUR_MS * 4 // 5


def test_pauses_keep_what_was_run_without_units():
    network = running(unknown(interruptible=True))
    network.wait(2)
    network.plan(assignment("j-1", segment(SOLAR, 5, 9)))
    network.report("j-1.1", Phase.SUSPENDED)
    network.wait(1)
    world = network.state.world
    so_far = outlook.ran(world, world.jobs.row_of["j-1"], network.at_ms)
    assert so_far.banked_ms == so_far.least_ms == 2 * HOUR_MS
    told = seen(network)
    assert told is not None
    assert told.remaining_ms[0] > 0
    assert outlook.waited_ms(world, world.jobs.row_of["j-1"], network.at_ms) == HOUR_MS


def test_a_running_job_holds_its_container_as_long_as_its_like_may_run():
    network = running(unknown(), hours=0.5)
    network.wait(1)
    world = network.state.world
    leases = world.open_rows[SOLAR].columns()
    state = progress(world, *leases, network.at_ms)
    told = seen(network)
    assert told is not None
    assert state.end_ms[0] - network.at_ms > outlook.quantile_ms(told, 500_000)
    assert network.orders(SITE).leases[0].action == "run"


def test_a_site_is_not_told_a_pace_that_nobody_knows():
    assert running(unknown()).orders(SITE).leases[0].unit_ms_grid == 0


def test_a_promise_that_cannot_be_kept_any_more_is_kept_as_well_as_can_be():
    network = Network()
    spec = unknown(deadline_ms=network.at_ms + 6 * HOUR_MS)
    network.submit(spec)
    strict = seen(network)
    network.plan(assignment("j-1", segment(SOLAR, 5, 6)))
    network.wait(4.5)
    placed = seen(network)
    network.plan(leave=(unplaced("j-1", permanent=True),))
    relaxed = seen(network)
    assert placed is not None
    assert placed.promise_ppm == 900_000
    assert network.job_state("j-1") is JobState.SUBMITTED
    assert strict is not None
    assert relaxed is not None
    assert strict.promise_ppm == 900_000
    assert 0 <= relaxed.promise_ppm < 900_000


def test_broken_promises_make_the_next_plans_more_careful():
    network = Network()
    for number in range(4):
        network.submit(unknown(f"j-{number}", deadline_ms=network.at_ms + HOUR_MS))
    network.wait(2)
    network.submit(unknown("j-9", deadline_ms=network.at_ms + 9 * HOUR_MS))
    told = seen(network, "j-9")
    assert told is not None
    assert 900_000 < told.promise_ppm < PPM


def test_weights_are_positive_and_times_rise():
    told = outlook.as_lengths([(5, 100_000), (5, 200_000), (7, 200_000), (9, PPM)], 0)
    assert told == Lengths(remaining_ms=(5, 9), weight_ppm=(200_000, 800_000), promise_ppm=0)
    assert outlook.within_ppm(told, 8) == 200_000
    assert outlook.quantile_ms(told, 200_001) == 9


@pytest.mark.parametrize("scale", [1, 2])
def test_an_estimate_scales_what_is_expected(scale):
    chain = chain_of(RATIO, tenant="t", work_class="training", gpus=1, family="")
    curve = Curve(tuple(0 if at < bin_of(RATIO_MS) else 1 << 30 for at in range(130)))
    found = replace(outlook.outlook(Network().state.world.lengths, chain, scale * HOUR_MS), curve=curve)
    assert found.quantile_ms(0, 500_000) == pytest.approx(scale * HOUR_MS, abs=1)
    assert found.mean_ms(100 * HOUR_MS) == pytest.approx(scale * HOUR_MS, rel=0.01)
