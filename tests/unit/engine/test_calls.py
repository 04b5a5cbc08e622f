"""Calls and drills: sleepers wake in time, lent work gives way with notice and goes on elsewhere, defaults cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine import pledge
from sunward.engine.inputs import solve_again
from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.writer import replay
from sunward.model.challenge import ChallengeRules
from sunward.model.commands import Command, Rejected
from sunward.model.datum import Quality
from sunward.model.events import (
    AppealDecided,
    AppealFiled,
    ChallengeRulesSet,
    Deposited,
    EpochRequested,
    JobsSubmitted,
    PlanProposed,
    RateObserved,
    SiteAsleep,
    SiteLeft,
)
from sunward.model.identity import SiteId, TenantId
from sunward.model.job import JobState
from sunward.model.plan import IMMEDIATE
from sunward.model.reserve import Outcome
from sunward.model.reserve_events import (
    CallReleased,
    DrillsDrawn,
    PromiseCalled,
    PromiseSold,
    ReserveRulesSet,
    ReserveUsdTold,
    VaultRequested,
)
from sunward.model.site import Phase
from sunward.model.staking_events import StakingRulesSet, UnstakeRequested
from sunward.model.trust import APPEAL_MS, Appeal, Consequence, Decision
from sunward.settlement.ledger import RESERVE, exit_account, stake_account, tenant_account
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.world.tick import take_tick
from tests.support import staking
from tests.support.network import HYDRO, SOLAR, Network, assignment, of_kind, segment
from tests.support.reserve import BEACON, RULES, USD, offer, power
from tests.support.scenarios import START_MS, TENANT, WEI_PER_USD_MICRO, job
from tests.unit.engine.test_ceilings import network_plan, solved

NORTH = SiteId("no-hydro")
BUYER = TenantId("t-buyer")
NOTICE_H = 0.25
LENT = {"length_ms": 12 * HOUR_MS, "interruptible": True}


PLEDGED_USD = 180
"""A fine of 90 USD, of ATH that counts half."""


def network(*, containers: int = 2, asleep: int = 4, **rules: int) -> Network:
    """A promise of so many of the four containers in the north is sold; all of them sleep."""
    made = Network()
    made.tell(StakingRulesSet(rules=staking.RULES))
    staking.bond(made, staking.NORTH, PLEDGED_USD * 4 * USD * WEI_PER_USD_MICRO)
    made.tell(
        ReserveRulesSet(rules=replace(RULES, **rules)),
        ReserveUsdTold(usd_held_micro=10_000 * USD),
        power(asleep=asleep),
        VaultRequested(number=1, holder=tenant_account(TENANT), wei=10**21, on_chain=True),
        offer("r-1", containers, start_ms=START_MS, end_ms=START_MS + 90 * HOUR_MS),
    )
    made.tell(EpochRequested())
    made.tell(Deposited(tenant=BUYER, amount_wei=10**21), PromiseSold(promise="r-1", tenant=BUYER))
    return made


def call(made: Network, containers: int = 2, hours: float = 5, name: str = "c-1") -> list[Command]:
    until_ms = made.at_ms + int(hours * HOUR_MS)
    return made.tell(PromiseCalled(call=name, promise="r-1", containers=containers, until_ms=until_ms))


def awake(made: Network) -> int:
    return made.orders(NORTH).awake[0].count


def actions(made: Network) -> dict[str, str]:
    return {one.lease: one.action for one in made.orders(NORTH).leases}


def lent(made: Network, *names: str) -> None:
    made.submit(*(job(name, **LENT) for name in names))
    made.plan(*(assignment(name, segment(HYDRO, 0, 8)) for name in names))
    for name in names:
        made.report(f"{name}.1", Phase.RUNNING)


def outcome(made: Network) -> Outcome:
    return made.state.world.reserve.ended["r-1"].outcome


def test_a_sold_container_sleeps_until_it_is_called_and_wakes_in_time() -> None:
    made = network()
    made.wait(3)
    assert awake(made) == 0
    call(made)
    assert awake(made) == 0  # the notice is longer than what it takes to wake
    made.wait(NOTICE_H - 91 / 3_600)
    assert awake(made) == 0
    made.wait(1 / 3_600)
    assert awake(made) == 2  # 90 s before they are needed
    made.tell(power(idle=2, asleep=2))
    made.wait(0.1)
    assert outcome(made) is Outcome.READY
    made.wait(5)
    assert awake(made) == 0
    assert made.state.world.trust.verdicts == {}


def test_a_plan_made_meanwhile_keeps_what_is_called_awake() -> None:
    made = network()
    call(made)
    made.wait(NOTICE_H)
    made.plan()
    assert awake(made) == 2
    plan = solved(made)
    assert made.state.world.awake[HYDRO][0].count == 2
    made.plan(awake=plan.awake)
    assert awake(made) == 2


def test_lent_work_gives_way_with_notice_and_a_checkpoint_and_goes_on() -> None:
    made = network(asleep=0)
    lent(made, "j-1", "j-2", "j-3")
    made.report("j-1.1", Phase.RUNNING, units=900, checkpoint=100)
    call(made)
    assert set(actions(made).values()) == {"run"}
    told = made.wait(NOTICE_H - 5 / 60)
    # Four containers, two of them called, three at work: one gives way, five minutes before; not the one that would
    # lose most.
    stopped = {lease for lease, action in actions(made).items() if action == "suspend"}
    assert len(stopped) == 1
    assert "j-1.1" not in stopped
    assert not of_kind(told, Rejected)
    (lease,) = stopped
    name = lease.partition(".")[0]
    made.report(lease, Phase.SUSPENDED, units=300, checkpoint=300)
    assert (made.job_state(name), made.number("units_done", name)) == (JobState.SUSPENDED, 300)
    made.tell(power(idle=2, busy=2))
    made.wait(0.2)
    assert outcome(made) is Outcome.READY
    # It goes on elsewhere, from where it stood, and the containers that are called stay free.
    plan = solved(made)
    snapshot = take_tick(made.state.world, made.at_ms)
    assert snapshot.pools.available[snapshot.pools.ids.index(HYDRO)][:18].tolist() == [2] * 18
    assert not of_kind(made.tell(PlanProposed(plan=plan)), Rejected)
    made.plan(assignment(name, segment(SOLAR, 0.25, 8)))
    again = f"{name}.2"
    made.report(again, Phase.RUNNING)
    made.report(again, Phase.FINISHED, units=1_000)
    assert made.job_state(name) is JobState.FINISHED


def test_nothing_else_is_planned_or_offered_on_called_containers() -> None:
    made = network(containers=4, asleep=4)
    call(made, 4)
    made.wait(NOTICE_H)
    snapshot = take_tick(made.state.world, made.at_ms)
    row = snapshot.pools.ids.index(HYDRO)
    assert snapshot.pools.available[row][:20].tolist() == [0] * 20
    made.submit(job("j-1", interruptible=True))
    told = made.plan(assignment("j-1", segment(HYDRO, 0.25, 3)))
    assert of_kind(told, Rejected)[0].reason == "capacity"
    made.tell(CallReleased(call="c-1"))
    made.plan(assignment("j-1", segment(HYDRO, 0.25, 3)))
    assert made.job_state("j-1") is JobState.STAGING


def test_what_cannot_pause_takes_no_promised_container() -> None:
    made = network(containers=3)
    made.submit(job("j-1"), job("j-2"), job("j-3", interruptible=True))
    made.plan(*(assignment(name, segment(HYDRO, 0, 8)) for name in ("j-1", "j-2", "j-3")))
    # One container backs no promise; what can pause is lent the others.
    assert [made.job_state(name) for name in ("j-1", "j-2", "j-3")] == [
        JobState.STAGING,
        JobState.PLACED,
        JobState.STAGING,
    ]
    made.report("j-1.1", Phase.RUNNING)
    made.report("j-3.1", Phase.RUNNING)
    call(made, 3)
    made.wait(NOTICE_H)
    assert actions(made) == {"j-1.1": "run", "j-3.1": "suspend"}


def test_a_plan_knows_what_cannot_be_lent() -> None:
    made = network(containers=4)
    made.submit(job("j-1", gpu_models=("H100-SXM",)), job("j-2", gpu_models=("H100-SXM",), interruptible=True))
    solved(made)
    plan = solve_again(made.state.world, replace(network_plan(made), planner=IMMEDIATE)).plan
    assert [one.job for one in plan.assignments] == ["j-2"]
    (refused,) = plan.unplaced
    assert (refused.job, refused.reason, refused.permanent) == ("j-1", "reserve", False)
    assert "at most 0 containers" in refused.detail


def test_work_of_who_called_runs_on_what_is_called_and_stays() -> None:
    made = network(containers=2, asleep=0)
    lent(made, "j-1", "j-2", "j-3", "j-4")
    call(made)
    mine = [job(f"k-{number}", tenant=BUYER, length_ms=8 * HOUR_MS, interruptible=True) for number in (1, 2, 3)]
    made.tell(JobsSubmitted(jobs=tuple(mine)))
    made.wait(NOTICE_H - 5 / 60)
    stopped = [lease for lease, action in actions(made).items() if action == "suspend"]
    assert len(stopped) == 2
    for lease in stopped:
        made.report(lease, Phase.SUSPENDED, units=500, checkpoint=500)
    assert made.job_state("k-1") is JobState.SUBMITTED
    made.wait(5 / 60)
    assert [made.job_state(f"k-{number}") for number in (1, 2, 3)] == [
        JobState.STAGING,
        JobState.STAGING,
        JobState.SUBMITTED,
    ]
    made.report("k-1.1", Phase.RUNNING)
    made.report("k-2.1", Phase.RUNNING)
    made.tell(power(busy=4))
    made.wait(0.1)
    assert outcome(made) is Outcome.READY  # what works for who called is ready
    fixed = {one.spec.job: one.fixed for one in take_tick(made.state.world, made.at_ms).jobs}
    assert (fixed["k-1"], fixed["k-2"]) == (True, True)
    made.report("k-1.1", Phase.FINISHED, units=1_000)
    assert made.job_state("k-3") is JobState.STAGING  # the next one of the same tenant
    made.wait(6)
    assert made.state.world.reserve.serving == {}
    assert state_digest(replay(made.journal.read())) == state_digest(made.state)


def test_a_call_that_is_not_met_costs_the_premium_and_stake_may_be_taken() -> None:
    made = network()
    call(made)
    made.wait(NOTICE_H)
    made.tell(power(idle=1, asleep=3))
    made.wait(0.1)
    assert (outcome(made), made.state.world.reserve.ended["r-1"].ready) == (Outcome.FAILED, 1)
    (known,) = made.state.world.trust.verdicts.values()
    assert known.record.consequence is Consequence.SLASHABLE
    assert known.record.text == "1 of 2 containers of promise r-1 were ready 15 min after they were called"
    (penalty,) = made.state.world.reserve.penalties.values()
    assert penalty.usd_micro == 2 * 90 * USD // 2  # the premium of the epoch
    before = made.balance(tenant_account(BUYER))
    made.tell(EpochRequested())
    assert made.balance(tenant_account(BUYER)) == before  # nothing is due for this epoch
    assert made.state.world.reserve.penalties  # and nothing is paid before the time to appeal is over
    made.wait(APPEAL_MS / HOUR_MS)
    made.tell(EpochRequested())
    assert made.state.world.reserve.penalties == {}
    entries = made.balance(tenant_account(BUYER))
    served = 2 * (90 * HOUR_MS - (15 * MINUTE_MS + 6 * MINUTE_MS)) * (USD // 2) // HOUR_MS
    assert entries == before - served * WEI_PER_USD_MICRO + 90 * USD * WEI_PER_USD_MICRO


def test_stake_pays_first_then_what_is_on_its_way_out_and_the_vault_the_rest() -> None:
    """90 USD are due. Of stake that is worth 60 USD since the token fell all is taken, and 30 USD come of the vault."""
    made = network()
    stake, leaving = stake_account(staking.NORTH), exit_account(staking.NORTH)
    bonded = made.balance(stake)
    spare = bonded - pledge.pledged_wei(made.state, staking.NORTH)
    assert made.refusal(UnstakeRequested(owner=staking.NORTH, request="2", amount_wei=spare + 1)).code == "SW-793"
    made.tell(UnstakeRequested(owner=staking.NORTH, request="3", amount_wei=spare))
    rate = bonded // (60 * USD)
    made.tell(RateObserved(wei_per_usd_micro=rate, sources=("fixed",), quality=Quality.MODELLED))
    call(made)
    made.wait(1)
    assert made.balance(stake) + made.balance(leaving) == bonded  # it may still be appealed
    made.wait(APPEAL_MS / HOUR_MS)
    assert (made.balance(stake), made.balance(leaving)) == (0, 0)
    made.tell(EpochRequested())
    assert made.state.world.reserve.penalties == {}
    moved: dict[str, int] = {}
    for posting in (part for one in made.journal.entries if one.cause == "compensate" for part in one.postings):
        moved[posting.account] = moved.get(posting.account, 0) + posting.amount_wei
    assert moved["slashed"] == -60 * USD * rate
    assert moved[tenant_account(BUYER)] == 90 * USD * rate
    assert moved[RESERVE] == -30 * USD * rate
    assert made.state.ledger.total() == 0


def test_who_has_nothing_at_stake_sells_nothing() -> None:
    made = network()
    made.tell(offer("r-2", 2, premium_usd_micro_per_h=2 * USD, end_ms=START_MS + 90 * HOUR_MS))
    refused = made.refusal(PromiseSold(promise="r-2", tenant=BUYER))
    assert (refused.code, "at stake" in refused.message) == ("SW-813", True)


def test_without_rules_of_staking_nobody_is_fined() -> None:
    made = Network()
    made.tell(ReserveRulesSet(rules=RULES), ReserveUsdTold(usd_held_micro=10_000 * USD), power(asleep=4))
    made.tell(offer(), PromiseSold(promise="r-1", tenant=TENANT))
    call(made)
    made.wait(1)
    assert outcome(made) is Outcome.FAILED
    assert made.state.world.reserve.penalties == {}


def test_an_appeal_that_succeeds_leaves_nothing_due() -> None:
    made = network()
    call(made)
    made.wait(1)
    (name,) = made.state.world.reserve.penalties
    made.tell(
        AppealFiled(appeal=Appeal(verdict=name, by=TenantId("p-no-hydro"), digest="0" * 64)),
        AppealDecided(decision=Decision(verdict=name, by=TenantId("auditor"), upheld=False, reason="the grid failed")),
        EpochRequested(),
    )
    assert made.state.world.reserve.penalties == {}


@pytest.mark.parametrize(
    ("containers", "hours", "name", "code"),
    [(3, 5, "c-1", "SW-818"), (0, 5, "c-1", "SW-818"), (1, 0.2, "c-1", "SW-818"), (1, 5, "a b", "SW-818")],
)
def test_a_call_beyond_the_promise_is_refused(containers: int, hours: float, name: str, code: str) -> None:
    made = network()
    until_ms = made.at_ms + int(hours * HOUR_MS)
    wanted = PromiseCalled(call=name, promise="r-1", containers=containers, until_ms=until_ms)
    assert made.refusal(wanted).code == code
    assert made.refusal(replace(wanted, promise="r-9")).code == "SW-812"
    assert made.refusal(CallReleased(call="c-9")).code == "SW-817"


def test_containers_are_called_once() -> None:
    made = network()
    call(made, 1)
    call(made, 1, name="c-2")
    assert made.refusal(PromiseCalled(call="c-3", promise="r-1", containers=1, until_ms=made.at_ms + HOUR_MS)).code == (
        "SW-818"
    )
    made.wait(NOTICE_H)
    assert awake(made) == 2
    made.tell(power(idle=1, asleep=3))
    made.wait(0.1)
    # One idle container is not ready for two calls.
    assert len(made.state.world.trust.verdicts) == 1


def test_a_drill_strikes_all_promises_of_an_owner_in_the_same_minute() -> None:
    made = network(drill_milli_per_epoch=1_000_000)
    made.tell(offer("r-2", 2, end_ms=START_MS + 90 * HOUR_MS), PromiseSold(promise="r-2", tenant=BUYER))
    made.wait(1)
    draw = made.state.world.reserve.draw
    assert draw is not None
    assert draw.owners == ("p-no-hydro",)
    assert made.refusal(DrillsDrawn(draw=draw.sequence + 1, beacon=BEACON)).code == "SW-819"
    made.tell(DrillsDrawn(draw=draw.sequence, beacon=BEACON))
    assert {(one.promise, one.asked_ms) for one in made.state.world.reserve.calls.values()} == {
        ("r-1", made.at_ms),
        ("r-2", made.at_ms),
    }
    made.wait(NOTICE_H)
    assert awake(made) == 4
    made.tell(power(idle=4))
    made.wait(0.1)
    assert outcome(made) is Outcome.READY
    assert made.state.world.reserve.calls == {}


def test_who_sleeps_through_a_drill_fails_it_and_a_machine_that_listens_does_not() -> None:
    made = network()
    made.tell(DrillsDrawn(draw=0, beacon=BEACON, owners=(TenantId("p-no-hydro"),)))
    assert made.refusal(DrillsDrawn(draw=0, beacon=BEACON, owners=(TenantId("p-pl-coal"),))).code == "SW-819"
    made.wait(NOTICE_H + 0.1)
    assert outcome(made) is Outcome.FAILED
    (known,) = made.state.world.trust.verdicts.values()
    assert known.record.fault == "reserve_drill_missed"


def test_what_stood_ready_in_a_drill_is_challenged() -> None:
    made = network()
    made.tell(ChallengeRulesSet(rules=ChallengeRules(awake_milli_per_epoch=1)))
    made.tell(DrillsDrawn(draw=0, beacon=BEACON, owners=(TenantId("p-no-hydro"),)))
    made.wait(NOTICE_H)
    made.tell(power(idle=2, asleep=2))
    made.wait(0.1)
    assert outcome(made) is Outcome.READY
    asked = made.state.world.challenges.of_pool(HYDRO)
    assert asked is not None
    assert asked.order.containers == 2


def test_a_need_comes_before_a_drill() -> None:
    made = network()
    made.tell(DrillsDrawn(draw=0, beacon=BEACON, owners=(TenantId("p-no-hydro"),)))
    call(made)
    assert [one.call for one in made.state.world.reserve.calls.values()] == ["c-1"]
    assert outcome(made) is Outcome.VOID


def test_a_machine_behind_a_promise_sleeps_no_longer_than_its_notice() -> None:
    made = network()
    assert made.refusal(SiteAsleep(site=NORTH, until_ms=made.at_ms + HOUR_MS)).code == "SW-198"
    assert made.orders(NORTH).asleep_until_ms == made.at_ms + 15 * MINUTE_MS
    made.tell(SiteAsleep(site=NORTH, until_ms=made.at_ms + 15 * MINUTE_MS))
    assert made.orders(SiteId("es-solar")).asleep_until_ms == 0


def test_a_promise_that_ends_ends_its_calls_and_a_snapshot_keeps_open_ones() -> None:
    made = network()
    made.wait(80)
    call(made, 2, 10)
    loaded = load(dump(made.state))
    assert loaded.world.reserve == made.state.world.reserve
    assert state_digest(loaded) == state_digest(made.state)
    made.tell(power(idle=2, asleep=2))
    made.wait(11)
    assert made.state.world.reserve.calls == {}
    made.tell(EpochRequested())
    assert made.state.world.reserve.promises == {}


def test_who_leaves_is_not_ready() -> None:
    made = network()
    made.tell(SiteLeft(site=NORTH))
    call(made)
    made.wait(1)
    assert outcome(made) is Outcome.FAILED
