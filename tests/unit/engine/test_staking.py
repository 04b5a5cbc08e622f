"""Stake is bonded, earns, is asked back, paid and slashed; each request and each verdict counts once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine import rewards, snapshots
from sunward.engine.turn import Turn
from sunward.engine.writer import replay
from sunward.model.commands import CloseEpoch, PostRewards
from sunward.model.events import AppealDecided, AppealFiled, EpochRequested, EvidenceFiled, SiteEnrolled, VerdictIssued
from sunward.model.identity import SiteId, TenantId
from sunward.model.site import Phase
from sunward.model.staking import WorkReference
from sunward.model.staking_events import (
    ExitWithdrawn,
    HarmTold,
    RewardsClaimed,
    StakeRequested,
    StakingRulesSet,
    UnstakeRequested,
)
from sunward.model.trust import APPEAL_MS, Appeal, Consequence, Decision, Dimension, Evidence, Level
from sunward.settlement.bonus import ShownWork, SiteWork
from sunward.settlement.entries import Origin, Terms, movement, settle_job
from sunward.settlement.ledger import FAUCET
from sunward.units import DAY_MS, HOUR_MS
from tests.support import supply
from tests.support.network import HYDRO, SOLAR, Network, assignment, of_kind, segment
from tests.support.scenarios import SITES, START_MS, job
from tests.support.staking import ATH, NORTH, RULES, SOUTH, bond, forged, staking

BUDGETS = ("budget:staking", "budget:bonus", "treasury")


def close(network: Network):
    """Close the epoch; its statement's rewards, and the lines by owner."""
    commands = network.tell(EpochRequested())
    (statement,) = [one.statement for one in of_kind(commands, CloseEpoch)]
    lines = {line.owner: line for one in of_kind(commands, PostRewards) for line in one.lines}
    return statement.rewards, lines


def works(network: Network, joules: int, pool: str = SOLAR, name: str = "j-1") -> None:
    """A job runs for an hour and its readings are in."""
    hour = (network.at_ms - START_MS) / HOUR_MS
    network.submit(job(name))
    network.plan(assignment(name, segment(pool, hour, hour + 1)))
    network.report(f"{name}.1", Phase.RUNNING)
    network.wait(1)
    network.report(f"{name}.1", Phase.FINISHED, units=1_000)
    network.seal(pool.partition("/")[0], {f"{name}.1": joules})


def metered_energy(site: str = "es-solar", level: Level = Level.ATTESTED) -> EvidenceFiled:
    evidence = Evidence(
        evidence="e-meter",
        site=SiteId(site),
        dimension=Dimension.ENERGY,
        level=level,
        statement="a sealed meter",
        filed_by=SOUTH,
        checked_by="a-eve",
        valid_until_ms=START_MS + 900 * DAY_MS,
    )
    return EvidenceFiled(evidence=evidence)


def test_a_network_without_rules_hands_out_nothing_and_takes_no_stake():
    network = Network()
    assert close(network) == (None, {})
    told = network.refusal(StakeRequested(owner=NORTH, request="1", amount_wei=1))
    assert (told.code, "no rules of staking" in told.message) == ("SW-794", True)
    assert {account for account in network.state.ledger.to_record() if account.startswith("budget")} == set()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"movement_bps": 6}, "movement_bps"),
        ({"exit_delay_ms": 3 * DAY_MS + APPEAL_MS - 1}, "before a fault is found"),
        ({"appeal_ms": APPEAL_MS - 1}, "appeal_ms"),
        ({"green_ppm": 1_000_001}, "ppm"),
        ({"saved_min_j": 0}, "saved_min_j"),
        ({"staking_budget_wei": -1}, "budgets"),
        ({"slash": RULES.slash * 2}, "each fault once"),
        ({"references": (WorkReference(work_class="poems", energy_mj=1, overhead_ppm=10**6),)}, "work class"),
    ],
)
def test_rules_that_cannot_be_are_refused(changes, word):
    told = Network().refusal(StakingRulesSet(rules=replace(RULES, **changes)))
    assert told.code == "SW-791"
    assert word in told.message


def test_stake_counts_from_the_next_epoch_on_by_its_least_balance():
    network = staking()
    bond(network, NORTH, 300 * ATH)
    bond(network, SOUTH, 100 * ATH)
    found, lines = close(network)
    assert (found.owners, lines) == (0, {})
    network.tell(UnstakeRequested(owner=NORTH, request="2", amount_wei=200 * ATH))
    bond(network, NORTH, 500 * ATH, "3")
    found, lines = close(network)
    assert {owner: line.stake_wei for owner, line in lines.items()} == {NORTH: 100 * ATH, SOUTH: 100 * ATH}
    assert [lines[owner].base_wei for owner in (NORTH, SOUTH)] == [30 * ATH, 30 * ATH]
    assert network.balance(f"rewards:{NORTH}") == 30 * ATH
    assert (found.base_wei, found.green_wei, found.bonus_wei, found.owners) == (60 * ATH, 0, 0, 2)
    assert (found.budget_staking_wei, found.budget_bonus_wei) == (40 * ATH, 20 * ATH)
    assert network.balance("treasury") == 0


def test_what_renewable_work_backs_earns_more_and_half_the_fees_cap_it():
    network = supply.with_roof(epoch_ms=DAY_MS)
    network.tell(StakingRulesSet(rules=RULES), metered_energy())
    bond(network, NORTH, 100 * ATH)
    bond(network, SOUTH, 100 * ATH)
    close(network)
    works(network, 3_600_000)
    network.tell(supply.issued(network, 1_000))
    network.tell(supply.cancel(network, 0, 1_000, "site:es-solar"))
    found, lines = close(network)
    south, north = lines[SOUTH], lines[NORTH]
    (site,) = south.sites
    assert (site.leased_wh, site.renewable_wh, site.leased_ms) == (1_000, 1_000, HOUR_MS)
    assert (site.energy_wh, site.energy_cap_ppm, site.renewables_cap_ppm) == (1_000, 1_000_000, 500_000)
    assert 0 < site.q_ppm <= 500_000
    assert south.base_wei == north.base_wei == 30 * ATH
    assert north.green_wei == 0
    assert south.fees_wei == network.balance("network")
    assert 0 < south.green_wei == min(south.fees_wei // 2, south.green_wei + south.cut_wei)
    assert found.cut_wei == south.cut_wei > 0
    assert site.q_ppm * site.energy_wh * ATH >= south.backed_wei * 10**6
    assert found.green_wei == south.green_wei


def test_a_site_hardly_leased_backs_nothing():
    network = supply.with_roof(epoch_ms=DAY_MS)
    network.tell(StakingRulesSet(rules=replace(RULES, load_min_ppm=500_000)), metered_energy())
    bond(network, SOUTH, 100 * ATH)
    close(network)
    works(network, 3_600_000)
    network.wait(20)
    network.tell(supply.issued(network, 1_000))
    network.tell(supply.cancel(network, 0, 1_000, "site:es-solar"))
    (site,) = close(network)[1][SOUTH].sites
    assert (site.renewable_wh, site.q_ppm) == (1_000, 0)
    containers = sum(pool.count for pool in SITES[1].pools)
    assert site.present_ms == 21 * HOUR_MS * containers


def test_containers_are_counted_as_declared_from_day_to_day():
    network = staking(epoch_ms=40 * DAY_MS)
    network.wait(12)
    spec = SITES[0]
    pool = replace(spec.pools[0], count=1, devices=spec.pools[0].devices[:1])
    network.tell(SiteEnrolled(spec=replace(spec, pools=(pool, *spec.pools[1:]))))
    network.wait(24)
    bond(network, NORTH, ATH)
    close(network)
    served = network.state.world.served.sites["no-hydro"]
    others = sum(one.count for one in spec.pools[1:])
    whole = 12 * HOUR_MS * (spec.pools[0].count + others) + 24 * HOUR_MS * (1 + others)
    assert sum(day.present_ms for day in served.days) == whole
    assert len(served.days) == 2
    network.wait(40 * 24)
    assert all(day.day_ms > network.at_ms - 31 * DAY_MS for day in network.state.world.served.sites["no-hydro"].days)


def test_a_bonus_is_paid_for_shown_work_against_references_told_two_epochs_before():
    network = staking()
    bond(network, NORTH, ATH)
    close(network)
    work = SiteWork(
        owner=NORTH,
        site="no-hydro",
        work=(ShownWork(work_class="training", units=10_000, it_j=8_000, facility_j=8_800),),
        energy_cap_ppm=1_000_000,
        overhead_cap_ppm=500_000,
    )
    assert rewards.references(network.state) == {}
    close(network)
    assert rewards.references(network.state)["training"].pue_ppm == 1_200_000
    settled = settle_job(
        Origin(sequence=1, first=0, epoch=3, at_ms=0),
        Terms(wei_per_usd_micro=10**12, offset_share_bps=0, provider_share_bps=8_000),
        job="j",
        tenant="t",
        escrow_wei=10**18,
        prices_usd_micro={NORTH: 10**6},
    )
    turn = Turn(network.state, network.at_ms)
    found = rewards.close(turn, (), (settled,), (), (work,))
    ((line,),) = [one.lines for one in of_kind(turn.commands, PostRewards)]
    # By PUE: 8,000 J · 1.2 − 8,800 J = 800 J, half of which counts; by IT: (10,000 − 8,000) J · 1.2 = 2,400 J.
    assert (line.pue_part_j, line.it_part_j, line.counted_j) == (800, 2_400, 2_800)
    assert line.bonus_wei == min(30 * ATH * 2_800 // 1_000_000, line.fees_wei // 4) == found.bonus_wei
    assert found.budget_bonus_wei == 30 * ATH - line.bonus_wei


def test_no_challenge_runs_under_lease_yet_so_the_live_bonus_is_nothing():
    network = staking()
    bond(network, NORTH, ATH)
    close(network)
    found, lines = close(network)
    assert (found.bonus_wei, found.budget_bonus_wei) == (0, 20 * ATH)
    assert (lines[NORTH].bonus_wei, lines[NORTH].counted_j) == (0, 0)


def test_earned_stake_pays_its_share_to_credits_and_so_do_exit_and_claim():
    network = staking()
    works(network, 3_600_000, HYDRO)
    close(network)
    before, held = network.balance("offset"), network.balance(f"provider:{NORTH}")
    network.tell(StakeRequested(owner=NORTH, request="s", amount_wei=10_000))
    assert network.balance(f"stake:{NORTH}") == 9_995
    close(network)
    close(network)
    earned = network.balance(f"rewards:{NORTH}")
    network.tell(RewardsClaimed(owner=NORTH, request="c"))
    network.tell(RewardsClaimed(owner=NORTH, request="c"))
    fee = earned * 5 // 10_000
    assert network.balance("offset") == before + 5 + fee
    assert network.balance(f"provider:{NORTH}") == held - 10_000 + earned - fee
    assert network.state.stakes.cumulative_wei(NORTH) == 0
    network.tell(UnstakeRequested(owner=NORTH, request="u", amount_wei=9_995))
    network.wait(10 * 24 - 1)
    assert network.balance(f"exit:{NORTH}") == 9_995
    network.wait(1)
    assert network.balance(f"exit:{NORTH}") == network.balance(f"stake:{NORTH}") == 0
    assert network.balance("offset") == before + 5 + fee + 4
    assert network.state.stakes.exits == {}


def test_what_moves_on_the_chain_moves_whole_and_an_exit_waits_for_its_withdrawal():
    network = staking()
    bond(network, NORTH, 10_000)
    close(network)
    close(network)
    earned = network.balance(f"rewards:{NORTH}")
    network.tell(UnstakeRequested(owner=NORTH, request="7", amount_wei=10_000, on_chain=True))
    withdrawal = ExitWithdrawn(owner=NORTH, request="7")
    assert network.refusal(withdrawal).code == "SW-796"
    network.wait(11 * 24)
    assert network.balance(f"exit:{NORTH}") == 10_000
    outside = network.balance("faucet:test")
    network.tell(withdrawal, RewardsClaimed(owner=NORTH, request="8", amount_wei=earned, on_chain=True))
    assert network.balance("faucet:test") == outside + 10_000 + earned
    assert network.state.stakes.cumulative_wei(NORTH) == network.balance(f"rewards:{NORTH}") + earned
    assert network.refusal(withdrawal).code == "SW-796"


def test_a_request_counts_once_and_its_name_is_not_used_for_another():
    network = staking()
    bond(network, NORTH, 500)
    bond(network, NORTH, 500)
    assert network.balance(f"stake:{NORTH}") == 500
    assert network.refusal(StakeRequested(owner=NORTH, request="1", amount_wei=400)).code == "SW-795"
    assert network.refusal(UnstakeRequested(owner=NORTH, request="2", amount_wei=501)).code == "SW-793"
    assert network.refusal(RewardsClaimed(owner=NORTH, request="2")).code == "SW-793"
    assert network.refusal(StakeRequested(owner=NORTH, request="2", amount_wei=0)).code == "SW-792"
    assert network.refusal(StakeRequested(owner=TenantId("a b"), request="2", amount_wei=1)).code == "SW-792"


def bonded() -> Network:
    """The north has 60 bonded and 40 on its way out, and is found out."""
    network = staking(epoch_ms=90 * DAY_MS)
    bond(network, NORTH, 100 * ATH)
    network.tell(UnstakeRequested(owner=NORTH, request="2", amount_wei=30 * ATH))
    network.wait(1)
    network.tell(UnstakeRequested(owner=NORTH, request="3", amount_wei=10 * ATH))
    network.tell(VerdictIssued(verdict=forged(network)))
    return network


def test_a_final_verdict_takes_stake_then_exits_once_and_all_goes_to_the_reserve():
    network = bonded()
    network.tell(VerdictIssued(verdict=forged(network, name="v-2")))
    network.wait(7 * 24 - 1)
    assert network.balance("reserve") == 0
    network.wait(1)
    # Each takes half of the 100 that were bonded: the first 50 of the stake, the second 10 of it and both exits.
    assert network.balance("reserve") == 100 * ATH
    assert network.balance(f"stake:{NORTH}") == network.balance(f"exit:{NORTH}") == network.balance("slashed") == 0
    book = network.state.stakes
    assert (book.exits, book.charges, book.slashed_wei) == ({}, {}, {"v-1": 50 * ATH, "v-2": 50 * ATH})
    network.tell(VerdictIssued(verdict=forged(network)))
    network.wait(60 * 24)
    assert network.balance("reserve") == 100 * ATH


def test_who_bonds_nothing_answers_with_its_pay():
    network = staking(epoch_ms=90 * DAY_MS)
    network.state.ledger.post(
        movement(
            Origin(sequence=1, first=0, epoch=0, at_ms=0),
            0,
            "payment",
            "j",
            ((FAUCET, -3 * ATH), (f"provider:{NORTH}", 3 * ATH)),
        )
    )
    network.tell(VerdictIssued(verdict=forged(network)))
    network.wait(7 * 24)
    # Half of nothing is less than the fault's floor of one.
    assert network.balance(f"provider:{NORTH}") == 2 * ATH
    assert network.balance("reserve") == ATH
    assert network.state.stakes.lost_wei == {NORTH: ATH}


def test_exits_that_leave_first_are_taken_first_and_the_rest_is_still_paid():
    network = bonded()
    network.tell(VerdictIssued(verdict=forged(network, fault="other", name="v-2")))
    network.tell(UnstakeRequested(owner=NORTH, request="4", amount_wei=55 * ATH))
    network.wait(7 * 24)
    # 50 and 10: five that were left of the stake, then the exits as they leave: 30, 10, and 15 of the last.
    assert network.balance("reserve") == 60 * ATH
    assert {one.request: one.amount_wei for one in network.state.stakes.exits.values()} == {"4": 40 * ATH}
    network.wait(30 * 24)
    assert network.balance(f"provider:{NORTH}") == 40 * ATH - 40 * ATH * 5 // 10_000


@pytest.mark.parametrize(("upheld", "taken"), [(True, 50 * ATH), (False, 0)])
def test_an_appeal_holds_the_slash_until_it_is_decided(upheld, taken):
    network = bonded()
    network.tell(AppealFiled(appeal=Appeal(verdict="v-1", by=NORTH, digest="a" * 64)))
    network.wait(7 * 24)
    assert network.balance("reserve") == 0
    network.tell(
        AppealDecided(decision=Decision(verdict="v-1", by=TenantId("a-eve"), upheld=upheld, reason="seen there"))
    )
    network.wait(0)
    assert network.balance("reserve") == taken
    assert network.state.stakes.charges == {}
    network.wait(24)
    assert network.balance("reserve") == taken


def test_a_verdict_takes_at_least_its_floor_and_at_most_what_there_is():
    network = staking(epoch_ms=90 * DAY_MS)
    bond(network, NORTH, ATH // 2)
    network.tell(VerdictIssued(verdict=forged(network)))
    bond(network, NORTH, 2 * ATH, "2")
    network.tell(VerdictIssued(verdict=forged(network, name="v-2", consequence=Consequence.LEVEL_LOWERED)))
    network.wait(7 * 24)
    assert network.balance("reserve") == ATH
    assert network.state.stakes.lost_wei == {NORTH: ATH}


def test_verdicts_from_before_the_rules_take_nothing():
    network = Network(epoch_ms=90 * DAY_MS)
    network.tell(VerdictIssued(verdict=forged(network)), StakingRulesSet(rules=RULES))
    bond(network, NORTH, 100 * ATH)
    network.wait(8 * 24)
    assert network.balance("reserve") == 0


def test_who_was_harmed_is_paid_before_the_reserve():
    network = bonded()
    network.tell(
        HarmTold(verdict="v-1", tenant=TenantId("t-beta"), ref="j-9", amount_wei=20 * ATH, by=TenantId("a-eve")),
        HarmTold(verdict="v-1", tenant=TenantId("t-alpha"), ref="j-8", amount_wei=9 * ATH, by=TenantId("a-eve")),
        HarmTold(verdict="v-1", tenant=TenantId("t-beta"), ref="j-9", amount_wei=45 * ATH, by=TenantId("a-eve")),
    )
    before = network.balance("tenant:t-alpha")
    network.wait(7 * 24)
    assert network.balance("tenant:t-beta") == 41 * ATH
    assert network.balance("tenant:t-alpha") == before + 9 * ATH
    assert network.balance("reserve") == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"verdict": "v-9"}, "SW-797"),
        ({"by": NORTH}, "SW-798"),
        ({"tenant": NORTH}, "SW-798"),
        ({"by": TenantId("t-beta")}, "SW-798"),
        ({"ref": "a job"}, "SW-798"),
        ({"amount_wei": -1}, "SW-798"),
    ],
)
def test_harm_that_nobody_can_vouch_for_is_refused(changes, code):
    told = {"verdict": "v-1", "tenant": TenantId("t-beta"), "ref": "j-9", "amount_wei": 1, "by": TenantId("a-eve")}
    assert bonded().refusal(HarmTold(**{**told, **changes})).code == code


def test_a_snapshot_and_a_replay_hold_the_same_as_the_live_state():
    network = bonded()
    works(network, 3_600_000, HYDRO)
    network.tell(EpochRequested())
    network.tell(
        HarmTold(verdict="v-1", tenant=TenantId("t-beta"), ref="j-9", amount_wei=20 * ATH, by=TenantId("a-eve"))
    )
    again = replay(network.journal.read())
    loaded = snapshots.load(snapshots.dump(network.state))
    assert snapshots.dump(again) == snapshots.dump(loaded) == snapshots.dump(network.state)
    assert loaded.stakes == network.state.stakes
    assert loaded.world.served == network.state.world.served


def test_an_exit_asked_for_again_is_taken_whatever_is_left_of_the_stake():
    network = staking()
    bond(network, NORTH, 1_000)
    wanted = UnstakeRequested(owner=NORTH, request="2", amount_wei=900)
    network.tell(wanted, wanted)
    assert (network.balance(f"stake:{NORTH}"), network.balance(f"exit:{NORTH}")) == (100, 900)
