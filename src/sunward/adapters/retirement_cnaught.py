"""CNaught: credits by the kg out of a portfolio, over its REST API v1.

Written after its published TypeScript client and tried against a server on this machine that answers as it documents;
not against CNaught itself. It keeps a text with every order (`metadata`), by which an order is found again, and takes
an idempotency key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sunward.adapters.retirement_web import Desk, RefusedError, UnsentError, told
from sunward.model.credits import AnswerKind, CreditOrder, Offer, RegistryAnswer, RetiredCredits
from sunward.units import BPS, MICRO

URL = "https://api.cnaught.com/v1"
PAGE, PAGES_MAX = 100, 50
USD_MICRO_PER_CENT = MICRO * 100 // BPS
FULFILLED, CANCELLED = "fulfilled", "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """What an amount would cost."""

    amount_kg: float
    price_usd_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where credits come from."""

    id: str
    name: str = ""
    location_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What was retired at the registry itself."""

    serial_number_range: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Part of an order out of one project."""

    project: Project
    amount_kg: float
    retirements: tuple[Certified, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as CNaught keeps it."""

    id: str
    amount_kg: float
    price_usd_cents: int
    state: str
    metadata: str | None = None
    certificate_public_url: str | None = None
    project_allocations: tuple[Allocation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """A page of orders, the newest first."""

    data: tuple[Order, ...]


class CNaught:
    """The registry port."""

    def __init__(
        self,
        name: str,
        key: str,
        beneficiary: str,
        facts: tuple[str, int],
        *,
        portfolio: str = "",
        url: str = "",
        test: bool = False,
    ) -> None:
        """`facts`: method and oldest vintage of the portfolio, which its answers do not tell."""
        self.name = name
        self._desk = Desk(name, url or URL, key)
        self._beneficiary = beneficiary
        self._method, self._vintage = facts
        self._portfolio = {"portfolio_id": portfolio} if portfolio else {}
        self._test = test

    def offer(self, order: CreditOrder) -> Offer | RegistryAnswer:
        """Ask for the price. What the portfolio holds is the operator's word, so its filters are checked here."""
        other_method = bool(order.methods) and self._method not in order.methods
        # Where its projects stand is told in words only, so an order that names countries could never count.
        if other_method or order.countries or self._vintage < order.vintage_from:
            return RegistryAnswer(
                kind=AnswerKind.REFUSED, reason=f"{self.name} holds nothing that the filters let pass"
            )
        quoted = self._desk.post("/quotes", Quoted, {"amount_kg": order.kg, **self._portfolio})
        return Offer(usd_micro=quoted.price_usd_cents * USD_MICRO_PER_CENT, reference=order.order)

    def place(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """Submit the order, its id as metadata and idempotency key."""
        body = {
            "amount_kg": order.kg,
            "metadata": reference,
            "description": told(order, self._beneficiary),
            **self._portfolio,
        }
        try:
            return self._read(self._desk.post("/orders", Order, body, {"Idempotency-Key": reference}))
        except UnsentError as reason:
            return RegistryAnswer(kind=AnswerKind.UNSENT, reason=reason.message)
        except RefusedError as reason:
            return RegistryAnswer(kind=AnswerKind.REFUSED, reason=reason.message)

    def find(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """Look through the orders for the one with our id."""
        del order
        for one in self._orders():
            if one.metadata == reference:
                # Only a single order names its allocations for certain.
                return self._read(self._desk.get(f"/orders/{one.id}", Order))
        return RegistryAnswer(kind=AnswerKind.UNKNOWN)

    def _orders(self) -> Iterator[Order]:
        after: dict[str, str | list[str]] = {}
        for _ in range(PAGES_MAX):
            page = self._desk.get("/orders", Orders, {"limit": str(PAGE), **after}).data
            yield from page
            if len(page) < PAGE:
                return
            after = {"starting_after": page[-1].id}

    def _read(self, found: Order) -> RegistryAnswer:
        if found.state == CANCELLED:
            return RegistryAnswer(kind=AnswerKind.REFUSED, reason=f"{self.name} cancelled the order")
        if found.state != FULFILLED or not found.project_allocations:
            return RegistryAnswer(kind=AnswerKind.PENDING)
        return RegistryAnswer(
            kind=AnswerKind.RETIRED,
            credits=tuple(self._credits(found, one) for one in found.project_allocations if one.amount_kg >= 1),
            paid_usd_micro=found.price_usd_cents * USD_MICRO_PER_CENT,
            certificate=found.certificate_public_url or "",
        )

    def _credits(self, found: Order, one: Allocation) -> RetiredCredits:
        """A part of an order. A tonne may be shared by several buyers, so its own numbers are those of this order."""
        kg = int(one.amount_kg)
        serials = " ".join(each.serial_number_range for each in one.retirements if each.serial_number_range)
        return RetiredCredits(
            registry=f"{self.name}/{found.id}/{one.project.id}",
            first=1,
            last=kg,
            kg=kg,
            vintage=self._vintage,
            method=self._method,
            country="",
            project=one.project.name or one.project.id,
            serials=serials[:200],
            test=self._test,
        )

    def close(self) -> None:
        """Let go of connections."""
        self._desk.close()
