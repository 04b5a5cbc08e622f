"""The control loop of the offset share (DESIGN §9; docs/settlement.md)."""

from __future__ import annotations

from sunward import units
from sunward.model.events import NetworkStarted


def next_share_bps(
    rules: NetworkStarted,
    share_bps: int,
    *,
    liability_mg: int,
    held_wei: int,
    forecast_flow_wei: int,
    wei_per_usd_micro: int,
) -> int:
    """Share of job payments that goes to carbon credits in the next epoch.

    `liability_mg` is all that is not yet covered by retired credits, `held_wei` what is already set aside for them.
    """
    wanted = _wanted_bps(rules, liability_mg, held_wei, forecast_flow_wei, wei_per_usd_micro)
    target = max(rules.offset_floor_bps, min(wanted, rules.offset_ceiling_bps))
    step = rules.offset_step_bps
    return max(share_bps - step, min(target, share_bps + step))


def _wanted_bps(
    rules: NetworkStarted, liability_mg: int, held_wei: int, forecast_flow_wei: int, wei_per_usd_micro: int
) -> int:
    with_margin = rules.offset_price_usd_micro_per_t * (units.BPS + rules.offset_margin_bps)
    need_wei = -(-liability_mg * with_margin * wei_per_usd_micro // (units.MG_PER_T * units.BPS))
    deficit_wei = max(0, need_wei - held_wei)
    if forecast_flow_wei > 0:
        return -(-deficit_wei * units.BPS // forecast_flow_wei)
    return rules.offset_ceiling_bps if deficit_wei else rules.offset_floor_bps
