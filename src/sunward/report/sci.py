"""Software Carbon Intensity: ((E · I) + M) per R, after ISO/IEC 21031."""

from __future__ import annotations

from sunward.units import round_half_up


def sci_mg_per_unit(location_mg: int, embodied_mg: int, units: int, functional_unit: str) -> int | None:
    """The SCI in mgCO2e per functional unit, rounded half up; None without a declared unit or any unit done.

    E · I is the location-based operational carbon with overhead, M the embodied carbon of the leased time.
    Certificates, credits and offsets have no place in it, so none can be passed.
    """
    if not functional_unit or units <= 0:
        return None
    return round_half_up(location_mg + embodied_mg, units)
