"""What a job is quoted and what is set aside for it; both round up, so a job that goes as quoted is never short."""

from __future__ import annotations

from sunward import units


def quote_usd_micro(containers: int, run_ms: int, ask_usd_micro_per_gpu_h: int) -> int:
    """Price in micro-USD of a run time on a number of containers."""
    return -(-containers * run_ms * ask_usd_micro_per_gpu_h // units.HOUR_MS)


def escrow_for(price_usd_micro: int, wei_per_usd_micro: int, margin_bps: int) -> int:
    """Wei to set aside for a price, with a margin for a longer run or another rate."""
    return -(-price_usd_micro * wei_per_usd_micro * (units.BPS + margin_bps) // units.BPS)
