"""What the reserve is worth and what it owes: values of the state, changed by nothing here."""

from __future__ import annotations

from sunward.engine.state import State
from sunward.errors import ConflictError
from sunward.model.reserve import Promise, ReserveRules
from sunward.settlement.ledger import RESERVE
from sunward.settlement.rate import wei_per_usd_micro
from sunward.settlement.reserve import (
    Obligation,
    Prices,
    Vault,
    coverage_ppm,
    liability_usd_micro,
    value_usd_micro,
)

BAD_RULES = "SW-810"


def require_rules(state: State) -> ReserveRules:
    """The rules of the reserve. Raises: ConflictError where none are set."""
    rules = state.world.reserve.rules
    if rules is None:
        line = "this network has no reserve; an operator sets its rules with `sunward reserve rules`"
        raise ConflictError(line, code=BAD_RULES)
    return rules


def obligation(one: Promise, at_ms: int) -> Obligation:
    """What a sold promise may still cost."""
    return Obligation(
        promise=one.promise,
        containers=one.containers,
        left_ms=max(0, one.end_ms - max(one.start_ms, at_ms)),
        replacement_usd_micro_per_h=one.replacement_usd_micro_per_h,
        premium_usd_micro_per_h=one.premium_usd_micro_per_h,
    )


def obligations(state: State) -> list[Obligation]:
    """What every sold promise may still cost, in the order they were sold."""
    book, at_ms = state.world.reserve, state.world.at_ms
    found = sorted((one for one in book.promises.values() if one.tenant), key=lambda one: (one.sold_ms, one.promise))
    return [obligation(one, at_ms) for one in found]


def prices(state: State) -> Prices:
    """What the vault's holdings count for now."""
    world, rules = state.world, require_rules(state)
    low = state.rates.low(world.at_ms)
    most = max(world.wei_per_usd_micro, wei_per_usd_micro(low) if low else 0)
    return Prices(
        usd_held_micro=world.reserve.usd_held_micro,
        wei_per_usd_micro=world.wei_per_usd_micro,
        wei_per_usd_micro_max=world.reserve.cheapest(world.at_ms, most),
        haircut_ppm=rules.haircut_ppm,
    )


def value_of(state: State) -> int:
    """What the vault is worth, micro-USD."""
    return value_usd_micro(state.ledger.balance(RESERVE), prices(state))


def liability_of(state: State) -> int:
    """What is owed and may become so, micro-USD."""
    return liability_usd_micro(penalties_of(state), obligations(state))


def penalties_of(state: State) -> int:
    """Penalties due and not paid, micro-USD; those whose verdict may still fall among them."""
    return sum(one.usd_micro for one in state.world.reserve.penalties.values())


def coverage_of(state: State) -> int | None:
    """Value over liability, ppm; none where nothing is owed."""
    return coverage_ppm(value_of(state), liability_of(state))


def vault(state: State) -> Vault:
    """The vault as it stands."""
    book = state.world.reserve
    return Vault(held_wei=state.ledger.balance(RESERVE), shares=book.shares, dead_shares=book.dead_shares)
