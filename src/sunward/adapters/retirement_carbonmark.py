"""Carbonmark: single projects' credits by the kg, retired on a public chain, over its REST API (v18).

Written after its published documentation and tried against a server on this machine that answers as it documents; not
against Carbonmark itself. An order is found again by the quote it was made of, which is used up by one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sunward.adapters.retirement_web import Desk, RefusedError, UnsentError, told, usd_micro
from sunward.errors import SourceError
from sunward.model.credits import AnswerKind, CreditOrder, Offer, RegistryAnswer, RetiredCredits
from sunward.signals import zones
from sunward.units import KG_PER_T, SECOND_MS

URL = "https://v18.api.carbonmark.com"
COMPLETED = "COMPLETED"
FAILURES = frozenset({"ERROR", "FAILED", "CANCELLED"})
SEPARATOR = "|"
"""Between what a reference holds: the quote, project, vintage, method and country it is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditId:
    """What a listing sells."""

    projectId: str  # noqa: N815 - their name
    vintage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A seller's offer."""

    creditId: CreditId  # noqa: N815 - their name


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What can be bought now, tonnes and USD per tonne."""

    sourceId: str  # noqa: N815 - their name
    purchasePrice: float  # noqa: N815 - their name
    supply: float
    minFillAmount: float = 0.0  # noqa: N815 - their name
    listing: Listing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Methodology:
    """By what a project earns its credits."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonProject:
    """What is told of a project."""

    country: str | None = None
    methodologies: tuple[Methodology, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price that holds for one order."""

    uuid: str
    cost_usdc: float
    quantity_tonnes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as Carbonmark keeps it."""

    status: str
    quote: Quote
    transaction_hash: str | None = None
    view_retirement_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Of what a quote is."""

    project: str
    vintage: int
    method: str
    country: str


@dataclass(slots=True)
class Carbonmark:
    """The registry port."""

    name: str
    key: str = field(repr=False)
    projects: Sequence[str]
    beneficiary: str
    url: str = ""
    test: bool = False
    _desk: Desk = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._desk = Desk(self.name, self.url or URL, self.key)

    def offer(self, order: CreditOrder) -> Offer | RegistryAnswer:
        """Quote the cheapest credits that the filters let pass, out of the projects that the operator chose."""
        tonnes = order.kg / KG_PER_T
        prices = self._desk.get("/prices", list[Price], {"projectIds": list(self.projects)})
        fitting = [one for one in prices if one.supply >= tonnes >= one.minFillAmount]
        for price in sorted(fitting, key=lambda one: (one.purchasePrice, one.sourceId)):
            source = self._source(order, price)
            if source is not None:
                body = {"asset_price_source_id": price.sourceId, "quantity_tonnes": tonnes}
                quote = self._desk.post("/quotes", Quote, body)
                parts = (quote.uuid, source.project, str(source.vintage), source.method, source.country)
                return Offer(usd_micro=usd_micro(quote.cost_usdc), reference=SEPARATOR.join(parts))
        return RegistryAnswer(kind=AnswerKind.REFUSED, reason=f"{self.name} sells nothing that the filters let pass")

    def _source(self, order: CreditOrder, price: Price) -> Source | None:
        """What a listing sells, where it is what an order asks for."""
        if price.listing is None or price.listing.creditId.vintage < order.vintage_from:
            return None
        sold = price.listing.creditId
        known = self._desk.get(f"/carbonProjects/{sold.projectId}", CarbonProject)
        country = _country(known.country or "")
        methods = [one.id for one in known.methodologies]
        method = next((one for one in methods if one in order.methods), methods[0] if methods else "")
        if (order.methods and method not in order.methods) or (order.countries and country not in order.countries):
            return None
        return Source(project=sold.projectId, vintage=sold.vintage, method=method, country=country)

    def place(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """Use the quote up."""
        body = {
            "quote_uuid": _quote_of(reference),
            "beneficiary_name": self.beneficiary,
            "retirement_message": f"{order.order}; {told(order, self.beneficiary)}",
            "consumption_metadata": {
                "country_of_consumption_code": order.emitted[0].country if order.emitted else "",
                "consumption_period_start": order.start_ms // SECOND_MS,
                "consumption_period_end": order.end_ms // SECOND_MS,
            },
        }
        try:
            return self._read(order, reference, self._desk.post("/orders", Order, body))
        except UnsentError as reason:
            return RegistryAnswer(kind=AnswerKind.UNSENT, reason=reason.message)
        except RefusedError as reason:
            return RegistryAnswer(kind=AnswerKind.REFUSED, reason=reason.message)

    def find(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """The order of the quote."""
        uuid = _quote_of(reference)
        found = self._desk.get("/orders", list[Order], {"quote_uuid": uuid})
        for one in found:
            if one.quote.uuid == uuid:
                return self._read(order, reference, one)
        return RegistryAnswer(kind=AnswerKind.UNKNOWN)

    def _read(self, order: CreditOrder, reference: str, found: Order) -> RegistryAnswer:
        if found.status.upper() in FAILURES:
            return RegistryAnswer(kind=AnswerKind.REFUSED, reason=f"{self.name} could not carry the order out")
        if found.status.upper() != COMPLETED or not found.transaction_hash:
            return RegistryAnswer(kind=AnswerKind.PENDING)
        _, project, vintage, method, country = _parts(reference)
        kg = min(order.kg, round(found.quote.quantity_tonnes * KG_PER_T))
        one = RetiredCredits(
            registry=f"{self.name}/{found.transaction_hash}",
            first=1,
            last=kg,
            kg=kg,
            vintage=int(vintage),
            method=method,
            country=country,
            project=project,
            serials=found.transaction_hash,
            test=self.test,
        )
        return RegistryAnswer(
            kind=AnswerKind.RETIRED,
            credits=(one,),
            paid_usd_micro=usd_micro(found.quote.cost_usdc),
            certificate=found.view_retirement_url or "",
        )

    def close(self) -> None:
        """Let go of connections."""
        self._desk.close()


def _parts(reference: str) -> list[str]:
    parts = reference.split(SEPARATOR)
    if len(parts) != len(("quote", "project", "vintage", "method", "country")) or not parts[2].isdecimal():
        raise SourceError(f"{reference[:80]!r} is no reference of Carbonmark", transient=False, code="SW-809")
    return parts


def _quote_of(reference: str) -> str:
    return _parts(reference)[0]


def _country(name: str) -> str:
    """Two letters of a country, which Carbonmark writes out; empty where they are not known here."""
    known = {one.name.lower(): one.country for one in zones.load().zones} | {
        one.country.lower(): one.country for one in zones.load().zones
    }
    return known.get(name.strip().lower(), "")
