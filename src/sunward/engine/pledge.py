"""What of an owner's stake answers for the promises it sold: who cannot pay for a failure sells none."""

from __future__ import annotations

from collections.abc import Iterable

from sunward.engine.state import State
from sunward.model.reserve import Promise, ReserveRules
from sunward.settlement.reserve import premium_usd_micro
from sunward.units import PPM


def fine_usd_micro(rules: ReserveRules, one: Promise, span_ms: int) -> int:
    """What a failure costs beside the premium of an epoch that is not paid."""
    return premium_usd_micro(one.containers, span_ms, one.premium_usd_micro_per_h) * rules.fine_ppm // PPM


def pledged_wei(state: State, owner: str, more: Iterable[Promise] = ()) -> int:
    """Stake that sold promises of an owner ask for, and some more: a fine of each, at what ATH counts for.

    Otherwise whoever sells to himself and fails would be paid by the vault. Without rules of staking nobody is fined.
    """
    world = state.world
    rules = world.reserve.rules
    if rules is None or state.stakes.rules is None:
        return 0
    sold = [one for one in world.reserve.promises.values() if one.tenant and one.owner == owner]
    usd = sum(fine_usd_micro(rules, one, world.network.epoch_ms) for one in (*sold, *more))
    return usd * world.wei_per_usd_micro * PPM // rules.haircut_ppm
