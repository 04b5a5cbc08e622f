from __future__ import annotations

from dataclasses import replace

from sunward.model.plan import Assignment, Plan, PolicyInputs
from sunward.placement.planner import PLANNER, plan, quote
from sunward.sim.plan_checker import check_plan
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.snapshot import Snapshot
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot, spec

CLEAN_LATER = {"NO": [400.0] * 8 + [20.0] * 8}


def checked(world: Snapshot) -> Plan:
    made = plan(world)
    assert check_plan(world, made) == []
    return made


def by_job(made: Plan) -> dict[str, Assignment]:
    return {one.job: one for one in made.assignments}


def test_a_plan_names_what_it_is_based_on() -> None:
    made = checked(snapshot([Pool(id="no")], [job(revision=9)]))
    assert (made.based_on, made.at_ms, made.planner) == (7, NOW_MS, PLANNER)
    assert (made.assignments[0].revision, made.assignments[0].free_read) == (9, 2)


def test_a_clean_slot_goes_where_it_saves_most() -> None:
    """Both want the one clean pool; the heavier carbon price loses more without it."""
    pools = [Pool(id="clean", zone="NO", count=1), Pool(id="dirty", zone="PL", count=1)]
    carbon = {"NO": [20.0], "PL": [700.0]}
    asked = [
        job("a", hours=2.0, due_h=2.0, carbon_price_usd_per_t=50),
        job("b", hours=2.0, due_h=2.0, carbon_price_usd_per_t=5_000),
    ]
    made = by_job(checked(snapshot(pools, asked, carbon=carbon)))
    assert made["b"].segments[0].pool == "clean"
    assert made["a"].segments[0].pool == "dirty"


def test_a_gang_is_placed_at_one_pool_at_the_same_time() -> None:
    asked = [job("single", hours=1.0, due_h=4.0), job("gang", hours=2.0, due_h=2.0, gpus=4)]
    made = by_job(checked(snapshot([Pool(id="no", count=4)], asked)))
    assert made["gang"].segments == (segment("no", 0, 2, 4),)
    assert made["single"].segments[0].start_ms >= NOW_MS + 2 * HOUR_MS


def test_present_segments_stay_unless_the_gain_is_worth_it() -> None:
    present = segment("no", 0.5, 1.5)
    waiting = job("job", hours=1.0, carbon_price_usd_per_t=100, segments=(present,))
    slightly = snapshot([Pool(id="no")], [waiting], carbon={"NO": [400.0] * 8 + [300.0] * 8})
    assert checked(slightly).assignments == ()
    clearly = snapshot([Pool(id="no")], [replace(waiting, spec=spec(carbon_price_usd_per_t=5_000))], carbon=CLEAN_LATER)
    assert by_job(checked(clearly))["job"].segments == (segment("no", 2, 3),)


def test_hysteresis_is_the_share_of_the_old_score() -> None:
    """Waiting saves 0.112 USD of 1.12 USD, 10 %: enough at 9 % and not at 11 %."""
    waiting = job("job", hours=1.0, segments=(segment("no", 0, 1),))
    price = {"NO": [0.3] * 8 + [0.02] * 8}
    for ppm, moved in ((90_000, True), (110_000, False)):
        policy = PolicyInputs(hysteresis_ppm=ppm, delay_ppm_per_h=0)
        world = snapshot([Pool(id="no")], [waiting], price=price, carbon={"NO": [0.0]}, policy=policy)
        assert bool(checked(world).assignments) is moved


def test_segments_that_no_longer_hold_are_replaced() -> None:
    asked = job("job", hours=1.0, segments=(segment("lost", 1, 2),))
    made = checked(snapshot([Pool(id="lost", available=0), Pool(id="no")], [asked]))
    assert by_job(made)["job"].segments[0].pool == "no"


def test_segments_too_short_for_the_work_are_replaced() -> None:
    asked = job("job", hours=1.0, segments=(segment("no", 1, 1.75),))
    made = by_job(checked(snapshot([Pool(id="no")], [asked])))["job"]
    assert made.segments[0].end_ms - made.segments[0].start_ms == HOUR_MS


def test_a_start_just_made_is_not_planned_again() -> None:
    now = NOW_MS + 4 * MINUTE_MS
    asked = job("job", hours=1.0, units=1, segments=(segment("no", 0, 1),))
    assert checked(snapshot([Pool(id="no")], [asked], now_ms=now)).assignments == ()


def test_a_flexible_plan_makes_way_for_an_urgent_job() -> None:
    flexible = job("flexible", hours=2.0, due_h=4.0, segments=(segment("no", 0, 2),))
    urgent = job("urgent", hours=2.0, due_h=2.0)
    made = by_job(checked(snapshot([Pool(id="no", count=1)], [flexible, urgent])))
    assert made["urgent"].segments == (segment("no", 0, 2),)
    assert made["flexible"].segments == (segment("no", 2, 4),)


def test_a_plan_makes_way_where_the_total_falls_enough() -> None:
    """The holder of the clean hours loses little by moving; the newcomer gains much."""
    holder = job("holder", hours=2.0, carbon_price_usd_per_t=0, segments=(segment("no", 2, 4),))
    keen = job("keen", hours=2.0, carbon_price_usd_per_t=5_000)
    made = by_job(checked(snapshot([Pool(id="no", count=1)], [holder, keen], carbon=CLEAN_LATER)))
    assert made["keen"].segments == (segment("no", 2, 4),)
    assert made["holder"].segments == (segment("no", 0, 2),)


def test_a_promise_is_never_broken_for_a_newcomer() -> None:
    holder = job("holder", hours=2.0, due_h=2.0, segments=(segment("no", 0, 2),))
    newcomer = job("newcomer", hours=2.0, due_h=2.0)
    made = checked(snapshot([Pool(id="no", count=1)], [holder, newcomer]))
    assert made.assignments == ()
    assert [(one.job, one.reason, one.permanent) for one in made.unplaced] == [("newcomer", "capacity", False)]


def test_a_running_job_goes_on_without_restart() -> None:
    running = job("job", hours=2.0, units_done=500, interruptible=True, pool="no", elapsed_ms=HOUR_MS)
    made = by_job(checked(snapshot([Pool(id="no", awake=1, wake_j=9_000.0)], [running])))["job"]
    assert made.segments == (segment("no", 0, 1),)
    assert (made.terms.wake, made.reason) == (0, "now")


def test_a_job_that_has_just_started_is_given_the_rest_of_its_start() -> None:
    running = job("job", hours=2.0, units_done=500, pool="no", elapsed_ms=2 * MINUTE_MS)
    made = by_job(checked(snapshot([Pool(id="no", awake=1)], [running])))["job"]
    assert made.segments[0].end_ms == NOW_MS + HOUR_MS + 3 * MINUTE_MS


def test_a_slow_pool_may_do_a_part_of_what_it_could_not_end() -> None:
    """The fast pool is free for the first hour only; neither of the two can do all of it in time."""
    pools = [Pool(id="fast", count=1, rate=2.0), Pool(id="slow", count=1, rate=0.5)]
    holder = job("holder", fixed=True, pool="fast", segments=(segment("fast", 1, 4),))
    asked = job("job", hours=2.7, due_h=4.0, interruptible=True)
    made = by_job(checked(snapshot(pools, [holder, asked])))["job"]
    assert [one.pool for one in made.segments] == ["fast", "slow"]


def test_a_suspended_job_first_makes_up_for_the_restart() -> None:
    suspended = job("job", hours=2.0, units_done=500)
    made = by_job(checked(snapshot([Pool(id="no")], [suspended])))["job"]
    assert made.segments[0].end_ms - made.segments[0].start_ms == HOUR_MS + 5 * MINUTE_MS


def test_a_running_job_moves_when_its_power_turns_dirty() -> None:
    pools = [Pool(id="es", zone="ES", awake=1), Pool(id="no", zone="NO")]
    carbon = {"ES": [50.0] * 4 + [800.0] * 12, "NO": [30.0]}
    running = job(
        "job", hours=3.0, units_done=100, interruptible=True, pool="es", carbon_price_usd_per_t=5_000,
        segments=(segment("es", 0, 2.75),),
    )  # fmt: skip
    made = by_job(checked(snapshot(pools, [running], carbon=carbon)))["job"]
    assert made.reason == "moving"
    assert made.segments[-1].pool == "no"


def test_fixed_jobs_are_never_named() -> None:
    fixed = job("job", fixed=True, pool="no", segments=(segment("no", 0, 1),))
    made = checked(snapshot([Pool(id="no")], [fixed], carbon=CLEAN_LATER))
    assert (made.assignments, made.unplaced) == ((), ())


def test_a_quote_leaves_everybody_in_place() -> None:
    holder = job("holder", hours=2.0, segments=(segment("no", 0, 2),))
    answer = quote(snapshot([Pool(id="no", count=1)], [holder]), spec("new", hours=1.0))
    assert isinstance(answer, Assignment)
    assert answer.segments == (segment("no", 2, 3),)
