"""What plans are made by may change while the network runs: weights of tenants, prices of water and of moving data."""

from __future__ import annotations

from dataclasses import replace

from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import InputError
from sunward.model.events import PolicySet

BAD_POLICY = "SW-710"
WEIGHT_MAX = 1_000_000
MOST = {
    "water_price_usd_micro_per_l": 10**9,
    "transfer_usd_micro_per_gb": 10**9,
    "transfer_wh_per_gb": 10**6,
    "switch_ms": 10**9,
    "finish_margin_ms": 10**9,
    "hysteresis_ppm": 10**6,
    "delay_ppm_per_h": 10**6,
}
"""Largest figures: far above any need, and small enough that no score overflows 64 bits."""


def check_policy(state: State, payload: PolicySet) -> None:
    """Refuse a policy that no plan could be made by, or that changes the slots that plans are told in.

    Raises: InputError.
    """
    new, old = payload.policy, state.world.network.policy
    if (new.slot_ms, new.slots) != (old.slot_ms, old.slots):
        raise InputError("the slots of plans stay as the network started with them", code=BAD_POLICY)
    for name, most in MOST.items():
        if not 0 <= getattr(new, name) <= most:
            raise InputError(f"{name} must be 0 to {most}, not {getattr(new, name)}", code=BAD_POLICY)
    named = [tenant for tenant, _ in new.tenant_shares]
    if named != sorted(set(named)):
        raise InputError("tenant_shares names each tenant once, in alphabetical order", code=BAD_POLICY)
    for tenant, weight in new.tenant_shares:
        if not tenant or not 1 <= weight <= WEIGHT_MAX:
            raise InputError(f"the weight of {tenant[:80]!r} must be 1 to {WEIGHT_MAX}, not {weight}", code=BAD_POLICY)


def policy_set(turn: Turn, payload: PolicySet) -> None:
    """Plan by the new policy from now on; what runs is touched only as any new plan would."""
    turn.world.rules = replace(turn.world.network, policy=payload.policy)
    turn.request_plan("policy")
