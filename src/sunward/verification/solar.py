"""The most that a solar plant can feed in at a place in an hour: clear sky times nameplate.

Position of the sun and clear sky are pvlib's, which is loaded only here; without it nothing is bounded, and that
is said. Everything is taken at its best for the plant: the clearest and driest air, modules that always face the
sun, snow around them, cold cells, the best spot within the stated radius, a clock that is off.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sunward.errors import SourceError
from sunward.verification.coefficients import value
from sunward.verification.exact import MILLION, MS_IN_HOUR, MS_IN_SECOND
from sunward.verification.tolerance import factor
from sunward.verification.verdict import Finding

NO_PVLIB = "SW-750"
STEP_MS = 300_000
HOURS_A_YEAR = 8_766
KM_PER_DEGREE = 111.2
"""Of a great circle of the Earth."""
STANDARD_W_PER_M2 = 1_000.0
"""Irradiance of the conditions that nameplates are stated for (IEC 60904-3)."""
METER_WH = 1
"""Production is told in whole Wh."""

SOLAR_HIGH = (
    "plant {plant} tells {found_wh} Wh of sun in the hour of {hour_ms}; {limit_wh} Wh is the most there and then"
)


def solar_findings(
    plant: str,
    *,
    lat: float,
    lon: float,
    radius_km: float,
    hour_ms: int,
    nameplate_w: int,
    found_wh: int,
    uncertainty_ppm: int,
) -> tuple[Finding, ...]:
    """Whether a plant can have produced that in the hour that starts at `hour_ms`.

    Raises: SourceError (SW-750) where pvlib is not installed.
    """
    most_wh = solar_most_wh(lat, lon, radius_km, hour_ms, nameplate_w)
    limit_wh = most_wh * (1.0 + factor(HOURS_A_YEAR) * uncertainty_ppm / MILLION) + METER_WH
    if found_wh <= limit_wh:
        return ()
    figures: dict[str, str | int] = {"plant": plant, "found_wh": found_wh, "hour_ms": hour_ms}
    return (Finding(key="solar_high", sentence=SOLAR_HIGH, figures=figures | {"limit_wh": round(limit_wh)}),)


def solar_most_wh(lat: float, lon: float, radius_km: float, hour_ms: int, nameplate_w: int) -> float:
    """Upper bound on an hour's energy of a plant somewhere within a radius of a place.

    Raises: SourceError (SW-750) where pvlib is not installed.
    """
    skew_ms = int(value("clock_skew_ms"))
    moments_ms = np.arange(hour_ms - skew_ms, hour_ms + MS_IN_HOUR + skew_ms, STEP_MS, dtype=np.int64)
    share = np.sort(_share(lat, lon, radius_km, moments_ms))
    # The clock may be off by the skew either way: the best hour's worth of moments counts.
    best = share[-(MS_IN_HOUR // STEP_MS) :]
    return float(best.mean()) * nameplate_w


def _share(lat: float, lon: float, radius_km: float, moments_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Power over nameplate at its highest, at each moment."""
    pvlib = _pvlib()
    position = pvlib.spa.solar_position_numpy(
        moments_ms / MS_IN_SECOND, lat, lon, 0.0, value("pressure_hpa"), 0.0, value("delta_t_s"), 0.5667, numthreads=1
    )
    elevation = np.minimum(90.0, position[2] + (radius_km / KM_PER_DEGREE))
    extra = pvlib.irradiance.get_extra_radiation(_day_of_year(moments_ms))
    sky = pvlib.clearsky.simplified_solis(
        np.maximum(elevation, value("low_sun_deg")),
        aod700=value("aerosol_depth"),
        precipitable_water=value("water_cm"),
        pressure=value("pressure_hpa") * 100.0,
        dni_extra=extra,
    )
    # The direct beam on a face that follows the sun, the whole diffuse sky, and half of what the snow throws back.
    plane = sky["dni"] + sky["dhi"] + value("snow_albedo") / 2.0 * sky["ghi"]
    lit = plane / STANDARD_W_PER_M2 * value("cold_gain") * value("cloud_edge_gain")
    dusk = np.where(elevation > value("dusk_deg"), value("dusk_frac"), 0.0)
    return np.minimum(np.where(elevation > 0.0, lit + dusk, dusk), value("nameplate_most"))


def _day_of_year(moments_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    days = moments_ms.astype("datetime64[ms]").astype("datetime64[D]")
    since_new_year: NDArray[np.int64] = (days - days.astype("datetime64[Y]")).astype(np.int64)
    return since_new_year + 1


@cache
def _pvlib() -> Any:  # noqa: ANN401 - it has no types
    try:
        import pvlib  # noqa: PLC0415 - heavy, and only those who audit supply need it
    except ImportError:
        raise SourceError(
            "on-site sun is not checked against the sky: pip install 'sunward[audit]'", transient=False, code=NO_PVLIB
        ) from None
    return pvlib
