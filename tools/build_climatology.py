"""Build the packaged typical years from the raw hourly and yearly tables.

Run: SUNWARD_DATA=../shared python tools/build_climatology.py
Only statistics of 2021-2023 are written, never a raw series. Sums are exact integers and the files are
uncompressed, so the same input gives the same bytes on every machine.

Rules:
- hourly zones: p10, p50, p90 (nearest rank), mean and standard deviation by month and UTC hour;
- other countries: yearly level from the same release of Electricity Maps (2024, life-cycle), else the mean of
  Ember's 2021-2023 figures; shape: mean of the three covering zones nearest by `donor_distance`. Leaving each covering
  zone out in turn, its shape is then off by 11 % of its mean (one donor: 13 %; no shape: 13 %);
- prices: own hourly market, else Ember's daily wholesale mean, else the nearest market of the same country,
  else the industrial price, else a stated default; shape from the nearest market of the same country, else
  from the market nearest in latitude;
- fossil factor: yearly mean / (1 - low-carbon share), clipped to [490, 1000] gCO2e/kWh. The whole mean is laid on
  the fossil part, so it errs high. 490 and 1000 bound the medians of gas and of old coal plants.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from sunward.signals.climatology import CARBON_STEP_MG, HOURS, MONTHS
from sunward.signals.zones import distance_km
from sunward.units import MG_PER_G, MICRO

Int64Array: TypeAlias = npt.NDArray[np.int64]
Record: TypeAlias = dict[str, Any]
Hours: TypeAlias = tuple[tuple[str, ...], Int64Array, Int64Array, Int64Array]
Levels: TypeAlias = dict[str, tuple[float, bool]]

FIRST_YEAR, LAST_YEAR = 2021, 2023
CELLS = MONTHS * HOURS
KWH_PER_MWH = 1_000
PERCENT = 100.0
DEGREES_PER_HOUR = 15.0
QUANTILES_PERCENT = (10, 50, 90)
CELL_SAMPLES_MIN = 20

EUR_USD = {2021: 1.183, 2022: 1.053, 2023: 1.081}
"""Yearly rates; those the hourly price table was converted with."""
DEFAULT_PRICE_USD_MICRO_PER_KWH = 100_000
"""Stated default of 0.10 USD/kWh where a country has no price figure at all."""
FOSSIL_MIN, FOSSIL_MAX = 490.0, 1_000.0
FOSSIL_SHARE_MIN = 0.05
"""Below this fossil share the quotient says nothing; the clip decides."""

COVERING_ALIASES = {"CL-SEN": "CL"}
"""Zones that are their whole country although their name says otherwise."""
MAIN_PARTS = frozenset({"GB", "MY"})
"""Zones with finer zones beside them that stand for the rest, not for the whole country."""
DONORS = 3
DONOR_FLAT_SHARE_MAX = 0.10
LAT_SCALE_DEG, LOW_CARBON_SCALE, SOLAR_SCALE, WIND_SCALE = 15.0, 0.25, 0.05, 0.10
"""Differences that count as one step away when a donor is chosen."""
HOME_ONLY_MARKETS = frozenset({"BR-CS", "US-TEX-ERCO"})
"""Markets that lend no shape abroad: one pinned at its floor, one whose mean is a single winter storm."""

SOURCE_HOURLY = "Electricity Maps 2021-2023 (release 2025-01-27), life-cycle, consumption-based; typical year"
SOURCE_YEARLY = (
    "Electricity Maps 2024 yearly mean (release 2025-01-27), life-cycle, consumption-based; shape of {donor}"
)
SOURCE_EMBER = "Ember 2021-2023 mean, life-cycle, production-based; shape of {donor}"
PRICE_HOURLY = "hourly wholesale market 2021-2023; typical year"
PRICE_EMBER = "Ember wholesale mean 2021-2023; shape of {donor}"
PRICE_SAME_COUNTRY = "wholesale market of {donor}, the nearest of the same country, 2021-2023"
PRICE_INDUSTRIAL = "industrial price ({source}); shape of {donor}"
PRICE_DEFAULT = "stated default of 0.10 USD/kWh; shape of {donor}"

NOTICE = """# Notice

The files in this folder are a database derived from the sources below and are offered under the
Open Data Commons Open Database License (ODbL) 1.0, <https://opendatacommons.org/licenses/odbl/1-0/>.
The program around them has its own licence.

They hold statistics only (means, standard deviations, percentiles by month and hour); no hourly series.

- Carbon intensity: Electricity Maps (2025). {country} {year} hourly Carbon Intensity Data (Version January 27,
  2025). https://www.electricitymaps.com. ODbL 1.0. Countries: every zone in `zones.csv` whose `carbon_source` says
  so; years 2021-2023, and the 2024 yearly mean where it says so.
- Yearly carbon intensity and shares of other countries, daily European wholesale prices: Ember, CC-BY-4.0; by
  way of Our World in Data, CC-BY-4.0.
- Industrial prices: Eurostat, CC-BY-4.0; United States: EIA, public domain.
- Hourly prices: EPEX SPOT and OMIE by way of RTE and ENTSO-E, AEMO, ONS/CCEE, IESO, CEN, CAISO, NYISO, ERCOT.
- Places: Natural Earth, public domain; GeoNames, CC-BY-4.0.

Changes: converted to integers, averaged by month and hour, filled by donor shapes where `quality` is `modelled`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Typical years of the zones that have hourly values.

    Shapes: quantiles (3, zones, 12, 24), mean and std (zones, 12, 24), total_mean (zones,).
    """

    zones: tuple[str, ...]
    quantiles: Int64Array
    mean: Int64Array
    std: Int64Array
    total_mean: Int64Array

    def mean_of(self, zone: str) -> int:
        """Mean over all hours of one zone."""
        return int(self.total_mean[self.zones.index(zone)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the choice of donors needs to know of a zone."""

    zone: str
    country: str
    name: str
    lat: float
    lon: float
    tz: str
    aggregate: bool
    low_carbon: float
    solar: float
    wind: float
    flat_share: float | None


def read(data: Path, name: str) -> list[Record]:
    """All rows of one table."""
    rows: list[Record] = pq.read_table(data / f"{name}.parquet").to_pylist()
    return rows


def hourly(data: Path, name: str, column: str, steps: float, step: int) -> Hours:
    """Zone names and, for each hour of 2021-2023, zone number, cell (month x 24 + hour) and integer value.

    One unit of the column is `steps` steps of size `step`: values are snapped to the published resolution.
    """
    table = pq.read_table(data / f"{name}.parquet", columns=["zone", "ts_utc", column])
    stamps = table.column("ts_utc").to_numpy().astype("datetime64[h]")
    keep = (stamps >= np.datetime64(f"{FIRST_YEAR}-01-01")) & (stamps < np.datetime64(f"{LAST_YEAR + 1}-01-01"))
    labels = table.column("zone").combine_chunks()
    names = labels.dictionary.to_pylist()
    order = {zone: row for row, zone in enumerate(sorted(names))}
    numbers = np.array([order[zone] for zone in names], dtype=np.int64)[labels.indices.to_numpy()]
    cells = stamps.astype("datetime64[M]").astype(np.int64) % MONTHS * HOURS + stamps.astype(np.int64) % HOURS
    values = np.rint(table.column(column).to_numpy().astype(np.float64) * steps).astype(np.int64) * step
    return tuple(order), numbers[keep], cells[keep], values[keep]


def statistics(zones: tuple[str, ...], numbers: Int64Array, cells: Int64Array, values: Int64Array) -> Statistics:
    """Exact means, deviations and nearest-rank percentiles by cell."""
    flat = numbers * CELLS + cells
    size = len(zones) * CELLS
    count, total, squares = (np.zeros(size, dtype=np.int64) for _ in range(3))
    np.add.at(count, flat, 1)
    np.add.at(total, flat, values)
    np.add.at(squares, flat, values * values)
    if count.min() < CELL_SAMPLES_MIN:
        sys.exit(f"too few hours in a cell: {count.min()} < {CELL_SAMPLES_MIN}")
    mean = half_up(total, count)
    std = np.rint(np.sqrt(count * squares - total * total) / count).astype(np.int64)
    ranked = values[np.lexsort((values, flat))]
    begin = np.cumsum(count) - count
    quantiles = np.stack([ranked[begin - 1 - (-count * percent // 100)] for percent in QUANTILES_PERCENT])
    shape = (len(zones), MONTHS, HOURS)
    by_zone = (len(zones), CELLS)
    return Statistics(
        zones=zones,
        quantiles=quantiles.reshape(-1, *shape),
        mean=mean.reshape(shape),
        std=std.reshape(shape),
        total_mean=half_up(total.reshape(by_zone).sum(axis=1), count.reshape(by_zone).sum(axis=1)),
    )


def half_up(numerator: Int64Array, denominator: Int64Array) -> Int64Array:
    """Nearest integers of ratios, halves up."""
    quotient: Int64Array = (2 * numerator + denominator) // (2 * denominator)
    return quotient


def yearly_mean(rows: list[Record], key: str, column: str) -> dict[str, float]:
    """Mean of a yearly column over 2021-2023, by `key`; years without a figure are left out."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if FIRST_YEAR <= row["year"] <= LAST_YEAR and row[column] is not None:
            found.setdefault(row[key], []).append(float(row[column]))
    return {name: math.fsum(values) / len(values) for name, values in found.items()}


def places(data: Path, hourly_zones: tuple[str, ...]) -> tuple[list[Place], Levels]:
    """Every zone to package, and for the countries without hourly data (yearly mean, is Ember's)."""
    zones = {row["zone"]: row for row in read(data, "zones")}
    series = read(data, "country_yearly_series")
    solar = yearly_mean(series, "iso2", "solar_pct")
    wind = yearly_mean(series, "iso2", "wind_pct")
    ember = yearly_mean(series, "iso2", "ember_gco2_per_kwh")
    low_carbon = yearly_mean(series, "iso2", "low_carbon_pct")
    carbon_free = yearly_mean(read(data, "zone_yearly"), "zone", "carbon_free_pct")
    found = [
        Place(
            zone=zone,
            country=zones[zone]["iso2"],
            name=zones[zone]["zone_name"],
            lat=zones[zone]["lat"],
            lon=zones[zone]["lon"],
            tz=zones[zone]["tz"],
            aggregate=bool(zones[zone]["has_subzones"]) and zone not in MAIN_PARTS,
            low_carbon=carbon_free[zone] / PERCENT,
            solar=solar.get(zones[zone]["iso2"], 0.0) / PERCENT,
            wind=wind.get(zones[zone]["iso2"], 0.0) / PERCENT,
            flat_share=zones[zone]["flat_share"],
        )
        for zone in hourly_zones
    ]
    levels: Levels = {}
    covered = set(hourly_zones) | set(COVERING_ALIASES.values())
    for row in sorted(read(data, "country_yearly"), key=lambda row: str(row["iso2"])):
        iso2, level = row["iso2"], row["em_2024_gco2_lca"]
        is_ember = level is None
        level = ember.get(iso2) if is_ember else level
        if iso2 in covered or level is None or row["capital_lat"] is None:
            continue
        share = low_carbon.get(iso2, 0.0) if is_ember else row["em_2024_carbon_free_pct"]
        levels[iso2] = (float(level), is_ember)
        found.append(
            Place(
                zone=iso2,
                country=iso2,
                name=row["name"],
                lat=row["capital_lat"],
                lon=row["capital_lon"],
                tz=row["tz"],
                aggregate=False,
                low_carbon=float(share) / PERCENT,
                solar=solar.get(iso2, 0.0) / PERCENT,
                wind=wind.get(iso2, 0.0) / PERCENT,
                flat_share=None,
            )
        )
    return sorted(found, key=lambda place: place.zone), levels


def donor_distance(place: Place, donor: Place) -> float:
    """How unlike two zones are in latitude and in low-carbon, solar and wind share, in steps."""
    return math.fsum(
        (
            abs(place.lat - donor.lat) / LAT_SCALE_DEG,
            abs(place.low_carbon - donor.low_carbon) / LOW_CARBON_SCALE,
            abs(place.solar - donor.solar) / SOLAR_SCALE,
            abs(place.wind - donor.wind) / WIND_SCALE,
        )
    )


def carbon_donors(place: Place, candidates: list[Place]) -> list[Place]:
    """The covering zones most like `place`, nearest first; ties go to the first in the alphabet."""
    return sorted(candidates, key=lambda donor: (round(donor_distance(place, donor), 6), donor.zone))[:DONORS]


def covering(found: list[Place]) -> list[Place]:
    """Hourly zones that are a whole country and move enough to lend a shape."""
    return [
        place
        for place in found
        if place.flat_share is not None
        and place.flat_share <= DONOR_FLAT_SHARE_MAX
        and (place.zone == place.country or place.zone in COVERING_ALIASES)
    ]


def market_donor(place: Place, markets: list[Place]) -> Place:
    """The nearest market of the same country, else the one nearest in latitude (then in distance) elsewhere."""

    def away_km(market: Place) -> int:
        return round(distance_km(place.lat, place.lon, market.lat, market.lon))

    domestic = [market for market in markets if market.country == place.country]
    if domestic:
        return min(domestic, key=lambda market: (away_km(market), market.zone))
    abroad = [market for market in markets if market.zone not in HOME_ONLY_MARKETS]
    return min(abroad, key=lambda market: (round(abs(place.lat - market.lat)), away_km(market), market.zone))


def shift_h(place: Place, donor: Place) -> int:
    """Hours to add to UTC so that the donor's table is read at the same solar hour."""
    return math.floor((place.lon - donor.lon) / DEGREES_PER_HOUR + 0.5)


def wholesale(data: Path) -> dict[str, int]:
    """Mean daily wholesale price of 2021-2023 by ISO2, micro-USD/kWh."""
    iso2 = {row["iso3"]: row["iso2"] for row in read(data, "country_yearly")}
    found: dict[str, list[float]] = {}
    for row in read(data, "price_daily_europe_ember"):
        rate = EUR_USD.get(row["date"].year)
        if rate is not None and row["price_eur_per_mwh"] is not None:
            found.setdefault(iso2[row["iso3"]], []).append(row["price_eur_per_mwh"] * rate)
    return {name: round(math.fsum(values) / len(values) * (MICRO / KWH_PER_MWH)) for name, values in found.items()}


def carbon_columns(place: Place, found: list[Place], carbon: Statistics, levels: Levels) -> Record:
    """The carbon columns of one zone's row."""
    if place.zone in levels:
        level, is_ember = levels[place.zone]
        donors = carbon_donors(place, covering(found))
        quality, mean = "modelled", round(level * MG_PER_G)
        source = (SOURCE_EMBER if is_ember else SOURCE_YEARLY).format(donor=", ".join(donor.zone for donor in donors))
    else:
        donors, quality, mean, source = [place], "estimated", carbon.mean_of(place.zone), SOURCE_HOURLY
    fossil = mean / MG_PER_G / max(1.0 - place.low_carbon, FOSSIL_SHARE_MIN)
    return {
        "carbon_quality": quality,
        "carbon_source": source,
        "carbon_donors": " ".join(donor.zone for donor in donors),
        "carbon_shifts_h": " ".join(str(shift_h(place, donor)) for donor in donors),
        "carbon_mean_mgco2e_per_kwh": mean,
        "low_carbon_share": f"{place.low_carbon:.4f}",
        "fossil_gco2e_per_kwh": f"{min(max(fossil, FOSSIL_MIN), FOSSIL_MAX):.0f}",
        "flat_share": "" if place.flat_share is None else f"{place.flat_share:.3f}",
    }


def price_columns(
    place: Place, markets: list[Place], price: Statistics, ember: dict[str, int], industrial: dict[str, tuple[int, str]]
) -> Record:
    """The price columns of one zone's row."""
    donor, quality = market_donor(place, markets), "modelled"
    if place.zone in price.zones:
        donor, quality, mean, source = place, "estimated", price.mean_of(place.zone), PRICE_HOURLY
    elif place.country in ember:
        mean, source = ember[place.country], PRICE_EMBER
    elif donor.country == place.country:
        mean, source = price.mean_of(donor.zone), PRICE_SAME_COUNTRY
    elif place.country in industrial:
        mean, origin = industrial[place.country]
        source = PRICE_INDUSTRIAL.replace("{source}", origin)
    else:
        mean, source = DEFAULT_PRICE_USD_MICRO_PER_KWH, PRICE_DEFAULT
    return {
        "price_quality": quality,
        "price_source": source.format(donor=donor.zone),
        "price_donor": donor.zone,
        "price_shift_h": shift_h(place, donor),
        "price_mean_usd_micro_per_kwh": mean,
    }


def zone_table(data: Path, carbon: Statistics, price: Statistics) -> str:
    """`zones.csv` as text."""
    found, levels = places(data, carbon.zones)
    ember = wholesale(data)
    industrial = {
        row["iso2"]: (round(row["industrial_price_usd_per_kwh"] * MICRO), row["industrial_price_source"])
        for row in read(data, "country_yearly")
        if row["industrial_price_usd_per_kwh"] is not None
    }
    markets = [place for place in found if place.zone in price.zones]
    rows: list[Record] = []
    for place in found:
        row: Record = {
            "zone": place.zone,
            "country": place.country,
            "name": place.name,
            "lat": f"{place.lat:.3f}",
            "lon": f"{place.lon:.3f}",
            "tz": place.tz,
            "aggregate": int(place.aggregate),
        }
        row |= carbon_columns(place, found, carbon, levels)
        row |= price_columns(place, markets, price, ember, industrial)
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def save(path: Path, tables: dict[str, npt.NDArray[np.generic]]) -> None:
    """Write arrays as an uncompressed .npz without any date, so equal arrays are equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, table in tables.items():
            member = io.BytesIO()
            np.save(member, np.ascontiguousarray(table))
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            archive.writestr(entry, member.getvalue())


def build(data: Path, out: Path) -> None:
    """Write every packaged file."""
    carbon = statistics(
        *hourly(data, "carbon_intensity_hourly", "gco2_per_kwh_lca", MG_PER_G // CARBON_STEP_MG, CARBON_STEP_MG)
    )
    price = statistics(*hourly(data, "price_hourly", "price_usd_per_mwh", MICRO // KWH_PER_MWH, 1))
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "carbon_quantiles": (carbon.quantiles // CARBON_STEP_MG).astype("<u2"),
        "carbon_mean": carbon.mean.astype("<i4"),
        "carbon_std": carbon.std.astype("<i4"),
        "price_quantiles": price.quantiles.astype("<i4"),
        "price_mean": price.mean.astype("<i4"),
        "price_std": price.std.astype("<i4"),
    }
    save(out / "tables.npz", tables)
    (out / "zones.csv").write_text(zone_table(data, carbon, price), encoding="utf-8", newline="\n")
    (out / "LICENSE-ODbL.md").write_text(NOTICE, encoding="utf-8", newline="\n")


def main() -> None:
    """Command line."""
    packaged = Path(__file__).resolve().parents[1] / "src" / "sunward" / "signals" / "data" / "climatology"
    parser = argparse.ArgumentParser(description="Build the packaged typical years of carbon and price.")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SUNWARD_DATA", "../shared")) / "data")
    parser.add_argument("--out", type=Path, default=packaged)
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no data folder at {options.data}; set SUNWARD_DATA")
    build(options.data, options.out)


if __name__ == "__main__":
    main()
