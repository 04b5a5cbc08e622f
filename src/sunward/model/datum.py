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
    CARBON_MARGINAL = "carbon_marginal"
    """mgCO2e/kWh, marginal; may steer, never accounts."""
    PRICE = "price"
    """micro-USD/kWh."""
