"""Who is challenged and what follows: candidates, draws, commitments, endings, and what is believed afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.challenges import RUNS_MAX
from sunward.engine.orders import orders
from sunward.engine.snapshots import dump, load, state_digest
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.challenge import BeaconValue, Challenge, ChallengeFault, ChallengeRules, Commitment
from sunward.model.events import (
    AgentLost,
    ChallengeCommitted,
    ChallengeJudged,
    ChallengeRulesSet,
    ChallengesDrawn,
    EpochRequested,
    PowerReported,
    SiteLeft,
)
from sunward.model.identity import PoolId, SiteId
from sunward.model.site import PoolPower
from sunward.model.trust import Consequence, Dimension, Level
from sunward.settlement.entries import Origin, movement
from sunward.settlement.ledger import FAUCET, NETWORK, provider_account
from tests.support.network import COAL, HYDRO, SOLAR, Network, assignment, segment
from tests.support.scenarios import SITES, job

NORTH = SiteId("no-hydro")
BEACON = BeaconValue(source="test", round=1, value="ab" * 32, label="test")
RULES = ChallengeRules(awake_milli_per_epoch=7_000)
"""Of an epoch of a week: one a day on the average."""
FAULT = ChallengeFault(key="challenge_product", sentence="row {row} is wrong", figures={"row": 3})


def network(*, idle: int = 4, asleep: int = 0, rules: ChallengeRules = RULES) -> Network:
    made = Network()
    made.tell(power(idle=idle, asleep=asleep), ChallengeRulesSet(rules=rules))
    return made


def power(idle: int = 4, asleep: int = 0, busy: int = 0, withheld: int = 0) -> PowerReported:
    one = PoolPower(pool=HYDRO, asleep=asleep, waking=0, idle=idle, busy=busy, withheld=withheld)
    return PowerReported(site=NORTH, pools=(one,))


def asked(made: Network) -> Challenge:
    made.tell(ChallengesDrawn(draw=0, beacon=BEACON, pools=(HYDRO,)))
    one = made.state.world.challenges.of_pool(HYDRO)
    assert one is not None
    return one


def commitment(nonce: str = "cd" * 32) -> Commitment:
    return Commitment(boot="b", nonce=nonce, roots=(), round_trip_ms=20, elapsed_ms=3_000, allowed_ms=9_000)


def judge(made: Network, one: Challenge, *faults: ChallengeFault) -> None:
    name = one.order.challenge
    made.tell(ChallengeCommitted(challenge=name, commitment=commitment()))
    told = ChallengeJudged(challenge=name, nonce="cd" * 32, question="12" * 32, answer="34" * 32, faults=faults)
    made.tell(told)


def identity(made: Network, after_ms: int = 0) -> Level:
    world = made.state.world
    return world.trust.believed(world.sites[NORTH].spec, Dimension.IDENTITY, made.at_ms + after_ms).level


def test_nobody_is_drawn_where_the_rules_say_nothing() -> None:
    made = Network()
    made.tell(power())
    made.wait(48)
    assert made.state.world.challenges.is_new
    assert made.state.world.challenges.draw is None


def test_candidates_are_those_with_idle_containers_at_the_full_hour() -> None:
    made = network(idle=3, asleep=1)
    kept = PoolPower(pool=COAL, asleep=0, waking=0, idle=2, busy=0, withheld=2)
    slept = PoolPower(pool=SOLAR, asleep=4, waking=0, idle=0, busy=0)
    made.tell(
        PowerReported(site=SiteId("pl-coal"), pools=(kept,)), PowerReported(site=SiteId("es-solar"), pools=(slept,))
    )
    made.wait(1)
    draw = made.state.world.challenges.draw
    assert draw is not None
    assert [(one.pool, one.containers, one.asleep) for one in draw.candidates] == [(SOLAR, 4, True), (HYDRO, 3, False)]
    assert draw.sequence == made.state.world.sequence
    made.tell(AgentLost(site=NORTH))
    made.wait(1)
    assert [one.pool for one in made.state.world.challenges.draw.candidates] == [SOLAR]


def test_the_value_alone_decides_and_as_often_as_the_rules_say() -> None:
    made = network()
    drawn = 0
    for hour in range(24 * 20):
        made.wait(1)
        draw = made.state.world.challenges.draw
        assert draw is not None
        made.tell(ChallengesDrawn(draw=draw.sequence, beacon=replace(BEACON, value=f"{hour:064x}")))
        one = made.state.world.challenges.of_pool(HYDRO)
        if one is not None:
            drawn += 1
            judge(made, one)
    # Twenty are expected; five standard deviations either way.
    assert 0 < drawn < 43


def test_the_same_value_draws_the_same_ones() -> None:
    seeds = []
    for _ in range(2):
        made = network(rules=replace(RULES, awake_milli_per_epoch=10**6))
        made.wait(1)
        made.tell(ChallengesDrawn(draw=made.state.world.challenges.draw.sequence, beacon=BEACON))
        seeds.append([one.order for one in made.state.world.challenges.open.values()])
    assert seeds[0] == seeds[1] != []


def test_all_of_an_owner_are_drawn_together_and_begin_together() -> None:
    north, south = SITES[0], replace(SITES[1], owner=SITES[0].owner)
    made = Network(sites=(north, south, SITES[2]))
    powers = [
        PowerReported(site=SiteId(pool.partition("/")[0]), pools=(replace(power().pools[0], pool=pool),))
        for pool in (HYDRO, SOLAR, COAL)
    ]
    made.tell(*powers, ChallengeRulesSet(rules=replace(RULES, awake_milli_per_epoch=80_000)))
    seen = set()
    for hour in range(40):
        made.wait(1)
        draw = made.state.world.challenges.draw
        made.tell(ChallengesDrawn(draw=draw.sequence, beacon=replace(BEACON, value=f"{hour:064x}")))
        opened = {one.order.pool: one.group for one in made.state.world.challenges.open.values()}
        seen.add(frozenset(opened))
        groups = [group for pool, group in opened.items() if pool != COAL]
        assert len(set(groups)) <= 1
        assert opened.get(COAL, "") not in groups
        for one in tuple(made.state.world.challenges.open.values()):
            judge(made, one)
    assert seen == {frozenset(), frozenset({HYDRO, SOLAR}), frozenset({COAL}), frozenset({HYDRO, SOLAR, COAL})}


def test_a_value_counts_once_and_only_for_the_candidates_that_wait() -> None:
    made = network()
    made.wait(1)
    sequence = made.state.world.challenges.draw.sequence
    assert isinstance(made.refusal(ChallengesDrawn(draw=sequence - 1, beacon=BEACON)), ConflictError)
    made.tell(ChallengesDrawn(draw=sequence, beacon=BEACON))
    assert made.refusal(ChallengesDrawn(draw=sequence, beacon=BEACON)).code == "SW-773"
    assert made.refusal(ChallengesDrawn(draw=0, beacon=replace(BEACON, value="AB" * 32))).code == "SW-772"


def test_a_challenge_stands_in_the_orders_and_keeps_its_containers_awake() -> None:
    made = network(idle=0, asleep=4)
    assert orders(made.state, NORTH).awake[0].count == 0
    one = asked(made)
    told = orders(made.state, NORTH)
    assert told.challenges == (one.order,)
    assert (one.asleep, one.order.containers, told.awake[0].count) == (True, 4, 4)
    assert one.order.size.bytes > 0.8 * 4 * 80 * 2**30
    assert orders(made.state, SiteId("es-solar")).challenges == ()


def test_passed_is_believed_for_a_while() -> None:
    made = network()
    one = asked(made)
    assert identity(made) is Level.DECLARED
    judge(made, one)
    assert identity(made) is Level.METERED
    assert identity(made, RULES.valid_ms) is Level.DECLARED
    assert made.state.world.challenges.open == {}
    ended = made.state.world.challenges.ended[HYDRO]
    assert (ended.ending, ended.owed_usd_micro) == ("passed", 0)
    assert list(made.state.world.trust.verdicts) == []
    assert orders(made.state, NORTH).challenges == ()


def test_what_covers_part_of_a_site_does_not_speak_for_all_of_it() -> None:
    made = network(idle=2)
    judge(made, asked(made))
    assert identity(made) is Level.DECLARED
    (filed,) = made.state.world.trust.evidence[NORTH].values()
    assert (filed.evidence.level, filed.evidence.coverage_ppm) == (Level.METERED, 500_000)


def test_a_store_of_little_memory_shows_nothing() -> None:
    made = network(rules=replace(RULES, fill_ppm=20))
    judge(made, asked(made))
    assert identity(made) is Level.DECLARED


def test_what_slept_is_owed_for_its_wake() -> None:
    made = network(idle=0, asleep=4)
    one = asked(made)
    made.wait(0.05)
    judge(made, one)
    # Three minutes of four containers at 2.40 USD an hour.
    assert made.state.world.challenges.ended[HYDRO].owed_usd_micro == 480_000


def woken(*, fees_usd_micro: int, rules: ChallengeRules) -> tuple[Network, int]:
    """A network that owes the owner of a site 480,000 micro-USD, and its rate."""
    made = network(idle=0, asleep=4, rules=rules)
    rate = made.state.world.wei_per_usd_micro
    fees = ((FAUCET, -fees_usd_micro * rate - 5), (NETWORK, fees_usd_micro * rate + 5))
    made.state.ledger.post(movement(Origin(sequence=0, first=0, epoch=1, at_ms=0), 0, "payment", "fees", fees))
    one = asked(made)
    made.wait(0.05)
    judge(made, one)
    return made, rate


def test_what_is_owed_is_paid_at_the_close_and_what_fees_do_not_reach_waits() -> None:
    made, rate = woken(fees_usd_micro=300_000, rules=replace(RULES, pays=True))
    owner = made.state.world.sites[NORTH].spec.owner
    again = load(dump(made.state))
    assert again.world.challenges.owed == made.state.world.challenges.owed == {owner: 480_000}
    made.tell(EpochRequested())
    assert made.state.ledger.balance(provider_account(owner)) == 300_000 * rate
    assert made.state.ledger.balance(NETWORK) == 5
    assert made.state.world.challenges.owed == {owner: 180_000}
    fees = ((FAUCET, -(10**6) * rate), (NETWORK, 10**6 * rate))
    made.state.ledger.post(movement(Origin(sequence=0, first=1, epoch=1, at_ms=0), 0, "payment", "more", fees))
    made.tell(EpochRequested())
    assert made.state.ledger.balance(provider_account(owner)) == 480_000 * rate
    assert made.state.world.challenges.owed == {}
    assert made.state.ledger.total() == 0


def test_rules_of_before_pay_nothing() -> None:
    made, _ = woken(fees_usd_micro=10**6, rules=RULES)
    made.tell(EpochRequested())
    assert made.state.ledger.balance(provider_account(made.state.world.sites[NORTH].spec.owner)) == 0


@pytest.mark.parametrize(
    ("key", "consequence"),
    [("challenge_product", Consequence.SLASHABLE), ("challenge_late", Consequence.LEVEL_LOWERED)],
)
def test_failed_is_a_verdict_in_words_and_what_was_believed_is_not_any_more(key: str, consequence: Consequence) -> None:
    made = network()
    judge(made, asked(made))
    made.wait(0.1)
    judge(made, asked(made), replace(FAULT, key=key))
    assert identity(made) is Level.DECLARED
    (judged,) = made.state.world.trust.verdicts.values()
    assert (judged.record.fault, judged.record.consequence, judged.record.text) == (key, consequence, "row 3 is wrong")
    assert judged.record.evidence == ("34" * 32,)
    made.wait(0.1)
    judge(made, asked(made))
    assert identity(made) is Level.METERED


def test_no_answer_of_a_site_that_was_there_is_a_verdict() -> None:
    made = network()
    one = asked(made)
    made.wait(0.9)
    assert made.state.world.challenges.open
    made.wait(0.1)
    assert made.state.world.challenges.ended[HYDRO].ending == "unanswered"
    (judged,) = made.state.world.trust.verdicts.values()
    assert (judged.record.fault, judged.record.consequence) == ("challenge_unanswered", Consequence.LEVEL_LOWERED)
    assert "4 idle containers of no-hydro/H100-SXM" in judged.record.text
    late = ChallengeCommitted(challenge=one.order.challenge, commitment=commitment())
    assert made.refusal(late).code == "SW-773"


@pytest.mark.parametrize("excuse", ["away", "busy", "left"])
def test_who_was_away_or_had_work_is_not_told_off(excuse: str) -> None:
    made = network()
    asked(made)
    if excuse == "away":
        made.tell(AgentLost(site=NORTH))
    elif excuse == "busy":
        made.submit(job("j-1"))
        made.plan(assignment("j-1", segment(HYDRO, 0, 2)))
        made.tell(power(idle=3, busy=1))
    else:
        made.tell(SiteLeft(site=NORTH))
    made.wait(1)
    assert made.state.world.challenges.ended[HYDRO].ending == "void"
    assert made.state.world.trust.verdicts == {}


def test_a_run_may_begin_anew_a_few_times_and_only_the_last_one_is_judged() -> None:
    made = network()
    name = asked(made).order.challenge
    for number in range(RUNS_MAX):
        made.tell(ChallengeCommitted(challenge=name, commitment=commitment(f"{number:064x}")))
    assert made.refusal(ChallengeCommitted(challenge=name, commitment=commitment())).code == "SW-773"
    told = ChallengeJudged(challenge=name, nonce=f"{0:064x}", question="", answer="", faults=())
    assert made.refusal(told).code == "SW-773"
    made.tell(replace(told, nonce=f"{RUNS_MAX - 1:064x}"))


def test_who_cannot_be_asked_by_name_is_refused_in_words() -> None:
    made = network()
    asked(made)
    wanted = ChallengesDrawn(draw=0, beacon=BEACON, pools=(HYDRO,))
    assert made.refusal(wanted).code == "SW-774"
    assert made.refusal(replace(wanted, pools=(SOLAR,))).code == "SW-774"
    assert isinstance(made.refusal(replace(wanted, pools=(PoolId("x/y"),))), NotFoundError)


@pytest.mark.parametrize(
    "changes",
    [
        {"awake_milli_per_epoch": -1},
        {"asleep_milli_per_epoch": 10**9},
        {"fill_ppm": 0},
        {"fill_ppm": 10**6},
        {"answer_ms": 1},
        {"valid_ms": 1},
    ],
)
def test_rules_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    refused = Network().refusal(ChallengeRulesSet(rules=replace(RULES, **changes)))
    assert isinstance(refused, InputError)
    assert refused.code == "SW-772"


def test_a_snapshot_holds_all_of_it() -> None:
    made = network()
    asked(made)
    made.wait(1)
    made.tell(ChallengesDrawn(draw=0, beacon=BEACON, pools=(HYDRO,)))
    made.wait(0.5)
    assert made.state.world.challenges.ended
    assert made.state.world.challenges.open
    assert state_digest(load(dump(made.state))) == state_digest(made.state)
    assert load(dump(made.state)).world.challenges == made.state.world.challenges


def test_candidates_wait_in_a_snapshot_too() -> None:
    made = network(rules=replace(RULES, awake_milli_per_epoch=1))
    made.wait(2)
    assert load(dump(made.state)).world.challenges.draw == made.state.world.challenges.draw is not None
