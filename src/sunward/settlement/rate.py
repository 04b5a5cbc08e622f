"""The exchange rate from what several sources tell; formulas and limits in docs/settlement.md. Integers only."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from sunward.errors import InvariantError
from sunward.model.rate import ToldPrice
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM, WEI_PER_ATH, floor_to

WINDOW_MS = 30 * MINUTE_MS
"""Over which a source's prices are averaged, and how old its last one may be."""
SOURCES_MIN = 3
REFUSE_MS = DAY_MS
"""Age of the rate from which on nothing is quoted."""
MOVE_PPM = 200_000
"""A move by more than this from the price of a day before pauses new promises."""
CALM_MS = HOUR_MS
"""How long the price must have stayed within it before they go on."""
LOW_DAYS = 30
"""Over how many days the lowest price is known."""
PRICE_MAX = 10**15
"""A billion USD: with more, a micro-USD would be worth less than a thousand wei."""


def wei_per_usd_micro(usd_micro_per_ath: int) -> int:
    """The rate at a price, rounded down."""
    return WEI_PER_ATH // usd_micro_per_ath


def lower_median(values: Iterable[int]) -> int:
    """The middle one; of an even number the lower middle one."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def mean_over_time(told: Iterable[tuple[int, int]], at_ms: int) -> int | None:
    """The mean of (since, price) over the window that ends now, weighted by time, rounded down.

    A price holds until the next one, and no longer than the window is long. None where the last one is older.
    """
    points = [(since_ms, price) for since_ms, price in told if since_ms <= at_ms]
    if not points or at_ms - points[-1][0] > WINDOW_MS:
        return None
    ends_ms = [since_ms for since_ms, _ in points[1:]] + [at_ms]
    weighed = time_ms = 0
    for (since_ms, price), next_ms in zip(points, ends_ms, strict=True):
        held_ms = max(0, min(next_ms, since_ms + WINDOW_MS) - max(since_ms, at_ms - WINDOW_MS))
        weighed += price * held_ms
        time_ms += held_ms
    return weighed // time_ms if time_ms else points[-1][1]


@dataclass(slots=True)
class RateBook:
    """What sources told lately, what followed, and whether it moved too far. Changed in place by one writer."""

    sources: tuple[str, ...] = ()
    """None: the rate is recorded as it is."""
    since_ms: int = 0
    """Since when these sources count."""
    told: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """(since, micro-USD per ATH) by source, oldest first, as far back as they still count."""
    prices: list[tuple[int, int]] = field(default_factory=list)
    """(moment, median) of the last day, oldest first, and the one before it."""
    lows: list[tuple[int, int]] = field(default_factory=list)
    """(start of the day, lowest median), oldest first."""
    confirmed: tuple[int, int] = (0, 0)
    """When the operator confirmed a price, and which: for a day moves are measured from it."""
    paused_ms: int = 0
    """Since when new promises are paused; 0: they are not."""
    calm_ms: int = 0
    """Since when, while they are, the price is within the limit again; 0: it is not."""

    def set_sources(self, sources: tuple[str, ...], at_ms: int) -> None:
        """Count these sources from now on; what is known of the price stays."""
        self.told = {source: self.told[source] for source in sources if source in self.told}
        self.sources, self.since_ms = sources, at_ms
        if not sources:
            self.paused_ms = self.calm_ms = 0

    def tell(self, prices: Iterable[ToldPrice], at_ms: int) -> None:
        """Take prices in, and what follows of them now; one that would lie ahead counts from now."""
        for one in prices:
            points = self.told.setdefault(one.source, [])
            points.append((min(one.at_ms, at_ms), one.usd_micro_per_ath))
            # The last price before the window still holds within it.
            kept = bisect_right(points, at_ms - WINDOW_MS, key=lambda point: point[0])
            del points[: max(0, kept - 1)]
        median = self.median(at_ms)
        if median is not None:
            self._note(median, at_ms)

    def value(self, source: str, at_ms: int) -> int | None:
        """What a source's price is now."""
        return mean_over_time(self.told.get(source, ()), at_ms)

    def median(self, at_ms: int) -> int | None:
        """The price now; None while too few sources tell one."""
        values = [value for source in self.sources if (value := self.value(source, at_ms)) is not None]
        return lower_median(values) if len(values) >= SOURCES_MIN else None

    @property
    def price(self) -> int:
        """The last price there was, micro-USD per ATH; 0 before any."""
        return self.prices[-1][1] if self.prices else 0

    @property
    def at_ms(self) -> int:
        """When the price was last what enough sources told; 0 before any."""
        return self.prices[-1][0] if self.prices else 0

    def is_stale(self, at_ms: int) -> bool:
        """Whether the last rate stays for want of sources."""
        return bool(self.sources) and self.median(at_ms) is None

    def refuses(self, at_ms: int) -> bool:
        """Whether nothing may be quoted at the rate any more."""
        return self.is_stale(at_ms) and at_ms - max(self.at_ms, self.since_ms) > REFUSE_MS

    def reference(self, at_ms: int) -> int:
        """What a move is measured from: the price of a day before, the oldest known, or one confirmed since."""
        confirmed_ms, price = self.confirmed
        if price and at_ms - confirmed_ms < DAY_MS:
            return price
        before = bisect_right(self.prices, at_ms - DAY_MS, key=lambda point: point[0])
        return self.prices[max(0, before - 1)][1] if self.prices else 0

    def low(self, at_ms: int) -> int:
        """The lowest price of the last 30 days, this one included; 0 before any."""
        return min((price for day_ms, price in self.lows if day_ms > at_ms - LOW_DAYS * DAY_MS), default=self.price)

    def confirm(self, at_ms: int) -> None:
        """Measure moves from the price there is; promises go on.

        Raises: InvariantError before there is any.
        """
        if not self.price:
            raise InvariantError("no price to confirm; ask before it becomes an event")
        self.confirmed = (at_ms, self.price)
        self.paused_ms = self.calm_ms = 0

    def _note(self, median: int, at_ms: int) -> None:
        self.prices.append((at_ms, median))
        kept = bisect_right(self.prices, at_ms - DAY_MS, key=lambda point: point[0])
        del self.prices[: max(0, kept - 1)]
        day_ms = floor_to(at_ms, DAY_MS)
        lowest = min([median, *(price for known_ms, price in self.lows if known_ms == day_ms)])
        kept_lows = [low for low in self.lows if day_ms - LOW_DAYS * DAY_MS < low[0] < day_ms]
        self.lows = [*kept_lows, (day_ms, lowest)]
        self._judge(median, at_ms)

    def _judge(self, median: int, at_ms: int) -> None:
        """Pause where the price moved too far; go on once it has stayed within the limit for long enough."""
        reference = self.reference(at_ms)
        if abs(median - reference) * PPM > MOVE_PPM * reference:
            self.paused_ms, self.calm_ms = self.paused_ms or at_ms, 0
        elif self.paused_ms:
            self.calm_ms = self.calm_ms or at_ms
            if at_ms - self.calm_ms >= CALM_MS:
                self.paused_ms = self.calm_ms = 0
