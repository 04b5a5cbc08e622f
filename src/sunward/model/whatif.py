"""What would become of jobs at other carbon prices: asked, and answered point by point."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.request import JobRequest

CARBON_PRICES = (0, 10, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""USD/t tried where none are named: from the named policy `cheapest` to `greenest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfRequest:
    """Jobs to look at, and the carbon prices to try; nothing of it is recorded."""

    carbon_prices_usd_per_t: tuple[int, ...] = CARBON_PRICES
    jobs: tuple[str, ...] = ()
    """Open jobs of the caller; with none named and no `request`, all that may still be placed or moved."""
    request: JobRequest | None = None
    """A job that was not submitted, instead of open ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfPoint:
    """The best plan of these jobs together at one carbon price."""

    carbon_price_usd_per_t: int
    placed: int
    unplaced: int
    price_usd_micro: int
    """What the tenant would pay."""
    cost_usd_micro: int
    """Energy, water, the provider's ask, transfer and waking: the score without carbon and margins."""
    carbon_mg: int
    delay_ms: int
    """Mean time from now to the end of a job during which it does not run, over the jobs placed."""
    finish_ms: int
    """When the last of them ends; 0 = none is placed."""
    frontier: bool
    """No other point is at least as good in cost, carbon, delay and jobs placed, and better in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The trade between cost, carbon and delay, by carbon price."""

    at_ms: int
    based_on: int
    """Sequence of the last journal event taken into account."""
    jobs: tuple[str, ...]
    """Those looked at; empty for a job that was not submitted."""
    left_out: int
    """Open jobs that run and are not moved: they count as they are, at every price."""
    points: tuple[WhatIfPoint, ...]
    """By carbon price, lowest first."""
