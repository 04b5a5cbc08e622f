"""What an ATH costs: prices as sources tell them, and what the network makes of them (docs/settlement.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPrice:
    """One price of one source."""

    source: str
    usd_micro_per_ath: int
    at_ms: int
    """Since when it holds, grid time, as the source says; else when it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRulesSet:
    """Whose prices make the rate from now on; none: the rate is the one that is recorded, as on a test network."""

    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesTold:
    """Sources told prices; a source that told nothing new is left out."""

    prices: tuple[ToldPrice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConfirmed:
    """The operator takes the price there is now for right, however far it moved."""

    usd_micro_per_ath: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """One source of prices."""

    source: str
    usd_micro_per_ath: int | None
    """Its mean over the last half hour, weighted by time; none where it told nothing since."""
    told_ms: int
    """Of its last price; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateView:
    """The exchange rate."""

    wei_per_usd_micro: str
    """Decimal text: wei exceed what other readers of JSON keep exact."""
    usd_micro_per_ath: int
    fixed: bool
    """No source is named: the rate stays the recorded one, and is never stale."""
    at_ms: int
    """When enough sources agreed on it last; 0 where it is fixed."""
    stale: bool
    """Fewer sources than are needed tell a price now: the last rate stays."""
    quotes_refused: bool
    """It is too old to quote by; what is in escrow is paid all the same."""
    promises_paused: bool
    """It moved too far within a day: no new promise of the reserve is sold, nothing else changes."""
    paused_ms: int
    """Since when; 0: they are not."""
    reference_usd_micro_per_ath: int
    """What a move is measured from; 0 while there is nothing."""
    sources: tuple[SourceView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRequest:
    """The price that is confirmed, as it was read."""

    usd_micro_per_ath: int
