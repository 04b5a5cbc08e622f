"""Prices of ATH as events: whose count, what they tell, and what is refused while they are old or have moved too far.

The rate itself stays an event of its own (`RateObserved`): whoever reads a journal needs no more than that. Where
sources are named it must be the one that follows from what they told.
"""

from __future__ import annotations

import re

from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError
from sunward.model.events import RateObserved
from sunward.model.rate import PricesTold, RateConfirmed, RateRulesSet, RateView, SourceView
from sunward.settlement.rate import PRICE_MAX, SOURCES_MIN, wei_per_usd_micro
from sunward.units import WEI_PER_ATH

NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
SOURCES_MAX = 20
BAD_PRICES, NOT_OURS, TOO_OLD = "SW-800", "SW-801", "SW-802"


def rules_set(turn: Turn, payload: RateRulesSet) -> None:
    """Take the sources."""
    turn.state.rates.set_sources(payload.sources, turn.at_ms)


def check_rules(state: State, payload: RateRulesSet) -> None:
    """Refuse sources that could never make a rate.

    Raises: InputError.
    """
    del state
    names = payload.sources
    if names and not SOURCES_MIN <= len(names) <= SOURCES_MAX:
        raise InputError(f"a rate needs {SOURCES_MIN} to {SOURCES_MAX} sources, or none", code=BAD_PRICES)
    if len(set(names)) < len(names) or not all(map(NAME.fullmatch, names)):
        raise InputError("name each source once, in 1 to 40 letters, digits and . _ -", code=BAD_PRICES)


def prices_told(turn: Turn, payload: PricesTold) -> None:
    """Take prices in."""
    turn.state.rates.tell(payload.prices, turn.at_ms)


def check_told(state: State, payload: PricesTold) -> None:
    """Refuse what is no price, is nobody's who counts, or was told before.

    Raises: InputError.
    """
    book = state.rates
    named = [one.source for one in payload.prices]
    if not named or len(set(named)) < len(named):
        raise InputError("prices are told of one source each", code=BAD_PRICES)
    for one in payload.prices:
        if one.source not in book.sources:
            raise InputError(f"prices of {one.source[:40]!r} do not count here", code=BAD_PRICES)
        if not 0 < one.usd_micro_per_ath <= PRICE_MAX:
            line = f"{one.source} tells {one.usd_micro_per_ath} micro-USD for an ATH, which is no price"
            raise InputError(line, code=BAD_PRICES)
        known = book.told.get(one.source)
        if one.at_ms < 0 or (known and one.at_ms <= known[-1][0]):
            raise InputError(f"{one.source} told of this moment or a later one before", code=BAD_PRICES)


def confirmed(turn: Turn, payload: RateConfirmed) -> None:
    """Measure moves from the price there is now."""
    del payload
    turn.state.rates.confirm(turn.at_ms)


def check_confirmed(state: State, payload: RateConfirmed) -> None:
    """Refuse to confirm another price than the one there is.

    Raises: ConflictError.
    """
    price = state.rates.price
    if not price or payload.usd_micro_per_ath != price:
        known = f"the price is {price} micro-USD per ATH" if price else "there is no price yet"
        raise ConflictError(f"{known}, not {payload.usd_micro_per_ath}; read it again", code=NOT_OURS)


def check_observed(state: State, payload: RateObserved) -> None:
    """Refuse a rate that does not follow from what the sources told, where any are named.

    Raises: InputError.
    """
    book = state.rates
    if book.sources and payload.wei_per_usd_micro != due(state):
        raise InputError("the rate is not the one that its sources make", code=NOT_OURS)


def due(state: State) -> int:
    """The rate that follows from the last price there was; the present one where there was none."""
    price = state.rates.price
    return wei_per_usd_micro(price) if price else state.world.wei_per_usd_micro


def require_fresh(state: State, at_ms: int) -> None:
    """Refuse to price anything by a rate that is too old.

    Raises: InputError.
    """
    if state.rates.refuses(at_ms):
        line = "the exchange rate is older than a day, since too few of its sources answer; try again later"
        raise InputError(line, code=TOO_OLD)


def may_promise(state: State, at_ms: int) -> bool:
    """Whether new promises may be sold: the price neither moved too far nor is too old."""
    return not state.rates.paused_ms and not state.rates.refuses(at_ms)


def view(state: State, at_ms: int) -> RateView:
    """How the rate stands."""
    book, rate = state.rates, state.world.wei_per_usd_micro
    return RateView(
        wei_per_usd_micro=str(rate),
        usd_micro_per_ath=(book.sources and book.price) or WEI_PER_ATH // rate,
        fixed=not book.sources,
        at_ms=book.at_ms if book.sources else 0,
        stale=book.is_stale(at_ms),
        quotes_refused=book.refuses(at_ms),
        promises_paused=bool(book.paused_ms),
        paused_ms=book.paused_ms,
        reference_usd_micro_per_ath=book.reference(at_ms),
        sources=tuple(
            SourceView(
                source=source,
                usd_micro_per_ath=book.value(source, at_ms),
                told_ms=book.told[source][-1][0] if source in book.told else 0,
            )
            for source in book.sources
        ),
    )
