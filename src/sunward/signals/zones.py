"""The grid zones that are known, and what is known of each without its typical year."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.model.identity import ZoneId
from sunward.units import GCo2ePerKwh

EARTH_RADIUS_KM = 6_371.0088
"""Mean radius of the Earth (IUGG)."""
NEAR_MISSES = 3
LATITUDE_MAX = 90.0
LONGITUDE_MAX = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One grid zone and where its typical year comes from."""

    zone: ZoneId
    country: str
    """ISO 3166-1 alpha-2."""
    name: str
    lat: float
    lon: float
    tz: str
    aggregate: bool
    """True for a country that is also split into finer zones here; never guessed from a place."""
    carbon_quality: Quality
    carbon_source: str
    carbon_donors: tuple[ZoneId, ...]
    """The zones whose mean shape is used; the zone itself when it has its own hourly history."""
    carbon_shifts_h: tuple[int, ...]
    """Hours added to UTC when reading each donor's shape."""
    carbon_mean_mgco2e_per_kwh: int
    """Yearly mean, average, life-cycle."""
    low_carbon_share: float
    """Renewable and nuclear share of the electricity used, 0..1."""
    fossil_gco2e_per_kwh: GCo2ePerKwh
    """Factor of the fossil part alone, for a missing residual mix; modelled, errs high."""
    flat_share: float
    """Share of hours the published series does not move; NaN for modelled zones."""
    price_quality: Quality
    price_source: str
    price_donor: ZoneId
    price_mean_usd_micro_per_kwh: int
    price_shift_h: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """All packaged zones, and the row of each in any table of zones."""

    zones: tuple[Zone, ...]
    rows: Mapping[str, int]

    def row(self, zone_id: str) -> int:
        """Row of a zone in the arrays.

        Raises: InputError for an unknown zone, naming the nearest spellings.
        """
        row = self.rows.get(zone_id)
        if row is None:
            raise InputError(f"unknown grid zone '{zone_id}'{near_miss(zone_id, self.rows)}")
        return row

    def zone(self, zone_id: str) -> Zone:
        """What is known of a zone.

        Raises: InputError for an unknown zone.
        """
        return self.zones[self.row(zone_id)]

    def nearest_zone(self, lat: float, lon: float, country: str | None = None) -> Zone:
        """The zone whose reference point is nearest on the great circle, within `country` when given.

        A guess from coordinates, never proof of place. Raises: InputError when no zone qualifies.
        """
        if not (abs(lat) <= LATITUDE_MAX and abs(lon) <= LONGITUDE_MAX):
            raise InputError(f"no such place: latitude {lat}, longitude {lon}; give degrees, -90..90 and -180..180")
        candidates = [zone for zone in self.zones if country in {None, zone.country}]
        fine = [zone for zone in candidates if not zone.aggregate] or candidates
        if not fine:
            raise InputError(f"no grid zone known in country '{country}'; give an ISO 3166-1 alpha-2 code such as DE")
        return min(fine, key=lambda zone: (distance_km(lat, lon, zone.lat, zone.lon), zone.zone))


def near_miss(word: str, known: Iterable[str]) -> str:
    """The tail of an error line: the nearest known spellings, or where to find them all."""
    by_fold = {name.casefold(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.casefold(), by_fold, n=NEAR_MISSES, cutoff=0.6)
    if close:
        return "; did you mean " + ", ".join(by_fold[name] for name in close) + "?"
    return f"; {len(by_fold)} are known, such as " + ", ".join(list(by_fold.values())[:NEAR_MISSES])


def distance_km(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance of two places in km, on a sphere.

    Source: haversine formula.
    """
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half_lat = math.sin((phi_b - phi_a) / 2) ** 2
    half_lon = math.sin(math.radians(lon_b - lon_a) / 2) ** 2
    chord = min(1.0, half_lat + math.cos(phi_a) * math.cos(phi_b) * half_lon)
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(chord))


@cache
def load() -> Zones:
    """The packaged zones; read once."""
    file = resources.files("sunward.signals") / "data" / "climatology" / "zones.csv"
    zones = tuple(_zone(record) for record in csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    return Zones(zones=zones, rows={str(zone.zone): row for row, zone in enumerate(zones)})


def _zone(record: Mapping[str, str]) -> Zone:
    return Zone(
        zone=ZoneId(record["zone"]),
        country=record["country"],
        name=record["name"],
        lat=float(record["lat"]),
        lon=float(record["lon"]),
        tz=record["tz"],
        aggregate=record["aggregate"] == "1",
        carbon_quality=Quality(record["carbon_quality"]),
        carbon_source=record["carbon_source"],
        carbon_donors=tuple(ZoneId(donor) for donor in record["carbon_donors"].split()),
        carbon_shifts_h=tuple(int(shift_h) for shift_h in record["carbon_shifts_h"].split()),
        carbon_mean_mgco2e_per_kwh=int(record["carbon_mean_mgco2e_per_kwh"]),
        low_carbon_share=float(record["low_carbon_share"]),
        fossil_gco2e_per_kwh=GCo2ePerKwh(float(record["fossil_gco2e_per_kwh"])),
        flat_share=float(record["flat_share"] or "nan"),
        price_quality=Quality(record["price_quality"]),
        price_source=record["price_source"],
        price_donor=ZoneId(record["price_donor"]),
        price_mean_usd_micro_per_kwh=int(record["price_mean_usd_micro_per_kwh"]),
        price_shift_h=int(record["price_shift_h"]),
    )
