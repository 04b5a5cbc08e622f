"""What the contracts should do, in plain integers: written from docs/contracts.md, without a line of theirs.

Each model keeps lists of what happened and adds them up anew whenever it is asked, where a contract keeps totals. A
call that must be refused raises `Refused` with the reason, before anything is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PPM = 10**6
DAY_S = 86_400


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """The reason for which a contract must refuse."""


def need(holds: bool, reason: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    """Raises: Refused, where it does not hold."""
    if not holds:
        raise Refused(reason)


@dataclass
class Governed:
    """Time and pause."""

    now_s: int = 0
    is_paused: bool = False

    def need_running(self) -> None:
        """Raises: Refused in a pause."""
        need(not self.is_paused, "pausable: contract is paused")


@dataclass
class Exit:
    """A part of a stake on its way out."""

    owner: str
    number: int
    left: int
    matures_s: int


@dataclass
class Staking(Governed):
    """GreenStaking."""

    delay_s: int = 0
    stakes: dict[str, int] = field(default_factory=dict)
    exits: list[Exit] = field(default_factory=list)
    verdicts: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    sunk: int = 0

    def stake(self, owner: str, amount: int) -> None:
        self.need_running()
        need(amount > 0, "tokens: nothing to take")
        self.stakes[owner] = self.stakes.get(owner, 0) + amount
        self.paid[owner] = self.paid.get(owner, 0) - amount

    def request_exit(self, owner: str, amount: int) -> int:
        self.need_running()
        need(amount > 0, "staking: nothing to ask out")
        need(amount <= self.stakes.get(owner, 0), "staking: beyond the stake")
        need(len(self.open_exits(owner)) < 16, "staking: too many exits")
        number = sum(one.owner == owner for one in self.exits)
        self.stakes[owner] -= amount
        self.exits.append(Exit(owner, number, amount, self.now_s + self.delay_s))
        return number

    def withdraw(self, owner: str, number: int) -> None:
        found = [one for one in self.open_exits(owner) if one.number == number]
        need(bool(found), "staking: no such exit")
        need(self.now_s >= found[0].matures_s, "staking: not matured")
        self.paid[owner] = self.paid.get(owner, 0) + found[0].left
        found[0].left = 0

    def slash(self, owner: str, amount: int, verdict: bytes, *, is_slasher: bool = True) -> None:
        need(is_slasher, "governed: caller lacks the role")
        if verdict in self.verdicts:
            need(self.verdicts[verdict] == (owner, amount), "staking: verdict has other terms")
            return
        need(amount > 0, "staking: nothing to take")
        self.verdicts[verdict] = (owner, amount)
        part = min(amount, self.stakes.get(owner, 0))
        self.stakes[owner] = self.stakes.get(owner, 0) - part
        self.sunk += part
        amount -= part
        for one in self.open_exits(owner):
            part = min(amount, one.left)
            one.left -= part
            self.sunk += part
            amount -= part

    def open_exits(self, owner: str) -> list[Exit]:
        return [one for one in self.exits if one.owner == owner and one.left]

    def total(self) -> int:
        return sum(self.stakes.values()) + sum(one.left for one in self.exits)


@dataclass
class Funds:
    """A payment into the distributor."""

    epoch: int
    amount: int
    counts: bool


@dataclass(frozen=True)
class Put:
    """A root that was put up, with the leaves under it."""

    epoch: int
    leaves: dict[str, int]
    total: int
    opens_s: int
    root: bytes


@dataclass
class Distributor(Governed):
    """RewardDistributor."""

    window_s: int = 0
    funds: list[Funds] = field(default_factory=list)
    standing: list[Put] = field(default_factory=list)
    next_epoch: int | None = None
    vetoed: set[tuple[int, bytes]] = field(default_factory=set)
    claims: list[tuple[str, int]] = field(default_factory=list)
    donated: int = 0

    def fund(self, epoch: int, amount: int) -> None:
        self.need_running()
        need(amount > 0, "tokens: nothing to take")
        self.funds.append(Funds(epoch, amount, self.next_epoch is not None and epoch < self.next_epoch))

    def carry(self, epoch: int) -> None:
        need(self.next_epoch is not None and epoch < self.next_epoch, "distributor: epoch is to come")
        self._count(epoch)

    def propose(self, put: Put) -> None:
        for one in self.standing:
            if one.epoch == put.epoch:
                need((one.root, one.total) == (put.root, put.total), "distributor: another root stands")
                return
        self.need_running()
        need((put.epoch, put.root) not in self.vetoed, "distributor: root was vetoed")
        need(self.next_epoch in {None, put.epoch}, "distributor: not the next epoch")
        need(put.total >= self.promised(), "distributor: total falls")
        counted = sum(one.amount for one in self.funds if one.counts or one.epoch == put.epoch)
        need(put.total <= counted, "distributor: beyond the budget")
        self._count(put.epoch)
        self.standing.append(put)
        self.next_epoch = put.epoch + 1

    def veto(self, epoch: int) -> None:
        found = [one for one in self.standing if one.epoch == epoch]
        need(bool(found), "distributor: no such root")
        need(self.now_s < found[0].opens_s, "distributor: window is over")
        self.vetoed.add((epoch, found[0].root))
        self.standing = [one for one in self.standing if one.epoch < epoch]
        self.next_epoch = epoch

    def claim(self, put: Put, owner: str) -> int:
        found = [one for one in self.standing if one.epoch == put.epoch]
        need(bool(found), "distributor: no such root")
        claimable = self.claimable()
        need(claimable is None or put.epoch >= claimable.epoch, "distributor: a newer root stands")
        need(found[0].opens_s <= self.now_s, "distributor: window is not over")
        need(found[0].root == put.root, "distributor: proof does not fit")
        amount = put.leaves[owner] - self.claimed(owner)
        need(amount > 0, "distributor: nothing to claim")
        so_far = sum(paid for _, paid in self.claims)
        # Where a lie goes beyond all there is, the token is the first to refuse.
        need(so_far + amount <= self.funded() + self.donated, "erc20: transfer amount exceeds balance")
        need(so_far + amount <= found[0].total + self.donated, "distributor: beyond the total")
        self.claims.append((owner, amount))
        return amount

    def claimable(self) -> Put | None:
        return next((one for one in reversed(self.standing) if one.opens_s <= self.now_s), None)

    def claimed(self, owner: str) -> int:
        return sum(amount for who, amount in self.claims if who == owner)

    def promised(self) -> int:
        return self.standing[-1].total if self.standing else 0

    def funded(self) -> int:
        return sum(one.amount for one in self.funds)

    def waiting(self) -> int:
        return sum(one.amount for one in self.funds if not one.counts)

    def opening(self) -> int:
        """When a root that is put up now may be claimed."""
        return max([self.now_s + self.window_s] + [one.opens_s for one in self.standing[-1:]])

    def _count(self, epoch: int) -> None:
        for one in self.funds:
            one.counts = one.counts or one.epoch == epoch


@dataclass
class Asked:
    """A request to the reserve."""

    owner: str
    is_exit: bool
    amount: int
    asked_s: int
    state: str = "waiting"
    due: int = 0


@dataclass
class Reserve(Governed):
    """StrategicReserve."""

    asked: list[Asked] = field(default_factory=list)
    done_to: int = 0
    shares: dict[str, int] = field(default_factory=dict)
    dead: int = 0
    held: int = 0
    epochs: dict[int, tuple[int, int]] = field(default_factory=dict)
    price: tuple[int, int, int, int] | None = None
    refs: dict[bytes, tuple[object, ...]] = field(default_factory=dict)
    paid_out: list[tuple[int, int]] = field(default_factory=list)
    limit_ppm: int = 0
    surplus: int = 0
    """What came by itself and was not counted."""

    def request_deposit(self, owner: str, amount: int) -> int:
        self.need_running()
        need(amount > 0, "tokens: nothing to take")
        self.asked.append(Asked(owner, False, amount, self.now_s))
        return len(self.asked)

    def request_exit(self, owner: str, shares: int) -> int:
        self.need_running()
        need(shares > 0, "reserve: nothing to ask out")
        need(shares <= self.shares.get(owner, 0), "reserve: beyond the shares")
        self.shares[owner] -= shares
        self.asked.append(Asked(owner, True, shares, self.now_s))
        return len(self.asked)

    def settle(self, epoch: int, value: int, to: int) -> None:
        if epoch in self.epochs:
            need(self.epochs[epoch][0] == value, "reserve: epoch has another value")
            if to <= self.epochs[epoch][1]:
                return
        self.need_running()
        need(epoch >= max(self.epochs, default=0), "reserve: epoch is past")
        need(self.done_to <= to <= len(self.asked), "reserve: no such request")
        need(to - self.done_to <= 32, "reserve: too many at once")
        price = self.price
        if epoch not in self.epochs:
            need(value <= self.most_value(), "reserve: value beyond what is held")
            need(value > 0 and value * 2 >= self.most_value(), "reserve: value too low")
            price = (self.held, self.total_shares(), value if value < self.most_value() else 0, len(self.asked))
        need(price is not None, "reserve: value has changed")
        assert price is not None
        need(to <= price[3], "reserve: asked after the value was posted")
        self.price, self.epochs[epoch] = price, (value, to)
        waiting = [one for one in self.asked[self.done_to : to] if one.state == "waiting"]
        self.done_to = to
        for one in waiting:
            one.state = "settled"
            self._settle(one, *price[:3])

    def _settle(self, one: Asked, held: int, total: int, below: int) -> None:
        """`below`: the posted value where it is less than the whole."""
        if one.is_exit:
            one.due = one.amount * below // PPM if below else one.amount * held // total
            self.held -= one.due
            return
        shares = one.amount * total // held if total else one.amount
        taken = -(-shares * held // total) if total else one.amount
        if not self.dead:
            self.dead = 1000 + held
        self.shares[one.owner] = self.shares.get(one.owner, 0) + shares
        self.held += taken
        one.due = one.amount - taken

    def withdraw(self, owner: str, number: int) -> int:
        one = self._of(owner, number)
        need(one.state != "waiting", "reserve: not settled")
        need(one.due > 0, "reserve: nothing to pay")
        due, one.due = one.due, 0
        return due

    def cancel(self, owner: str, number: int) -> None:
        one = self._of(owner, number)
        need(one.state == "waiting", "reserve: not waiting")
        need(self.now_s >= one.asked_s + 30 * DAY_S, "reserve: too early")
        one.state = "cancelled"
        if one.is_exit:
            self.shares[owner] += one.amount
        else:
            one.due = one.amount

    def recognise(self, ref: bytes, amount: int) -> None:
        if self._known(ref, (amount,)):
            return
        self.need_running()
        need(amount > 0, "reserve: nothing to count")
        need(amount <= self.surplus, "reserve: nothing of that came")
        self.refs[ref] = (amount,)
        self.surplus -= amount
        self.held += amount
        self.price = None

    def compensate(self, ref: bytes, to: str, amount: int) -> None:
        if self._known(ref, (to, amount)):
            return
        self.need_running()
        need(amount > 0, "reserve: nothing to pay")
        need(amount <= self.held, "reserve: not enough")
        today = sum(paid for at_s, paid in self.paid_out if at_s // DAY_S == self.now_s // DAY_S)
        need(today + amount <= (self.held + today) * self.limit_ppm // PPM, "reserve: beyond the limit")
        self.refs[ref] = (to, amount)
        self.paid_out.append((self.now_s, amount))
        self.held -= amount
        self.price = None

    def total_shares(self) -> int:
        waiting = sum(one.amount for one in self.asked if one.is_exit and one.state == "waiting")
        return self.dead + sum(self.shares.values()) + waiting

    def most_value(self) -> int:
        total = self.total_shares()
        return max(1, self.held * PPM // total) if total else PPM

    def pending(self) -> int:
        return sum(one.amount for one in self.asked if not one.is_exit and one.state == "waiting")

    def owed(self) -> int:
        return sum(one.due for one in self.asked)

    def _of(self, owner: str, number: int) -> Asked:
        need(1 <= number <= len(self.asked) and self.asked[number - 1].owner == owner, "reserve: not your request")
        return self.asked[number - 1]

    def _known(self, ref: bytes, terms: tuple[object, ...]) -> bool:
        need(self.refs.get(ref, terms) == terms, "reserve: reference has other terms")
        return ref in self.refs


@dataclass
class Escrow(Governed):
    """Escrow."""

    delay_s: int = 0
    moves: list[tuple[str, int]] = field(default_factory=list)
    """What went into a deposit, and out of it."""
    wanted: dict[str, tuple[int, int]] = field(default_factory=dict)
    batches: dict[bytes, tuple[list[str], list[int], str]] = field(default_factory=dict)

    def deposit(self, owner: str, amount: int) -> None:
        self.need_running()
        need(amount > 0, "tokens: nothing to take")
        self.moves.append((owner, amount))

    def request_withdraw(self, owner: str, amount: int) -> None:
        need(amount <= self.deposited(owner), "escrow: beyond the deposit")
        self.wanted[owner] = (amount, self.now_s + self.delay_s)

    def withdraw(self, owner: str) -> int:
        amount, matures_s = self.wanted.get(owner, (0, 0))
        need(amount > 0, "escrow: nothing asked for")
        need(self.now_s >= matures_s, "escrow: not matured")
        amount = min(amount, self.deposited(owner))
        need(amount > 0, "escrow: nothing left")
        del self.wanted[owner]
        self.moves.append((owner, -amount))
        return amount

    def settle(self, batch: bytes, payers: list[str], amounts: list[int], to: str) -> None:
        terms = (payers, amounts, to)
        need(self.batches.get(batch, terms) == terms, "escrow: batch has other terms")
        if batch in self.batches:
            return
        self.need_running()
        need(len(payers) == len(amounts), "escrow: payers and amounts differ in number")
        wanted = {one: sum(a for who, a in zip(payers, amounts, strict=True) if who == one) for one in payers}
        need(all(self.deposited(one) >= sum_ for one, sum_ in wanted.items()), "escrow: beyond the deposit")
        need(sum(amounts) > 0, "escrow: nothing to settle")
        self.batches[batch] = terms
        self.moves += [(one, -amount) for one, amount in zip(payers, amounts, strict=True)]

    def deposited(self, owner: str) -> int:
        return sum(amount for who, amount in self.moves if who == owner)

    def held(self) -> int:
        return sum(amount for _, amount in self.moves)
