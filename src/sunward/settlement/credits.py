"""Carbon credits in integers: how much to order, what counts of what was retired, and what that covers.

docs/settlement.md has the formulas. A serial is used once, whoever asked for it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sunward.model.credits import (
    CreditOrder,
    CreditRules,
    Emitted,
    FilledOrder,
    RefusedOrder,
    RetiredCredits,
    coverage_percent,
)
from sunward.settlement.entries import split_wei
from sunward.settlement.serials import Ranges, is_used, use
from sunward.units import BPS, KG_PER_T, MG_PER_KG, PPM

REFUSED_KEPT = 10
"""Orders that came to nothing and are still shown."""
SENTENCE = "Retired credits cover {percent} % of measured residual."


@dataclass(slots=True)
class CreditBook:
    """Orders and serials. Changed in place by one writer."""

    rules: CreditRules | None = None
    """None: nothing is bought."""
    open: dict[str, CreditOrder] = field(default_factory=dict)
    filled: list[FilledOrder] = field(default_factory=list)
    """Oldest first."""
    refused: list[RefusedOrder] = field(default_factory=list)
    """The last ones, oldest first."""
    serials: Ranges = field(default_factory=dict)
    """Ranges ever retired, by registry."""
    since_ms: int = 0
    """Start of the emissions that no order stands for yet."""
    emitted: dict[str, int] = field(default_factory=dict)
    """Their mg by country, location-based."""

    @property
    def held_wei(self) -> int:
        """What open orders may still take out of the offset account."""
        return sum(order.held_wei for order in self.open.values())

    @property
    def retired_kg(self) -> int:
        """All that was retired and counts."""
        return sum(one.counted_kg for one in self.filled)

    def add(self, order: CreditOrder) -> None:
        """Take in a new order, which stands for all emissions that none stood for."""
        self.open[order.order] = order
        self.since_ms, self.emitted = order.end_ms, {}

    def fill(self, done: FilledOrder) -> None:
        """End an order that was carried out; its serials can never come again."""
        del self.open[done.order.order]
        for one in done.credits:
            use(self.serials, one.registry, one.first, one.last)
        self.filled.append(done)

    def drop(self, order: str, reason: str, at_ms: int) -> None:
        """End an order that came to nothing; the next one stands for its emissions too."""
        gone = self.open.pop(order)
        self.refused = [*self.refused, RefusedOrder(order=order, at_ms=at_ms, reason=reason)][-REFUSED_KEPT:]
        self.since_ms = min(self.since_ms, gone.start_ms)
        self.emit({one.country: one.location_mg for one in gone.emitted})

    def emit(self, location_mg: dict[str, int]) -> None:
        """Add emissions by country."""
        self.emitted = dict(Counter(self.emitted) + Counter(location_mg))

    def used_before(self, retired: Iterable[RetiredCredits]) -> RetiredCredits | None:
        """A range that holds a serial of an earlier one, or of another of its own list."""
        fresh: Ranges = {}
        for one in retired:
            if is_used(self.serials, one.registry, one.first, one.last):
                return one
            if is_used(fresh, one.registry, one.first, one.last):
                return one
            use(fresh, one.registry, one.first, one.last)
        return None


def limit_usd_micro_per_t(price_usd_micro_per_t: int, slippage_bps: int) -> int:
    """The most that an order pays for a tonne, rounded down."""
    return price_usd_micro_per_t * (BPS + slippage_bps) // BPS


def wanted_kg(spend_wei: int, wei_per_usd_micro: int, limit: int, liability_mg: int, open_kg: int) -> int:
    """How many whole kg to order: what can be paid at the limit, and no more than is left to answer for, rounded up."""
    affordable = spend_wei // wei_per_usd_micro * KG_PER_T // limit
    owed = -(-liability_mg // MG_PER_KG) - open_kg
    return max(0, min(affordable, owed))


def held_for(kg: int, limit: int, wei_per_usd_micro: int) -> int:
    """What to set aside for so many kg at the limit, wei."""
    return -(-kg * limit // KG_PER_T) * wei_per_usd_micro


def by_country(emitted: dict[str, int]) -> tuple[Emitted, ...]:
    """Emissions, the largest first, equal ones by country."""
    order = sorted(emitted.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Emitted(country=country, location_mg=mg) for country, mg in order)


def counts(order: CreditOrder, one: RetiredCredits) -> bool:
    """Whether credits are what was ordered; others are listed and paid all the same, and count nothing."""
    fits = not order.methods or one.method in order.methods
    here = not order.countries or one.country in order.countries
    return not one.test and one.vintage >= order.vintage_from and fits and here


def counted_kg(order: CreditOrder, retired: Sequence[RetiredCredits]) -> int:
    """By how much the liability falls."""
    return sum(one.kg for one in retired if counts(order, one))


def paid_wei(order: CreditOrder, paid_usd_micro: int) -> int:
    """What an order takes out of the offset account: never more than was set aside."""
    return min(paid_usd_micro * order.wei_per_usd_micro, order.held_wei)


def coverage_ppm(retired_kg: int, residual_mg: int) -> int:
    """Retired over residual, rounded down; 0 while there is nothing to cover."""
    return retired_kg * MG_PER_KG * PPM // residual_mg if residual_mg > 0 else 0


def sentence(ppm: int) -> str:
    """The only sentence that is made of coverage."""
    return SENTENCE.format(percent=coverage_percent(ppm))


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultRetirement:
    """One call of `OffsetVault.retire`, less the address that is paid."""

    order: bytes
    """32 bytes, another one for each range."""
    registry: bytes
    first_serial: int
    last_serial: int
    kg: int
    test: bool
    amount_wei: int


def vault_retirements(epoch: int, retired: Sequence[RetiredCredits], paid_wei: int) -> tuple[VaultRetirement, ...]:
    """The calls that put what an epoch retired on a chain: a range each, what was paid divided by kg.

    Raises: InvariantError when something was paid and nothing retired.
    """
    weights = {f"{number:09d}": one.kg for number, one in enumerate(retired)}
    parts = dict(split_wei(paid_wei, weights))
    return tuple(
        VaultRetirement(
            order=_word("order", f"{epoch}\n{number}"),
            registry=_word("registry", one.registry),
            first_serial=one.first,
            last_serial=one.last,
            kg=one.kg,
            test=one.test,
            amount_wei=parts.get(f"{number:09d}", 0),
        )
        for number, one in enumerate(retired)
        if one.kg
    )


def _word(what: str, name: str) -> bytes:
    return hashlib.sha256(f"sunward-credit-{what}/1\n{name}\n".encode()).digest()
