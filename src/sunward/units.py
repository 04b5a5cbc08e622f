"""Units, and the only place where one is turned into another.

Physics is float64 and its names end in the unit; whatever is recorded or owed is an integer
(J, mg, ml, micro-USD, wei, ms, ppm). Each conversion to an integer has one named rounding.
"""

from __future__ import annotations

from typing import NewType

Watt = NewType("Watt", float)
Kwh = NewType("Kwh", float)
GCo2e = NewType("GCo2e", float)
GCo2ePerKwh = NewType("GCo2ePerKwh", float)
Usd = NewType("Usd", float)
UsdPerKwh = NewType("UsdPerKwh", float)
Litre = NewType("Litre", float)
Second = NewType("Second", float)
Frac = NewType("Frac", float)

Joule = NewType("Joule", int)
MgCo2e = NewType("MgCo2e", int)
UsdMicro = NewType("UsdMicro", int)
Wei = NewType("Wei", int)
Ms = NewType("Ms", int)

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
HOUR_S = 3_600
NS_PER_MS = 1_000_000
NS_PER_US = 1_000
J_PER_KWH = 3_600_000
J_PER_WH = 3_600
WH_PER_KWH = 1_000
WH_PER_MWH = 1_000_000
MG_PER_G = 1_000
MG_PER_KG = 1_000_000
MG_PER_T = 1_000_000_000
G_PER_KG = 1_000
KG_PER_T = 1_000
ML_PER_L = 1_000
L_PER_M3 = 1_000
MILLIJOULE_PER_J = 1_000
MILLIWATT_PER_W = 1_000
W_PER_KW = 1_000
KWH_PER_MWH = 1_000
G_PER_LB = 453.59237
"""The international avoirdupois pound, exact."""
MILLI_PER_UNIT = 1_000
MICRO = 1_000_000
NANO = 1_000_000_000
PPM = 1_000_000
GIGA = 10**9
TERA = 10**12
BPS = 10_000
WEI_PER_ATH = 10**18
BYTES_PER_KIB = 2**10
BYTES_PER_GIB = 2**30


def joules(power_w: float, duration_ms: float) -> float:
    """Energy in J of a constant power over a time."""
    return power_w * duration_ms / SECOND_MS


def kwh(energy_j: float) -> Kwh:
    """Energy in kWh."""
    return Kwh(energy_j / J_PER_KWH)


def hours(duration_ms: float) -> float:
    """Time in hours."""
    return duration_ms / HOUR_MS


def floor_to(at_ms: int, step_ms: int) -> int:
    """The start of the step that holds `at_ms`."""
    return at_ms - at_ms % step_ms


def ceil_to(at_ms: int, step_ms: int) -> int:
    """The first step boundary at or after `at_ms`."""
    return -(-at_ms // step_ms) * step_ms


def round_half_up(numerator: int, denominator: int) -> int:
    """Nearest integer of a ratio of integers, halves up; the rounding of every recorded physical amount.

    Raises: ZeroDivisionError when the denominator is 0.
    """
    return (2 * numerator + denominator) // (2 * denominator)


def emissions_mg(energy_j: int, intensity_mg_per_kwh: int) -> int:
    """Emissions in mgCO2e of an energy at an intensity, rounded half up."""
    return round_half_up(energy_j * intensity_mg_per_kwh, J_PER_KWH)


def price_usd_micro(gpu_ms: int, ask_usd_micro_per_gpu_h: int) -> int:
    """Price in micro-USD of metered GPU time, rounded down (in the payer's favour)."""
    return gpu_ms * ask_usd_micro_per_gpu_h // HOUR_MS
