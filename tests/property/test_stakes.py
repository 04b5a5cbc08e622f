"""Invariants 6 to 8 of docs/settlement.md over the whole engine: whatever is asked, in any order, no wei is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sunward.engine import snapshots
from sunward.engine.writer import replay
from sunward.errors import InputError
from sunward.model.commands import CloseEpoch
from sunward.model.events import AppealDecided, AppealFiled, EpochRequested, Payload, VerdictIssued
from sunward.model.identity import TenantId
from sunward.model.staking import SlashTerm
from sunward.model.staking_events import (
    ExitWithdrawn,
    HarmTold,
    RewardsClaimed,
    StakeRequested,
    StakingRulesSet,
    UnstakeRequested,
)
from sunward.model.trust import Appeal, Decision
from tests.support.network import of_kind
from tests.support.staking import NORTH, RULES, SOUTH, forged, staking

OWNERS = st.sampled_from([NORTH, SOUTH])
SITE_OF = {NORTH: "no-hydro", SOUTH: "es-solar"}
AMOUNT = st.integers(1, 1_500)
SMALL = replace(
    RULES,
    staking_budget_wei=1_009,
    bonus_budget_wei=13,
    slash=(SlashTerm(fault="forged", ppm=950_000, floor_wei=100), SlashTerm(fault="", ppm=300_000, floor_wei=0)),
)
AUDITOR = TenantId("a-eve")


class Stakes(RuleBasedStateMachine):
    """A network that people bond in, leave, claim from and are found out in; an own count of every owner beside it."""

    @initialize()
    def begin(self) -> None:
        """Rules are set and everybody has something to lose."""
        self.network = staking(epoch_ms=10**12)
        self.network.tell(StakingRulesSet(rules=SMALL))
        self.number = 0
        self.verdicts: dict[str, TenantId] = {}
        self.seen = 0
        self.bonded: Counter[str] = Counter()
        self.due_ms: dict[str, int] = {}
        self.fell: Counter[str] = Counter()
        for owner in (NORTH, SOUTH):
            self.tell(StakeRequested(owner=owner, request=self.name(), amount_wei=1_000, on_chain=True))

    def name(self) -> str:
        """A request that nobody made before."""
        self.number += 1
        return f"r-{self.number}"

    def tell(self, payload: Payload) -> None:
        """Commit, or be refused without a trace; and ask the same again, which must change nothing."""
        head = self.network.journal.head()
        before = self.network.state.ledger.to_record()
        try:
            self.network.tell(payload)
        except InputError:
            assert (self.network.journal.head(), self.network.state.ledger.to_record()) == (head, before)
            return
        if not isinstance(payload, ExitWithdrawn):
            after = self.network.state.ledger.to_record()
            self.network.tell(payload)
            assert self.network.state.ledger.to_record() == after
        self.count()

    def count(self) -> None:
        """Follow the entries made since, one by one."""
        entries = self.network.journal.entries[self.seen :]
        self.seen += len(entries)
        for entry in entries:
            for posting in entry.postings:
                kind, _, owner = posting.account.partition(":")
                if kind in ("stake", "exit"):
                    self.bonded[owner] += posting.amount_wei
            bonded = {one.account for one in entry.postings if one.amount_wei < 0} & {
                f"{kind}:{owner}" for kind in ("stake", "exit") for owner in (NORTH, SOUTH)
            }
            assert not bonded or entry.cause in ("unstake", "exit", "slash"), entry
            if entry.cause == "exit":
                assert entry.at_ms >= self.due_ms[entry.ref], entry
            if entry.cause == "slash":
                self.fell[entry.ref] += 1
        for key, one in self.network.state.stakes.exits.items():
            self.due_ms.setdefault(key, one.due_ms)

    @rule(owner=OWNERS, amount=AMOUNT, on_chain=st.booleans())
    def stake(self, owner: TenantId, amount: int, *, on_chain: bool) -> None:
        """Bond what is there or not."""
        self.tell(StakeRequested(owner=owner, request=self.name(), amount_wei=amount, on_chain=on_chain))

    @rule(owner=OWNERS, amount=AMOUNT, on_chain=st.booleans())
    def unstake(self, owner: TenantId, amount: int, *, on_chain: bool) -> None:
        """Ask back what is there or not."""
        self.tell(UnstakeRequested(owner=owner, request=self.name(), amount_wei=amount, on_chain=on_chain))

    @rule(owner=OWNERS, amount=st.one_of(st.just(0), AMOUNT), on_chain=st.booleans())
    def claim(self, owner: TenantId, amount: int, *, on_chain: bool) -> None:
        """Claim some or all."""
        self.tell(RewardsClaimed(owner=owner, request=self.name(), amount_wei=amount, on_chain=on_chain))

    @rule(pick=st.integers(0, 99))
    def withdraw(self, pick: int) -> None:
        """Something is withdrawn on the chain, due or not."""
        exits = sorted(self.network.state.stakes.exits)
        if exits:
            one = self.network.state.stakes.exits[exits[pick % len(exits)]]
            self.tell(ExitWithdrawn(owner=TenantId(one.owner), request=one.request))

    @rule(owner=OWNERS, fault=st.sampled_from(["forged", "other"]))
    def accuse(self, owner: TenantId, fault: str) -> None:
        """A verdict that may take stake."""
        verdict = f"v-{len(self.verdicts)}"
        self.verdicts[verdict] = owner
        self.tell(VerdictIssued(verdict=forged(self.network, fault=fault, name=verdict, site=SITE_OF[owner])))

    @rule(pick=st.integers(0, 99), amount=AMOUNT)
    def harm(self, pick: int, amount: int) -> None:
        """Somebody lost by what a verdict is about."""
        if self.verdicts:
            verdict = sorted(self.verdicts)[pick % len(self.verdicts)]
            self.tell(
                HarmTold(verdict=verdict, tenant=TenantId("t-beta"), ref=f"j-{pick}", amount_wei=amount, by=AUDITOR)
            )

    @rule(pick=st.integers(0, 99), upheld=st.booleans())
    def appeal(self, pick: int, *, upheld: bool) -> None:
        """A verdict is appealed, and decided some days later."""
        if self.verdicts:
            verdict = sorted(self.verdicts)[pick % len(self.verdicts)]
            told = AppealFiled(appeal=Appeal(verdict=verdict, by=self.verdicts[verdict], digest="a" * 64))
            if self.network.propose(told).refused is None:
                self.pass_time(5)
                decision = Decision(verdict=verdict, by=AUDITOR, upheld=upheld, reason="looked again")
                self.network.tell(AppealDecided(decision=decision))
                self.pass_time(0)

    @rule(days=st.integers(1, 9))
    def pass_time(self, days: int) -> None:
        """Timers fire."""
        self.network.wait(24 * days)
        self.count()

    @rule()
    def close(self) -> None:
        """The epoch ends; its rewards are within what the budgets held."""
        book = self.network.state.ledger
        held = sum(map(book.balance, ("budget:staking", "budget:bonus")))
        commands = self.network.tell(EpochRequested())
        (statement,) = [one.statement for one in of_kind(commands, CloseEpoch)]
        given = statement.rewards
        paid = given.base_wei + given.green_wei + given.bonus_wei
        assert paid <= SMALL.staking_budget_wei + SMALL.bonus_budget_wei + held
        self.count()

    @invariant()
    def nothing_is_lost(self) -> None:
        """All sums to zero, every funded wei is in a budget or was earned, and what is bonded is what was counted."""
        if not hasattr(self, "network"):
            return
        state = self.network.state
        assert state.ledger.total() == 0
        assert all(wei >= 0 for account, wei in state.ledger.to_record().items() if account != "faucet:test")
        funded = sum(one.postings[1].amount_wei for one in self.network.journal.entries if one.cause == "fund")
        held = sum(map(state.ledger.balance, ("treasury", "budget:staking", "budget:bonus")))
        assert funded == held + sum(state.stakes.earned_wei.values())
        for owner in (NORTH, SOUTH):
            assert state.stakes.bonded_wei(state.ledger, owner) == self.bonded[owner]
            leaving = sum(one.amount_wei for one in state.stakes.exits_of(owner))
            assert state.ledger.balance(f"exit:{owner}") == leaving
            assert 0 <= state.stakes.least_wei.get(owner, 0) <= state.ledger.balance(f"stake:{owner}")
        assert state.ledger.balance("slashed") == 0
        assert all(times == 1 for times in self.fell.values())

    def teardown(self) -> None:
        """A replay of the journal, and a snapshot, hold the same."""
        if hasattr(self, "network"):
            again = replay(self.network.journal.read())
            assert snapshots.dump(again) == snapshots.dump(self.network.state)
            assert snapshots.dump(snapshots.load(snapshots.dump(again))) == snapshots.dump(again)


TestStakes = Stakes.TestCase
TestStakes.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
