"""Where a value came from."""

from __future__ import annotations

from enum import StrEnum


class Quality(StrEnum):
    """How a datum was obtained, best first."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    FORECAST = "forecast"
    PUBLISHED = "published"
    MODELLED = "modelled"


class SeriesKind(StrEnum):
    """What a dated series of a zone tells; values are integers in the unit named."""

    CARBON_AVERAGE_LIFECYCLE = "carbon_average_lifecycle"
    """mgCO2e/kWh, average, life-cycle, consumption-based."""
    CARBON_AVERAGE_DIRECT = "carbon_average_direct"
    """mgCO2e/kWh, average, direct emissions of generation only; shown, never mixed with life-cycle figures."""
    CARBON_MARGINAL = "carbon_marginal"
    """mgCO2e/kWh, marginal; may steer, never accounts."""
    PRICE = "price"
    """micro-USD/kWh."""
    WET_BULB = "wet_bulb"
    """Thousandths of a degree Celsius, of the outside air."""
