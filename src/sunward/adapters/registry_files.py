"""Exports of certificate registries, and a meter's hours, as CSV: whole files or one line that says what is wrong.

The columns read of each registry stand in docs/certificates.md. A file is read for what it says: a row counts as
hourly only where it names one hour with its offset from UTC.
"""

from __future__ import annotations

import calendar
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from sunward.errors import InputError
from sunward.signals import markets, zones
from sunward.units import SECOND_MS, WH_PER_MWH

When = TypeVar("When", date, datetime)

FILE_MAX = 2 * 2**20
ROWS_MAX = 10_000
NAME_MAX = 100
SERIAL_DIGITS = 12
"""Of a serial, those at its end that are counted with; what is before them must be the same in a row."""
BAD_FILE = "SW-768"
YEARS = (2000, 2100)
MONTHS = 12
ENDS = 2
"""Of a range."""
NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
SERIAL = re.compile(r"(.*?)(\d+)", re.DOTALL)
RANGE = re.compile(r"\s+(?:to|-)\s+")
VINTAGE = re.compile(r"(\d{1,2})/(\d{4})|(\d{4})-(\d{2})")
ENDED = frozenset({"retired", "cancelled", "canceled", "redeemed"})
"""A certificate that can still be sold elsewhere would be used twice."""
FUELS = {
    "solar": "solar",
    "photovoltaic": "solar",
    "sun": "solar",
    "wind": "wind",
    "hydro": "hydro",
    "hydroelectric": "hydro",
    "hydropower": "hydro",
    "water": "hydro",
    "geothermal": "geothermal",
    "biomass": "biomass",
    "biogas": "biomass",
    "landfill": "biomass",
    "nuclear": "nuclear",
    "ocean": "marine",
    "tidal": "marine",
    "wave": "marine",
    "marine": "marine",
}
"""Words of registries for what we count; a row with words of two sources is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Which columns of a registry's export are read; names in any case."""

    plant: str
    fuel: str
    quantity: str
    status: str
    country: str
    serials: tuple[str, ...]
    """One column with a range, or one for each end."""
    vintage: tuple[str, ...] = ()
    """One column with month and year, or one for each."""
    period: tuple[str, str] | None = None
    """First and last day, or start and end as ISO 8601 with an offset."""


_REC = {"fuel": "Fuel Type", "quantity": "Quantity", "status": "Status", "country": "Country"}
_SERIALS = ("Certificate Serial Numbers",)
_START_END = ("Start", "End")
FORMATS = {
    "mrets": Format(plant="Generator", vintage=("Vintage",), serials=_SERIALS, period=_START_END, **_REC),
    "wregis": Format(
        plant="Generator Plant-Unit Name",
        vintage=("Vintage Month", "Vintage Year"),
        serials=_SERIALS,
        period=_START_END,
        **_REC,
    ),
    "gats": Format(plant="Facility Name", vintage=("Month/Year",), serials=_SERIALS, period=_START_END, **_REC),
    "go": Format(
        plant="Production Device Name",
        fuel="Energy Source",
        quantity="Volume",
        status="Status",
        country="Country of Production",
        serials=("Certificate Number From", "Certificate Number To"),
        period=("Production Start", "Production End"),
    ),
    "irec": Format(
        plant="Production Device",
        fuel="Technology",
        quantity="Number of Certificates",
        status="Status",
        country="Country",
        serials=("From Certificate", "To Certificate"),
        period=("Period Start", "Period End"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Certificates of one row."""

    device: str
    source: str
    market: str
    start_ms: int
    end_ms: int
    wh: int
    serials: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredHour:
    """What a device generated in one hour."""

    start_ms: int
    wh: int
    exported_wh: int


class _Cells:
    """One row's cells by column, whatever the case; says where a fault is."""

    def __init__(self, number: int, cells: Mapping[str, str]) -> None:
        self.number = number
        self.cells = cells

    def has(self, column: str) -> bool:
        return bool(self.cells.get(column.lower(), ""))

    def get(self, column: str) -> str:
        found = self.cells.get(column.lower(), "")
        if not found:
            raise self.wrong(column, "is empty")
        return found

    def wrong(self, column: str, why: str) -> InputError:
        return InputError(f"row {self.number}, column {column}: {why}", code=BAD_FILE)


def read_export(raw: bytes, registry: str, zone: str = "") -> tuple[Row, ...]:
    """The rows of a registry's export, all retired there; `zone` says where, where countries have several markets.

    Raises: InputError naming row and column; nothing of the file counts then.
    """
    form = FORMATS.get(registry)
    if form is None:
        raise InputError(f"unknown registry {registry[:40]!r}; one of {', '.join(FORMATS)}", code=BAD_FILE)
    rows = tuple(_row(cells, form, registry, zone) for cells in _read(raw, _needed(form)))
    _check_serials(rows)
    return rows


def read_hours(raw: bytes) -> tuple[MeteredHour, ...]:
    """A meter's hours: columns `hour` (ISO 8601 with its offset), `wh`, and `exported_wh` where any left with its own.

    Raises: InputError naming row and column.
    """
    found = []
    for cells in _read(raw, ("hour", "wh")):
        start_ms = _moment(cells, "hour")
        gone = _whole(cells, "exported_wh") if cells.has("exported_wh") else 0
        wh = _whole(cells, "wh")
        if gone > wh:
            raise cells.wrong("exported_wh", f"is more than the {wh} Wh generated")
        # An hour without generation has no certificate.
        if wh:
            found.append(MeteredHour(start_ms=start_ms, wh=wh, exported_wh=gone))
    if not found:
        raise InputError("the file has no hour with any generation", code=BAD_FILE)
    return tuple(found)


def _needed(form: Format) -> tuple[str, ...]:
    period = form.vintage or (form.period or ())
    return (form.plant, form.fuel, form.quantity, form.status, *form.serials, *period)


def _read(raw: bytes, needed: Iterable[str]) -> Iterator[_Cells]:
    if len(raw) > FILE_MAX:
        raise InputError(f"the file has {len(raw)} bytes; send at most {FILE_MAX} at once", code=BAD_FILE)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("the file is not text in UTF-8; export it as CSV UTF-8", code=BAD_FILE) from None
    try:
        lines = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as reason:
        raise InputError(f"the file is not CSV: {reason}", code=BAD_FILE) from None
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    missing = [column for column in needed if column.lower() not in header]
    if missing or len(set(header)) < len(header):
        told = f"the first row must name each column once, and lacks {', '.join(missing) or 'nothing'}"
        raise InputError(told, code=BAD_FILE)
    filled = [(number, line) for number, line in enumerate(lines[1:], start=2) if any(map(str.strip, line))]
    if not 0 < len(filled) <= ROWS_MAX:
        raise InputError(f"a file has 1 to {ROWS_MAX} rows after its header; split it", code=BAD_FILE)
    for number, line in filled:
        if len(line) != len(header):
            raise InputError(f"row {number}: {len(line)} cells, but {len(header)} columns", code=BAD_FILE)
        yield _Cells(number, dict(zip(header, (cell.strip() for cell in line), strict=True)))


def _row(cells: _Cells, form: Format, registry: str, zone: str) -> Row:
    status = cells.get(form.status)
    if status.lower() not in ENDED:
        raise cells.wrong(form.status, f"is {status[:40]!r}; only what is retired, cancelled or redeemed there counts")
    serials, first, last = _serials(cells, form)
    start_ms, end_ms = _period(cells, form)
    mwh = _whole(cells, form.quantity)
    if mwh != last - first + 1:
        raise cells.wrong(form.quantity, f"is {mwh}, but the serials are {last - first + 1}")
    plant = re.sub(r"[^A-Za-z0-9._ -]", "_", cells.get(form.plant))[:NAME_MAX]
    return Row(
        device=f"{registry}:{plant}",
        source=_source(cells, form.fuel),
        market=_market(cells, form.country, zone),
        start_ms=start_ms,
        end_ms=end_ms,
        wh=mwh * WH_PER_MWH,
        serials=serials,
        first=first,
        last=last,
    )


def _source(cells: _Cells, column: str) -> str:
    words = re.findall(r"[a-z]+", cells.get(column).lower())
    found = {FUELS[word] for word in words if word in FUELS}
    if len(found) != 1:
        line = "names no one source of energy that is known: solar, wind, hydro, geothermal, biomass, marine, nuclear"
        raise cells.wrong(column, line)
    return found.pop()


def _market(cells: _Cells, column: str, zone: str) -> str:
    if zone:
        found = markets.market_of(zone)
        if not found:
            raise InputError(f"zone {zone} covers several markets; name one of its parts", code="SW-764")
        return found
    country = cells.get(column).upper()
    table = zones.load()
    known = {markets.market_of(name) for name in table.rows if table.zone(name).country == country} - {""}
    if len(known) != 1:
        many = f"{country[:20]!r} has several markets" if known else f"no market is known of {country[:20]!r}"
        raise cells.wrong(column, f"{many}; name the zone")
    return known.pop()


def _period(cells: _Cells, form: Format) -> tuple[int, int]:
    if form.period and all(map(cells.has, form.period)):
        first, last = form.period
        if len(cells.get(first)) > len("2026-01-01"):
            start_ms, end_ms = _moment(cells, first), _moment(cells, last)
        else:
            start_ms, end_ms = _ms(_day(cells, first)), _ms(_day(cells, last) + timedelta(days=1))
        if start_ms >= end_ms:
            raise cells.wrong(last, "ends before it begins")
        return start_ms, end_ms
    text = "/".join(cells.get(column) for column in form.vintage or form.period or ())
    found = VINTAGE.fullmatch(text)
    if not found:
        raise cells.wrong((form.vintage or form.period or ("period",))[0], "write the month as MM/YYYY")
    month, year = (int(found[1]), int(found[2])) if found[1] else (int(found[4]), int(found[3]))
    if not (1 <= month <= MONTHS and YEARS[0] <= year <= YEARS[1]):
        raise cells.wrong(form.vintage[0], "is no month")
    days = calendar.monthrange(year, month)[1]
    return _ms(date(year, month, 1)), _ms(date(year, month, days) + timedelta(days=1))


def _serials(cells: _Cells, form: Format) -> tuple[str, int, int]:
    column = form.serials[0]
    ends = [cells.get(one) for one in form.serials]
    if len(ends) == 1:
        ends = RANGE.split(ends[0])
    if len(ends) > ENDS:
        raise cells.wrong(column, "is not one range of serials")
    prefix, first = _serial(cells, column, ends[0])
    # The second end may be the bare number, as in `ABC-1 to 100`.
    again, last = _serial(cells, column, ends[-1])
    if again not in (prefix, "") or last < first:
        raise cells.wrong(column, "is not one range of serials")
    return prefix, first, last


def _serial(cells: _Cells, column: str, text: str) -> tuple[str, int]:
    found = SERIAL.fullmatch(text)
    if not found or not text.isascii() or not text.isprintable() or len(text) > NAME_MAX:
        raise cells.wrong(column, f"{text[:40]!r} does not end in a number")
    prefix, digits = found[1], found[2]
    return prefix + digits[:-SERIAL_DIGITS], int(digits[-SERIAL_DIGITS:])


def _check_serials(rows: Iterable[Row]) -> None:
    """Refuse a file that names a serial twice."""
    known = sorted((row.serials, row.first, row.last, number) for number, row in enumerate(rows, start=2))
    for before, after in pairwise(known):
        if before[0] == after[0] and after[1] <= before[2]:
            line = f"rows {before[3]} and {after[3]} name the same serials"
            raise InputError(line, code=BAD_FILE)


def _whole(cells: _Cells, column: str) -> int:
    text = cells.get(column).replace(",", "")
    whole, _, rest = text.partition(".")
    if not NUMBER.fullmatch(text) or rest.strip("0"):
        raise cells.wrong(column, f"{text[:40]!r} is not a whole number")
    return int(whole)


def _day(cells: _Cells, column: str) -> date:
    return _parsed(cells, column, date.fromisoformat, "a day is written 2026-01-31")


def _moment(cells: _Cells, column: str) -> int:
    hint = "an hour is written 2026-01-31T06:00Z, with its offset from UTC"
    found = _parsed(cells, column, datetime.fromisoformat, hint)
    if found.tzinfo is None:
        raise cells.wrong(column, hint)
    since = found.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1)


def _parsed(cells: _Cells, column: str, parse: Callable[[str], When], hint: str) -> When:
    try:
        found = parse(cells.get(column))
    except ValueError:
        raise cells.wrong(column, hint) from None
    if not YEARS[0] <= found.year <= YEARS[1]:
        raise cells.wrong(column, hint)
    return found


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND_MS
