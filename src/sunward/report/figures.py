"""Figures as people read them. Only for reading: nothing is ever calculated on from these."""

from __future__ import annotations

from sunward.units import HOUR_MS, J_PER_KWH, MG_PER_G, MICRO, MINUTE_MS, PPM, WEI_PER_ATH

MINUS = "\N{MINUS SIGN}"
_SMALL = 10


def kwh(energy_j: int) -> str:
    """Energy in kWh."""
    return _decimal(energy_j / J_PER_KWH)


def grams(amount_mg: int) -> str:
    """Mass in grams."""
    return _decimal(amount_mg / MG_PER_G)


def usd(amount_usd_micro: int) -> str:
    """Money in USD, to a tenth of a cent."""
    return f"{amount_usd_micro / MICRO:,.3f}"


def ath(amount_wei: int) -> str:
    """ATH to six places, rounded towards zero; the sign stands outside."""
    whole, rest = divmod(abs(amount_wei), WEI_PER_ATH)
    return f"{MINUS if amount_wei < 0 else ''}{whole:,}.{rest * MICRO // WEI_PER_ATH:06d}"


def ratio(value_ppm: int) -> str:
    """A ratio such as overhead, to two places."""
    return f"{value_ppm / PPM:.2f}"


def change(value_ppm: int) -> str:
    """A signed share in whole percent."""
    percent = round(100 * value_ppm / PPM)
    return f"{MINUS if percent < 0 else '+' if percent > 0 else ''}{abs(percent)} %"


def clock(at_ms: int) -> str:
    """Time of day, UTC."""
    return f"{at_ms // HOUR_MS % 24:02d}:{at_ms % HOUR_MS // MINUTE_MS:02d}"


def _decimal(value: float) -> str:
    return f"{value:,.3f}" if abs(value) < _SMALL else f"{value:,.1f}"
