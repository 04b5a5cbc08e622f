"""Asks the sources of prices, each in a thread of its own, and records what they tell and the rate that follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from sunward.adapters.prices import PriceSource
from sunward.engine import rate
from sunward.errors import InputError, SourceError
from sunward.model.datum import Quality
from sunward.model.events import RateObserved
from sunward.model.rate import PricesTold, RateRulesSet, ToldPrice
from sunward.service.control import ControlPlane
from sunward.service.fetching import require_real_time

log = logging.getLogger("sunward.rate")


@dataclass(slots=True)
class Rating:
    """The sources of one service."""

    control: ControlPlane
    sources: Sequence[PriceSource]
    every_s: float
    _told: dict[str, str] = field(default_factory=dict)
    """What the log has said of each source, so that it says it once until it changes."""

    def begin(self) -> None:
        """Have these sources count, and no others.

        Raises: InputError where grid time is not the time that prices are of.
        """
        require_real_time(self.control, "prices")
        names = tuple(source.name for source in self.sources)
        if names != self.control.state.rates.sources:
            self.control.commit_one(RateRulesSet(sources=names))

    async def round(self) -> None:
        """Ask all at once, and record what is new."""
        now_ms = self.control.clock.grid_ms()
        found = await asyncio.gather(*(asyncio.to_thread(self._ask, source, now_ms) for source in self.sources))
        known = self.control.state.rates.told
        news = [one for one in found if one is not None and self._is_new(one, known.get(one.source, ()))]
        if news:
            self.control.commit_one(PricesTold(prices=tuple(news)))
        wei = rate.due(self.control.state)
        if wei != self.control.state.world.wei_per_usd_micro:
            names = self.control.state.rates.sources
            self.control.commit_one(RateObserved(wei_per_usd_micro=wei, sources=names, quality=Quality.PUBLISHED))

    def _is_new(self, one: ToldPrice, known: Sequence[tuple[int, int]]) -> bool:
        return not known or one.at_ms > known[-1][0]

    def _ask(self, source: PriceSource, now_ms: int) -> ToldPrice | None:
        try:
            found = source.ask(now_ms)
        except (SourceError, InputError) as reason:
            if self._told.get(source.name) != reason.message:
                log.warning("rate: %s; the others go on", reason.message)
            self._told[source.name] = reason.message
            return None
        self._told.pop(source.name, None)
        return found

    def close(self) -> None:
        """Let go of connections."""
        for source in self.sources:
            source.close()


async def keep_rating(rating: Rating) -> None:
    """Ask again and again."""
    while True:
        await rating.round()
        await asyncio.sleep(rating.every_s)
