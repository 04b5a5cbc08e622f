"""Carbon credits: what is ordered, what a registry retired for it, and how far that covers (docs/settlement.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sunward.units import BPS, PPM

TEST_REGISTRY = "test"
"""The registry inside the service: its credits are marked as a test and count nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditRules:
    """How credits are bought; docs/settlement.md."""

    registry: str = TEST_REGISTRY
    """Where; as credits.toml names it."""
    methods: tuple[str, ...] = ()
    """Methods that count, as the registry writes them; none: any."""
    countries: tuple[str, ...] = ()
    """Where projects may stand, ISO 3166-1 alpha-2; none: anywhere."""
    vintage_years_max: int = 5
    """How many years before the order a credit may have been earned."""
    slippage_bps: int = 500
    """How far above the forecast price an order may be filled."""
    price_usd_micro_per_t: int = 0
    """The forecast price, also of the offset share; 0: the one that the network started with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """Emissions of one country."""

    country: str
    location_mg: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditOrder:
    """What is to be retired, and how much may be paid for it."""

    order: str
    """Its id, under which a registry does it once."""
    epoch: int
    """At whose close it was made."""
    at_ms: int
    registry: str
    kg: int
    """At most."""
    price_usd_micro_per_t: int
    """As forecast."""
    limit_usd_micro_per_t: int
    wei_per_usd_micro: int
    """It is paid at this rate, whatever the rate does until it is filled."""
    held_wei: int
    """Set aside for it; it never costs more."""
    vintage_from: int
    """First year whose credits count."""
    methods: tuple[str, ...]
    countries: tuple[str, ...]
    start_ms: int
    """Of the emissions that it stands for."""
    end_ms: int
    emitted: tuple[Emitted, ...]
    """In which countries, the largest first."""
    reference: str = ""
    """What the registry knows it by, from the moment it goes out."""
    sent_ms: int = 0
    """When it went out; from then on it is asked after and never placed again. 0: it did not yet."""

    @property
    def limit_usd_micro(self) -> int:
        """Most that all of it may cost, rounded down."""
        return self.held_wei // self.wei_per_usd_micro


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredCredits:
    """One range of serials that was retired."""

    registry: str
    """With what its serials have in common; the numbers that tell them apart follow."""
    first: int
    last: int
    kg: int
    """What the range stands for: at most a tonne each."""
    vintage: int
    method: str
    country: str
    """Where the project stands; empty where the registry does not say."""
    project: str
    serials: str = ""
    """As the registry writes them, for whoever looks them up."""
    test: bool = False
    """It counts nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledOrder:
    """An order that a registry has carried out."""

    order: CreditOrder
    at_ms: int
    epoch: int
    """In which that was recorded."""
    credits: tuple[RetiredCredits, ...]
    paid_usd_micro: int
    paid_wei: int
    counted_kg: int
    """Neither credits marked as a test nor others than were ordered count."""
    certificate: str
    """Where the registry shows it; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedOrder:
    """An order that came to nothing; what was held for it is free again."""

    order: str
    at_ms: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochOffset:
    """What one epoch emitted and what was retired in it. Coverage never touches an SCI."""

    location_mg: int
    market_mg: int
    embodied_mg: int
    matched_wh: int
    """Under claimed certificates."""
    residual_mg: int
    """The larger of both methods, plus embodied, plus what this epoch changed of earlier ones."""
    retired_kg: int
    """Counted, of credits whose retirement was recorded in this epoch."""
    test_kg: int
    """Of credits marked as a test: they count nothing."""
    paid_wei: int
    credits: tuple[RetiredCredits, ...]
    residual_to_date_mg: int
    """Of all closed epochs, this one included."""
    retired_to_date_kg: int
    coverage_ppm: int
    """Retired over residual, both to date, rounded down."""


class AnswerKind(StrEnum):
    """What a registry says of an order."""

    RETIRED = "retired"
    PENDING = "pending"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """It has no such order."""
    UNSENT = "unsent"
    """It was never reached, so it cannot have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a registry would take for an order; nothing is bought by it."""

    usd_micro: int
    reference: str
    """What it will know the order by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAnswer:
    """What a registry says of an order."""

    kind: AnswerKind
    credits: tuple[RetiredCredits, ...] = ()
    paid_usd_micro: int = 0
    certificate: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetView:
    """The offset account and what became of it."""

    share_bps: int
    """Of job payments, now."""
    account_wei: str
    """Decimal text: wei exceed what other readers of JSON keep exact."""
    held_wei: str
    """Of it, for open orders."""
    spent_wei: str
    liability_mg: int
    """Residual of all closed epochs, less what was retired and counts."""
    residual_to_date_mg: int
    retired_to_date_kg: int
    test_to_date_kg: int
    coverage_ppm: int
    sentence: str
    """The only one that is made of it."""
    rules: CreditRules | None
    """None: nothing is bought."""
    open: tuple[CreditOrder, ...]
    filled: tuple[FilledOrder, ...]
    """The newest first."""
    refused: tuple[RefusedOrder, ...]


def coverage_percent(ppm: int) -> str:
    """With two decimals, rounded down: what is covered is never overstated."""
    hundredths = ppm // (PPM // BPS)
    return f"{hundredths // 100}.{hundredths % 100:02d}"
