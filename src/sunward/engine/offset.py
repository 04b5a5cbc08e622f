"""Credits as events: orders at the close of an epoch, what registries say of them, and what follows for the books."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError
from sunward.model.calendar import YEAR_LAST, month_of
from sunward.model.credit_events import CreditRulesSet, CreditsOrdered, CreditsRefused, CreditsRetired
from sunward.model.credits import CreditOrder, EpochOffset, FilledOrder, OffsetView, RetiredCredits
from sunward.model.events import NetworkStarted
from sunward.model.granular import SiteSupply
from sunward.model.identity import mint
from sunward.model.receipt import Receipt
from sunward.report.statement import liability_mg
from sunward.settlement import credits as pure
from sunward.settlement.entries import movement
from sunward.settlement.ledger import OFFSET, RETIRED
from sunward.settlement.serials import SERIAL_MAX
from sunward.signals import zones
from sunward.units import BPS, KG_PER_T, MG_PER_KG, MICRO

NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
COUNTRY = re.compile(r"[A-Z]{2}")
WORDS_MAX = 200
METHODS_MAX, RANGES_MAX = 50, 1_000
YEARS_MAX = 20
PRICE_MAX = 10**5 * MICRO
"""Of a tonne: 100,000 USD."""
PAID_MAX = 10**15
BAD_RULES, NO_ORDER, BAD_CREDITS, USED = "SW-805", "SW-806", "SW-807", "SW-808"
CHANGED = "the rules name another registry now"


def rules_set(turn: Turn, payload: CreditRulesSet) -> None:
    """Buy by these rules from the next close on; an order that waits for another registry is taken back."""
    book = turn.state.credits
    if book.rules is None:
        book.since_ms = turn.state.epoch_start_ms
    book.rules = payload.rules
    for order in [one for one in book.open.values() if not one.sent_ms and one.registry != payload.rules.registry]:
        book.drop(order.order, CHANGED, turn.at_ms)


def check_rules(state: State, payload: CreditRulesSet) -> None:
    """Refuse rules that nothing could be bought by.

    Raises: InputError.
    """
    del state
    rules = payload.rules
    known = {zone.country for zone in zones.load().zones}
    wrong = {
        "a registry is named in 1 to 40 letters, digits and . _ -": not NAME.fullmatch(rules.registry),
        f"at most {METHODS_MAX} methods, each of 1 to {WORDS_MAX} printable characters": len(rules.methods)
        > METHODS_MAX
        or not all(map(_is_word, rules.methods)),
        "countries are known ones, by their two letters": not set(rules.countries) <= known,
        f"vintages of 0 to {YEARS_MAX} years": not 0 <= rules.vintage_years_max <= YEARS_MAX,
        "slippage lies in 0..10000 basis points": not 0 <= rules.slippage_bps <= BPS,
        "a tonne costs up to 100,000 USD": not 0 <= rules.price_usd_micro_per_t <= PRICE_MAX,
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"rules of credits: {wanted}", code=BAD_RULES)


def _is_word(text: str) -> bool:
    return 0 < len(text) <= WORDS_MAX and text.isprintable()


def priced(state: State) -> NetworkStarted:
    """The network's rules with the forecast price that counts now."""
    network, rules = state.world.network, state.credits.rules
    price = rules.price_usd_micro_per_t if rules is not None else 0
    return replace(network, offset_price_usd_micro_per_t=price) if price else network


def close(turn: Turn, receipts: Sequence[Receipt], supplied: Sequence[SiteSupply]) -> EpochOffset | None:
    """What the epoch that ends emitted and retired; what is left to answer for is ordered, as far as money goes."""
    state, book = turn.state, turn.state.credits
    if book.rules is None:
        return None
    book.emit(_by_country(receipts))
    sums = [sum(getattr(one, name) for one in receipts) for name in ("location_mg", "market_mg", "embodied_mg")]
    fresh_mg = liability_mg(*sums)
    _order(turn, state.liability_mg + fresh_mg)
    done = [one for one in book.filled if one.epoch == state.epoch]
    retired = tuple(each for one in done for each in one.credits)
    to_date_mg = state.liability_mg + fresh_mg + book.retired_kg * MG_PER_KG
    return EpochOffset(
        location_mg=sums[0],
        market_mg=sums[1],
        embodied_mg=sums[2],
        matched_wh=sum(sum(site.matched_wh) for site in supplied),
        residual_mg=fresh_mg + state.adjusted_liability_mg,
        retired_kg=sum(one.counted_kg for one in done),
        test_kg=sum(one.kg for one in retired if one.test),
        paid_wei=sum(one.paid_wei for one in done),
        credits=retired,
        residual_to_date_mg=to_date_mg,
        retired_to_date_kg=book.retired_kg,
        coverage_ppm=pure.coverage_ppm(book.retired_kg, to_date_mg),
    )


def _by_country(receipts: Sequence[Receipt]) -> dict[str, int]:
    """Location-based mg of receipts by the country in which they arose."""
    found: Counter[str] = Counter()
    table = zones.load()
    for line in (line for receipt in receipts for line in receipt.lines):
        found[table.zone(line.zone).country] += line.location_mg
    return dict(found)


def _order(turn: Turn, liability: int) -> None:
    """Order what can be paid and is not ordered yet."""
    state, book = turn.state, turn.state.credits
    rules = book.rules
    if rules is None:
        return
    rate = turn.world.wei_per_usd_micro
    price = priced(state).offset_price_usd_micro_per_t
    limit = pure.limit_usd_micro_per_t(price, rules.slippage_bps)
    if limit < 1:
        return
    spend_wei = state.ledger.balance(OFFSET) - book.held_wei
    kg = pure.wanted_kg(spend_wei, rate, limit, liability, sum(one.kg for one in book.open.values()))
    if kg < 1:
        return
    book.add(
        CreditOrder(
            order=mint("co", turn.world.network.network.encode(), state.epoch, turn.at_ms),
            epoch=state.epoch,
            at_ms=turn.at_ms,
            registry=rules.registry,
            kg=kg,
            price_usd_micro_per_t=price,
            limit_usd_micro_per_t=limit,
            wei_per_usd_micro=rate,
            held_wei=pure.held_for(kg, limit, rate),
            vintage_from=int(month_of(turn.at_ms)[:4]) - rules.vintage_years_max,
            methods=rules.methods,
            countries=rules.countries,
            start_ms=book.since_ms,
            end_ms=turn.at_ms,
            emitted=pure.by_country(book.emitted),
        )
    )


def ordered(turn: Turn, payload: CreditsOrdered) -> None:
    """Note that an order goes out."""
    book = turn.state.credits
    book.open[payload.order] = replace(book.open[payload.order], reference=payload.reference, sent_ms=turn.at_ms)


def check_ordered(state: State, payload: CreditsOrdered) -> None:
    """Refuse to send an order twice.

    Raises: ConflictError, InputError.
    """
    if _known(state, payload.order).sent_ms:
        raise ConflictError(f"order {payload.order} went out before; ask after it", code=NO_ORDER)
    if not _is_word(payload.reference):
        raise InputError("a reference has 1 to 200 printable characters", code=BAD_CREDITS)


def retired(turn: Turn, payload: CreditsRetired) -> None:
    """Pay for what was retired; what counts of it is no longer to answer for."""
    state = turn.state
    order = state.credits.open[payload.order]
    done = FilledOrder(
        order=order,
        at_ms=turn.at_ms,
        epoch=state.epoch,
        credits=payload.credits,
        paid_usd_micro=payload.paid_usd_micro,
        paid_wei=pure.paid_wei(order, payload.paid_usd_micro),
        counted_kg=pure.counted_kg(order, payload.credits),
        certificate=payload.certificate,
    )
    if done.paid_wei:
        sides = ((OFFSET, -done.paid_wei), (RETIRED, done.paid_wei))
        turn.post([movement(turn.origin(), 0, "retire", order.order, sides)])
    state.credits.fill(done)
    state.liability_mg -= done.counted_kg * MG_PER_KG


def check_retired(state: State, payload: CreditsRetired) -> None:
    """Refuse credits that cannot be, are more than was ordered, or were retired before.

    Raises: ConflictError, InputError.
    """
    order = _known(state, payload.order)
    if not order.sent_ms:
        raise ConflictError(f"order {payload.order} has not gone out", code=NO_ORDER)
    if not 0 < len(payload.credits) <= RANGES_MAX or not all(map(_can_be, payload.credits)):
        line = f"order {payload.order}: a range of serials has 1 to 1,000 kg each, a vintage and printable words"
        raise InputError(line, code=BAD_CREDITS)
    kg = sum(one.kg for one in payload.credits)
    if kg > order.kg:
        raise InputError(f"order {payload.order}: {kg} kg were retired, and {order.kg} ordered", code=BAD_CREDITS)
    if not 0 <= payload.paid_usd_micro <= PAID_MAX or len(payload.certificate) > 2 * WORDS_MAX:
        raise InputError(f"order {payload.order}: no price, or no certificate, that can be", code=BAD_CREDITS)
    again = state.credits.used_before(payload.credits)
    if again is not None:
        line = f"order {payload.order}: serials {again.first} to {again.last} of {again.registry} were retired before"
        raise ConflictError(line, code=USED)


def _can_be(one: RetiredCredits) -> bool:
    words = (one.method, one.project, one.serials)
    return (
        _is_word(one.registry)
        and 0 <= one.first <= one.last <= SERIAL_MAX
        and 0 < one.kg <= KG_PER_T * (one.last - one.first + 1)
        and 0 <= one.vintage <= YEAR_LAST
        and all(len(text) <= WORDS_MAX and text.isprintable() for text in words)
        and (not one.country or COUNTRY.fullmatch(one.country) is not None)
    )


def refused(turn: Turn, payload: CreditsRefused) -> None:
    """Free what was held for an order that came to nothing."""
    turn.state.credits.drop(payload.order, payload.reason, turn.at_ms)


def check_refused(state: State, payload: CreditsRefused) -> None:
    """Refuse to end an order that is not open, or without a reason.

    Raises: ConflictError, InputError.
    """
    _known(state, payload.order)
    if not _is_word(payload.reason):
        raise InputError("a reason has 1 to 200 printable characters", code=BAD_CREDITS)


def _known(state: State, order: str) -> CreditOrder:
    found = state.credits.open.get(order)
    if found is None:
        raise ConflictError(f"no order {order[:80]} is open", code=NO_ORDER)
    return found


def view(state: State) -> OffsetView:
    """How offset account, orders and coverage stand."""
    book = state.credits
    to_date_mg = state.liability_mg + book.retired_kg * MG_PER_KG
    coverage = pure.coverage_ppm(book.retired_kg, to_date_mg)
    every = [each for one in book.filled for each in one.credits]
    return OffsetView(
        share_bps=state.offset_share_bps,
        account_wei=str(state.ledger.balance(OFFSET)),
        held_wei=str(book.held_wei),
        spent_wei=str(state.ledger.balance(RETIRED)),
        liability_mg=state.liability_mg,
        residual_to_date_mg=to_date_mg,
        retired_to_date_kg=book.retired_kg,
        test_to_date_kg=sum(one.kg for one in every if one.test),
        coverage_ppm=coverage,
        sentence=pure.sentence(coverage),
        rules=book.rules,
        open=tuple(book.open.values()),
        filled=tuple(reversed(book.filled)),
        refused=tuple(reversed(book.refused)),
    )
