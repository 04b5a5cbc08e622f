"""Contracts against integer models, call by call: the same answers, the same refusals, the same balances.

The suite tries some hundred calls; `pytest -m soak tests/contracts` tries ten thousand and more, with other seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

import boa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.contracts import models
from tests.contracts.chain import (
    ALICE,
    BOB,
    BUYER,
    CAROL,
    CHAIN_ID,
    OWNER,
    POSTER,
    SINK,
    SLASHER,
    START_S,
    STRANGER,
    VETOER,
    deploy,
    give,
    pass_time,
    refuses,
    word,
)
from tests.contracts.models import Refused
from tests.contracts.scene import EXIT_DELAY_S, VETO_WINDOW_S, WITHDRAWAL_DELAY_S, deployed
from tests.contracts.tree import Leaf, Tree

PEOPLE = (ALICE, BOB, CAROL)
DAY_S = 86_400
RICH = 10**27
SOAK_STEPS = 2600
"""Calls for each contract in a long run; four contracts are more than ten thousand."""

amounts = st.one_of(st.integers(0, 40), st.sampled_from([1, 999, 1000, 10**6, 10**18]), st.integers(0, 10**21))
people = st.sampled_from(PEOPLE)
words = st.sampled_from([word(str(number)) for number in range(40)])


class Tried(RuleBasedStateMachine):
    """A contract and its model, side by side."""

    name: ClassVar[str]
    steps: ClassVar[int] = 0
    model: Any

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(boa.env.anchor())
        boa.env.evm.patch.chain_id = CHAIN_ID
        boa.env.evm.patch.timestamp = START_S
        self.token = deploy("TestATH")
        self.contract = deployed(self.name, self.token)
        for one in (*PEOPLE, OWNER):
            give(self.token, one, RICH, self.contract)

    def teardown(self) -> None:
        self.stack.close()

    def both(self, contract: Callable[[], Any], model: Callable[[], Any]) -> Any:
        """Ask the model, then the contract; what they say must agree. None where both refuse."""
        type(self).steps += 1
        self.model.now_s = int(boa.env.timestamp)
        try:
            expected = model()
        except Refused as refusal:
            reason = str(refusal)
        else:
            reason = ""
        if reason:
            with refuses(reason):
                contract()
            return None
        answer = contract()
        if answer != ():
            assert answer == expected
        return expected

    @rule(seconds=st.sampled_from([1, 600, DAY_S // 2, DAY_S, 3 * DAY_S, 10 * DAY_S]))
    def wait(self, seconds: int) -> None:
        pass_time(seconds)

    @rule(pauses=st.integers(0, 3))
    def pause(self, pauses: int) -> None:
        """Paused for a quarter of the time."""
        wanted = pauses == 0
        if wanted != self.model.is_paused:
            self.contract.call("pause" if wanted else "unpause")
            self.model.is_paused = wanted


class TriedStaking(Tried):
    """GreenStaking."""

    name = "GreenStaking"

    def __init__(self) -> None:
        super().__init__()
        self.model = models.Staking(delay_s=EXIT_DELAY_S)

    @initialize(of=st.tuples(*[st.integers(0, 10**6)] * 3))
    def begin(self, of: tuple[int, ...]) -> None:
        for one, amount in zip(PEOPLE, of, strict=True):
            self.stake(one, amount)

    @rule(owner=people, amount=amounts)
    def stake(self, owner: str, amount: int) -> None:
        self.both(lambda: self.contract.stake(amount, sender=owner), lambda: self.model.stake(owner, amount))

    @rule(owner=people, amount=amounts)
    def exit(self, owner: str, amount: int) -> None:
        ask = self.contract.request_exit
        self.both(lambda: ask(amount, sender=owner), lambda: self.model.request_exit(owner, amount))

    @rule(owner=people, share=st.integers(1, 4))
    def exit_a_part(self, owner: str, share: int) -> None:
        self.exit(owner, self.model.stakes.get(owner, 0) // share)

    @precondition(lambda self: self.model.exits)
    @rule(data=st.data(), owner=st.one_of(st.none(), st.none(), st.none(), people))
    def withdraw(self, data: st.DataObject, owner: str | None) -> None:
        """Now and then somebody else's."""
        one = data.draw(st.sampled_from(self.model.exits))
        who, number = owner or one.owner, one.number
        self.both(lambda: self.contract.withdraw(number, sender=who), lambda: self.model.withdraw(who, number))

    @precondition(lambda self: any(one.left for one in self.model.exits))
    @rule(data=st.data(), short=st.sampled_from([0, 0, 0, 1]))
    def wait_and_withdraw(self, data: st.DataObject, short: int) -> None:
        one = data.draw(st.sampled_from([one for one in self.model.exits if one.left]))
        pass_time(max(0, one.matures_s - int(boa.env.timestamp) - short))
        ask = self.contract.withdraw
        self.both(lambda: ask(one.number, sender=one.owner), lambda: self.model.withdraw(one.owner, one.number))

    @rule(owner=people, amount=amounts, verdict=words, sender=st.sampled_from([SLASHER, SLASHER, SLASHER, STRANGER]))
    def slash(self, owner: str, amount: int, verdict: bytes, sender: str) -> None:
        is_slasher = sender == SLASHER
        self.both(
            lambda: self.contract.slash(owner, amount, verdict, sender=sender),
            lambda: self.model.slash(owner, amount, verdict, is_slasher=is_slasher),
        )

    @rule(amount=st.integers(1, 1000))
    def donate(self, amount: int) -> None:
        self.token.transfer(self.contract.address, amount)

    @invariant()
    def agrees(self) -> None:
        for one in PEOPLE:
            assert self.contract.stake_of(one) == self.model.stakes.get(one, 0)
            assert self.contract.exiting(one) == sum(exit_.left for exit_ in self.model.open_exits(one))
            assert self.token.balanceOf(one) == RICH + self.model.paid.get(one, 0)
        assert self.contract.total() == self.model.total()
        assert self.token.balanceOf(SINK) == self.model.sunk
        assert self.token.balanceOf(self.contract.address) >= self.model.total()


class TriedDistributor(Tried):
    """RewardDistributor."""

    name = "RewardDistributor"

    def __init__(self) -> None:
        super().__init__()
        self.model = models.Distributor(window_s=VETO_WINDOW_S)
        self.seen: list[models.Put] = []

    @initialize(amount=st.integers(1, 10**21), gains=st.tuples(*[st.integers(0, 10)] * 3))
    def begin(self, amount: int, gains: tuple[int, ...]) -> None:
        self.go_on(amount, gains, DAY_S)

    @rule(
        amount=st.integers(1, 10**21),
        gains=st.tuples(*[st.integers(0, 10)] * 3),
        seconds=st.sampled_from([1, DAY_S // 3, DAY_S - 1, DAY_S]),
    )
    def go_on(self, amount: int, gains: tuple[int, ...], seconds: int) -> None:
        """An epoch as it should be."""
        self.fund(0, amount)
        self.propose(gains, 0, 0, 0)
        pass_time(seconds)

    @rule(ahead=st.integers(-2, 2), amount=amounts)
    def fund(self, ahead: int, amount: int) -> None:
        epoch = max(0, (3 if self.model.next_epoch is None else self.model.next_epoch) + ahead)
        self.both(lambda: self.contract.fund(epoch, amount), lambda: self.model.fund(epoch, amount))

    @precondition(lambda self: any(not one.counts for one in self.model.funds))
    @rule(ahead=st.integers(-3, 0))
    def carry(self, ahead: int) -> None:
        epoch = max(0, (self.model.next_epoch or 3) + ahead)
        self.both(lambda: self.contract.carry(epoch), lambda: self.model.carry(epoch))

    @rule(
        gains=st.tuples(*[st.integers(0, 10)] * 3),
        ahead=st.sampled_from([0, 0, 0, 0, 1, -1]),
        lie=st.sampled_from([0, 0, 0, 1, 50]),
        over=st.sampled_from([0, 0, 0, 1]),
    )
    def propose(self, gains: tuple[int, ...], ahead: int, lie: int, over: int) -> None:
        """Leaves that share what there is, now and then with a total below their sum, or beyond the budget."""
        epoch = max(0, (3 if self.model.next_epoch is None else self.model.next_epoch) + ahead)
        base = self.model.standing[-1].leaves if self.model.standing else dict.fromkeys(PEOPLE, 0)
        spare = sum(one.amount for one in self.model.funds if one.counts or one.epoch == epoch) - self.model.promised()
        unit = max(0, spare) // 30
        leaves = {one: base[one] + unit * gain for one, gain in zip(PEOPLE, gains, strict=True)}
        total = self.model.promised() + unit * sum(gains) - lie * unit // 50 + over * (spare + 1)
        tree = Tree([self.leaf(epoch, one, leaves[one]).node() for one in PEOPLE])
        self.model.now_s = int(boa.env.timestamp)
        put = models.Put(epoch, leaves, max(0, total), self.model.opening(), tree.root)
        self.offer(put)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def propose_again(self, data: st.DataObject) -> None:
        put = data.draw(st.sampled_from(self.seen))
        self.model.now_s = int(boa.env.timestamp)
        self.offer(models.Put(put.epoch, put.leaves, put.total, self.model.opening(), put.root))

    def offer(self, put: models.Put) -> None:
        ask = self.contract.propose
        self.both(lambda: ask(put.epoch, put.root, put.total, sender=POSTER), lambda: self.model.propose(put))
        if put in self.model.standing:
            self.seen.append(put)

    @precondition(lambda self: self.model.standing)
    @rule(behind=st.integers(0, 3))
    def veto(self, behind: int) -> None:
        epoch = max(0, (self.model.next_epoch or 3) - behind)
        self.both(lambda: self.contract.veto(epoch, sender=VETOER), lambda: self.model.veto(epoch))

    @precondition(lambda self: self.seen)
    @rule(owner=people, data=st.data())
    def claim_any(self, owner: str, data: st.DataObject) -> None:
        self.claim(data.draw(st.sampled_from(self.seen)), owner)

    @precondition(lambda self: self.model.standing)
    @rule(owner=people)
    def claim_newest(self, owner: str) -> None:
        self.model.now_s = int(boa.env.timestamp)
        self.claim(self.model.claimable() or self.model.standing[-1], owner)

    def claim(self, put: models.Put, owner: str) -> None:
        leaf = self.leaf(put.epoch, owner, put.leaves[owner])
        tree = Tree([self.leaf(put.epoch, one, put.leaves[one]).node() for one in PEOPLE])
        proof = tree.proof(PEOPLE.index(owner))
        arguments = (put.epoch, owner, leaf.cumulative_wei, leaf.salt, proof)
        self.both(lambda: self.contract.claim(*arguments, sender=STRANGER), lambda: self.model.claim(put, owner))

    @precondition(lambda self: self.model.standing)
    @rule()
    def everybody_claims(self) -> None:
        pass_time(VETO_WINDOW_S)
        for one in PEOPLE:
            self.claim_newest(one)

    @precondition(lambda self: self.model.standing)
    @rule()
    def veto_and_say_again(self) -> None:
        put = self.model.standing[-1]
        self.veto(1)
        self.model.now_s = int(boa.env.timestamp)
        self.offer(models.Put(put.epoch, put.leaves, put.total, self.model.opening(), put.root))

    @rule(amount=st.integers(1, 1000))
    def donate(self, amount: int) -> None:
        self.token.transfer(self.contract.address, amount)
        self.model.donated += amount

    def leaf(self, epoch: int, owner: str, cumulative_wei: int) -> Leaf:
        return Leaf(self.contract.address, epoch, owner, cumulative_wei)

    @invariant()
    def agrees(self) -> None:
        self.model.now_s = int(boa.env.timestamp)
        for one in PEOPLE:
            assert self.contract.claimed(one) == self.model.claimed(one)
            assert self.token.balanceOf(one) == RICH + self.model.claimed(one)
        assert self.contract.funded() == self.model.funded()
        assert self.contract.waiting() == self.model.waiting()
        assert self.contract.promised() == self.model.promised() <= self.model.funded()
        claimable = self.model.claimable()
        if claimable is not None:
            assert self.contract.claimable_epoch() == claimable.epoch
            assert self.contract.root_of(claimable.epoch) == (claimable.root, claimable.total, claimable.opens_s)
        claimed = sum(amount for _, amount in self.model.claims)
        left = self.model.funded() + self.model.donated - claimed
        assert self.token.balanceOf(self.contract.address) == left


class TriedReserve(Tried):
    """StrategicReserve."""

    name = "StrategicReserve"

    def __init__(self) -> None:
        super().__init__()
        self.model = models.Reserve(limit_ppm=200_000)
        self.out: dict[str, int] = dict.fromkeys((*PEOPLE, BUYER), 0)

    @initialize(of=st.tuples(*[st.one_of(st.integers(0, 9), st.integers(0, 10**20))] * 3))
    def begin(self, of: tuple[int, ...]) -> None:
        for one, amount in zip(PEOPLE, of, strict=True):
            self.deposit(one, amount)
        self.settle(1, 0, 0)

    @rule(owner=people, amount=amounts)
    def deposit(self, owner: str, amount: int) -> None:
        ask = self.contract.request_deposit
        if self.both(lambda: ask(amount, sender=owner), lambda: self.model.request_deposit(owner, amount)):
            self.out[owner] -= amount

    @rule(owner=people, share=st.integers(0, 4), more=st.sampled_from([0, 0, 0, 1]))
    def exit(self, owner: str, share: int, more: int) -> None:
        shares = (self.model.shares.get(owner, 0) // share if share else 0) + more * (share == 1)
        ask = self.contract.request_exit
        self.both(lambda: ask(shares, sender=owner), lambda: self.model.request_exit(owner, shares))

    @rule(
        ahead=st.sampled_from([1, 1, 1, 1, 0, 0, -1]),
        cut_ppm=st.sampled_from([0, 0, 0, 100_000, 499_999, 600_000, -1]),
        fewer=st.sampled_from([0, 0, 0, 1, 2, -1]),
    )
    def settle(self, ahead: int, cut_ppm: int, fewer: int) -> None:
        last = max(self.model.epochs, default=0)
        epoch = max(0, last + ahead)
        value = self.model.most_value() + 1 if cut_ppm < 0 else self.model.most_value() * (10**6 - cut_ppm) // 10**6
        if ahead == 0 and cut_ppm == 0 and last in self.model.epochs:
            value = self.model.epochs[last][0]
        to = max(0, min(len(self.model.asked), self.model.done_to + 32) - fewer)
        ask = self.contract.settle
        self.both(lambda: ask(epoch, value, to, sender=POSTER), lambda: self.model.settle(epoch, value, to))

    @precondition(lambda self: self.model.asked)
    @rule(owner=people, data=st.data())
    def withdraw(self, owner: str, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.model.asked) + 1))
        due = self.both(
            lambda: self.contract.withdraw(number, sender=owner), lambda: self.model.withdraw(owner, number)
        )
        self.out[owner] += due or 0

    @precondition(lambda self: any(one.due for one in self.model.asked))
    @rule(data=st.data())
    def withdraw_what_is_due(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([i + 1 for i, one in enumerate(self.model.asked) if one.due]))
        owner = self.model.asked[number - 1].owner
        due = self.both(
            lambda: self.contract.withdraw(number, sender=owner), lambda: self.model.withdraw(owner, number)
        )
        self.out[owner] += due

    @precondition(lambda self: any(one.state == "waiting" for one in self.model.asked))
    @rule(data=st.data(), patience=st.booleans())
    def cancel(self, data: st.DataObject, patience: bool) -> None:  # noqa: FBT001
        pass_time(30 * DAY_S if patience else 0)
        number = data.draw(st.integers(max(1, len(self.model.asked) - 5), len(self.model.asked)))
        owner = self.model.asked[number - 1].owner
        self.both(lambda: self.contract.cancel(number, sender=owner), lambda: self.model.cancel(owner, number))

    @rule(amount=st.integers(1, 10**18))
    def donate(self, amount: int) -> None:
        self.token.transfer(self.contract.address, amount)
        self.model.surplus += amount

    @rule(ref=words, part=st.sampled_from([0, 1, 2, 3]))
    def recognise(self, ref: bytes, part: int) -> None:
        amount = self.model.surplus * part // 2
        ask = self.contract.recognise
        self.both(lambda: ask(ref, amount, sender=POSTER), lambda: self.model.recognise(ref, amount))

    @rule(ref=words, part_ppm=st.sampled_from([0, 50_000, 150_000, 200_000, 250_000, 2_000_000]))
    def compensate(self, ref: bytes, part_ppm: int) -> None:
        amount = self.model.held * part_ppm // 10**6
        was = self.model.held
        ask = self.contract.compensate
        self.both(
            lambda: ask(ref, BUYER, amount, sender=POSTER), lambda: self.model.compensate(ref, BUYER.lower(), amount)
        )
        self.out[BUYER] += was - self.model.held

    @rule(refs=st.lists(words, min_size=2, max_size=4), part_ppm=st.sampled_from([60_000, 90_000, 120_000]))
    def compensate_many(self, refs: list[bytes], part_ppm: int) -> None:
        """On one day, as long as the limit lasts."""
        for ref in refs:
            self.compensate(ref, part_ppm)

    @precondition(lambda self: self.model.done_to < len(self.model.asked))
    @rule(ref=words, between=st.sampled_from(["nothing", "recognise", "compensate"]))
    def settle_in_two(self, ref: bytes, between: str) -> None:
        """An epoch of two batches, with or without something that changes the value between them."""
        epoch, value = max(self.model.epochs, default=0) + 1, self.model.most_value()
        ask = self.contract.settle
        for to in (self.model.done_to, min(len(self.model.asked), self.model.done_to + 32)):
            self.both(
                lambda to=to: ask(epoch, value, to, sender=POSTER), lambda to=to: self.model.settle(epoch, value, to)
            )
            if between == "recognise":
                self.donate(7)
                self.recognise(ref, 2)
            elif between == "compensate":
                self.compensate(ref, 100_000)

    @invariant()
    def agrees(self) -> None:
        for one in PEOPLE:
            assert self.contract.shares(one) == self.model.shares.get(one, 0)
            assert self.token.balanceOf(one) == RICH + self.out[one]
        assert self.token.balanceOf(BUYER) == self.out[BUYER]
        kept = (self.model.held, self.model.pending(), self.model.owed())
        assert (self.contract.held(), self.contract.pending(), self.contract.owed()) == kept
        assert self.token.balanceOf(self.contract.address) == sum(kept) + self.model.surplus
        assert self.contract.total_shares() == self.model.total_shares()
        assert self.contract.value_per_share_ppm() == self.model.most_value()


class TriedEscrow(Tried):
    """Escrow."""

    name = "Escrow"

    def __init__(self) -> None:
        super().__init__()
        self.model = models.Escrow(delay_s=WITHDRAWAL_DELAY_S)
        self.out: dict[str, int] = dict.fromkeys((*PEOPLE, BUYER, SINK), 0)

    @initialize(of=st.tuples(*[st.integers(0, 10**20)] * 3))
    def begin(self, of: tuple[int, ...]) -> None:
        for one, amount in zip(PEOPLE, of, strict=True):
            self.deposit(one, amount)

    @rule(owner=people, amount=amounts)
    def deposit(self, owner: str, amount: int) -> None:
        before = self.model.held()
        self.both(lambda: self.contract.deposit(amount, sender=owner), lambda: self.model.deposit(owner, amount))
        self.out[owner] -= self.model.held() - before

    @rule(owner=people, part=st.integers(0, 4))
    def ask(self, owner: str, part: int) -> None:
        amount = self.model.deposited(owner) * part // 3
        ask = self.contract.request_withdraw
        self.both(lambda: ask(amount, sender=owner), lambda: self.model.request_withdraw(owner, amount))

    @precondition(lambda self: self.model.wanted)
    @rule(owner=people, seconds=st.sampled_from([0, WITHDRAWAL_DELAY_S - 1, WITHDRAWAL_DELAY_S]))
    def withdraw(self, owner: str, seconds: int) -> None:
        pass_time(seconds)
        paid = self.both(lambda: self.contract.withdraw(sender=owner), lambda: self.model.withdraw(owner))
        self.out[owner] += paid or 0

    @rule(
        batch=words,
        payers=st.lists(people, max_size=5),
        parts=st.lists(st.integers(0, 3), min_size=5, max_size=5),
        one_more=st.sampled_from([0, 0, 0, 0, 1]),
        to=st.sampled_from([BUYER, SINK]),
    )
    def settle(self, batch: bytes, payers: list[str], parts: list[int], one_more: int, to: str) -> None:
        amounts = [self.model.deposited(one) * part // 6 for one, part in zip(payers, parts, strict=False)]
        amounts += [1] * one_more
        before = self.model.held()
        self.both(
            lambda: self.contract.settle(batch, payers, amounts, to, sender=POSTER),
            lambda: self.model.settle(batch, payers, amounts, to),
        )
        self.out[to] += before - self.model.held()

    @rule(batch=words, owner=people, part=st.integers(0, 3))
    def ask_work_withdraw(self, batch: bytes, owner: str, part: int) -> None:
        """What was asked for pays for jobs before it is paid."""
        self.ask(owner, 3)
        self.settle(batch, [owner, owner], [part, part], 0, BUYER)
        self.withdraw(owner, WITHDRAWAL_DELAY_S)

    @precondition(lambda self: self.model.batches)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(sorted(self.model.batches)))
        payers, amounts, to = self.model.batches[batch]
        self.both(
            lambda: self.contract.settle(batch, payers, amounts, to, sender=POSTER),
            lambda: self.model.settle(batch, payers, amounts, to),
        )

    @rule(amount=st.integers(1, 1000))
    def donate(self, amount: int) -> None:
        self.token.transfer(self.contract.address, amount)

    @invariant()
    def agrees(self) -> None:
        for one in PEOPLE:
            assert self.contract.deposits(one) == self.model.deposited(one) >= 0
        for one, amount in self.out.items():
            assert self.token.balanceOf(one) == amount + (RICH if one in PEOPLE else 0)
        assert self.contract.held() == self.model.held()
        assert self.token.balanceOf(self.contract.address) >= self.model.held()


MACHINES = (TriedStaking, TriedDistributor, TriedReserve, TriedEscrow)
# Making a failing run shorter takes minutes; the calls that led to it are printed as they are.
QUICK = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    database=None,
    phases=[Phase.generate],
)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_contract_does_what_its_model_does(machine: type[Tried]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(QUICK, max_examples=12, stateful_step_count=40, derandomize=True)
    )


@pytest.mark.soak
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_contract_does_what_its_model_does_for_long(machine: type[Tried]) -> None:
    machine.steps = 0
    while machine.steps < SOAK_STEPS:
        run_state_machine_as_test(
            machine, settings=settings(QUICK, max_examples=20, stateful_step_count=60, derandomize=False)
        )
    assert machine.steps >= SOAK_STEPS
