"""Who is paid where on the chain. Integers only; an address, once bound, keeps what was earned for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sunward.errors import ConflictError, InputError
from sunward.model.onchain import Payout, Wallet
from sunward.model.onchain_events import ChainNamed

BAD_ADDRESS, BOUND_ALREADY = "SW-820", "SW-833"
ADDRESS_DIGITS = frozenset("0123456789abcdef")
NOBODY = "0x" + 40 * "0"


@dataclass(slots=True)
class ChainBook:
    """Changed in place by one writer."""

    named: ChainNamed | None = None
    """Where rewards are paid; nothing while they are paid in the books alone."""
    wallets: dict[str, Wallet] = field(default_factory=dict)
    """By address, every one that was ever bound."""
    present: dict[str, str] = field(default_factory=dict)
    """The address of each owner that later rewards go to."""
    posted: int = -1
    """The newest epoch that is final on the chain."""
    retired_before_wei: int = 0
    """What was paid for credits before a chain was named: no vault ever had it."""

    def bind(self, owner: str, address: str, epoch: int, due_wei: int) -> None:
        """Pay an owner at an address from now on; `due_wei` is what it earned by now, less what it took in the books.

        With a first address all of that is due there; with a later one it stays due at those before.
        """
        if self.present.get(owner) == address:
            return
        number = sum(one.owner == owner for one in self.wallets.values())
        before = due_wei if number else 0
        self.wallets[address] = Wallet(owner=owner, address=address, number=number, epoch=epoch, before_wei=before)
        self.present[owner] = address

    def check(self, owner: str, address: str) -> None:
        """Refuse an address that is none, or speaks for somebody else, or was left before.

        Raises: InputError, ConflictError.
        """
        digits = address.removeprefix("0x")
        if not address.startswith("0x") or len(address) != len(NOBODY) or set(digits) - ADDRESS_DIGITS:
            raise InputError("an address is 0x and 40 hex digits in lower case", code=BAD_ADDRESS)
        if address == NOBODY:
            raise InputError("nobody has the key of that address", code=BAD_ADDRESS)
        known = self.wallets.get(address)
        if known is not None and (known.owner != owner or self.present[owner] != address):
            raise ConflictError(f"{address} was bound before; name another one", code=BOUND_ALREADY)

    def payouts(self, cumulative_wei: Callable[[str], int]) -> tuple[Payout, ...]:
        """What each address may have claimed in all, in order of address; those without anything are left out.

        `cumulative_wei`: of an owner, what it ever earned less what it took in the books.
        """
        of_owner: dict[str, list[Wallet]] = {}
        for one in self.wallets.values():
            of_owner.setdefault(one.owner, []).append(one)
        found: list[Payout] = []
        for owner, many in of_owner.items():
            many.sort(key=lambda one: one.number)
            ends = [one.before_wei for one in many[1:]] + [cumulative_wei(owner)]
            for one, end in zip(many, ends, strict=True):
                found.append(Payout(address=one.address, cumulative_wei=end - one.before_wei))
        return tuple(sorted((one for one in found if one.cumulative_wei), key=lambda one: one.address))
