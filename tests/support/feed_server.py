"""The sources of live feeds on this machine: real sockets, their documented replies, and their bad days."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

HOUR_S = 3_600
NOW_S = 1_781_186_400 + HOUR_S
"""2026-06-11T15:00Z: the hour before it is the last that the sources have observed."""
KEY = "sesame-open-7"
USER = "ada"
ZONES = {"DE", "DE-LU", "CAISO_NORTH", "CISO"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one request instead of a good answer."""

    status: int = 200
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    """Promise more bytes than come."""
    hang: bool = False
    """Send a byte at a time until the server ends."""
    drop: bool = False
    """Close without a word."""


@dataclass
class Grid:
    """What the sources know: values by hour in their own units."""

    now_s: int = NOW_S
    revised: dict[int, float] = field(default_factory=dict)
    """Amounts added since to values of hours."""
    missing: set[int] = field(default_factory=set)
    """Hours without a value."""
    measured: set[int] = field(default_factory=set)
    """Hours that Electricity Maps no longer estimates."""

    def value(self, second: int) -> float | None:
        """A value of the hour that holds a second: 100 to 123, by the hour of the day."""
        hour = second - second % HOUR_S
        if hour in self.missing:
            return None
        return 100.0 + hour // HOUR_S % 24 + self.revised.get(hour, 0.0)


class FeedServer:
    """All sources at one address; each answers as its documentation says."""

    def __init__(self) -> None:
        self.grid = Grid()
        self.faults: deque[Fault] = deque()
        """Taken by the next requests, in order."""
        self.down: Fault | None = None
        """Taken by every request while it is set."""
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        """Path, query and headers of every request."""
        self.ended = threading.Event()
        handler = type("Handler", (_Handler,), {"feeds": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON of a request."""
        for start, source in SOURCES.items():
            if path.startswith(start):
                return source(self.grid, path, query, headers)
        return 404, {"error": "no such address"}

    @contextmanager
    def serving(self) -> Iterator[FeedServer]:
        """Serve until the end of a test."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    feeds: FeedServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, or do what the fault of the day says."""
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.feeds.asked.append((path, query, headers))
        fault = self.feeds.down or (self.feeds.faults.popleft() if self.feeds.faults else None)
        if fault is not None and fault.drop:
            self.close_connection = True
            return
        status, record = self.feeds.answer(path, query, headers) if fault is None else (fault.status, {})
        body = json.dumps(record).encode() if fault is None or fault.body is None else fault.body
        self.send_response(status)
        for name, value in fault.headers if fault else ():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + (99 if fault and (fault.cut or fault.hang) else 0)))
        self.end_headers()
        self.wfile.write(body)
        if fault and fault.hang:
            self._trickle()
        self.close_connection = bool(fault and (fault.cut or fault.hang))

    def _trickle(self) -> None:
        try:
            for _ in range(90):
                if self.feeds.ended.wait(0.02):
                    return
                self.wfile.write(b" ")
                self.wfile.flush()
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _stamp(second: int, form: str = "%Y-%m-%dT%H:%MZ") -> str:
    return datetime.fromtimestamp(second, UTC).strftime(form)


def _neso(grid: Grid, path: str, _query: dict[str, str], _headers: dict[str, str]) -> tuple[int, Any]:
    """https://carbon-intensity.github.io/api-definitions/"""
    what, *rest = path.strip("/").split("/")
    region = what == "regional"
    if region:
        rest = rest[1:]
        if rest[-1] not in map(str, range(1, 18)):
            return 400, {"error": {"code": "400 Bad Request", "message": "Please enter a valid region ID i.e. 1-17."}}
    start, end = rest[0], rest[1]
    first = _seconds(start) - HOUR_S // 2  # The half hour before comes along.
    last = first + 97 * HOUR_S // 2 if end.startswith("fw") else _seconds(end)
    if last - first > 14 * 24 * HOUR_S + HOUR_S // 2:
        return 400, {"error": {"code": "400 Bad Request", "message": "Please enter a date range of 14 days or less."}}
    halves = [_half_hour(grid, second, region=region) for second in range(first, last, HOUR_S // 2)]
    if what == "intensity":
        data = [{"from": one["from"], "to": one["to"], "intensity": one["intensity"]} for one in halves]
        return 200, {"data": data}
    if region:
        return 200, {"data": {"regionid": int(rest[-1]), "shortname": "London", "data": halves}}
    mixes = [one for one in halves if _seconds(one["to"]) <= grid.now_s and one["generationmix"]]
    return 200, {"data": [{name: one[name] for name in ("from", "to", "generationmix")} for one in mixes]}


def _half_hour(grid: Grid, second: int, *, region: bool) -> dict[str, Any]:
    """Two halves of an hour lie two apart, around its value."""
    value = grid.value(second)
    shown = None if value is None else value + (1 if second % HOUR_S else -1)
    past = second + HOUR_S // 2 <= grid.now_s
    intensity: dict[str, Any] = {"forecast": shown, "index": "moderate"}
    if not region:
        intensity["actual"] = shown if past else None
    gas = 0.0 if shown is None else shown / 10
    mix = [
        {"fuel": "gas", "perc": gas},
        {"fuel": "wind", "perc": 80.0 - gas},
        {"fuel": "imports", "perc": 20.0},
        {"fuel": "coal", "perc": 0.0},
    ]
    return {
        "from": _stamp(second),
        "to": _stamp(second + HOUR_S // 2),
        "intensity": intensity,
        "generationmix": [] if shown is None else mix,
    }


def _electricity_maps(grid: Grid, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
    """https://app.electricitymaps.com/developer-hub/api/reference"""
    if headers.get("auth-token") != KEY:
        return 401, {"status": "error", "message": "Invalid auth-token"}
    if query["zone"] not in ZONES:
        return 404, {"status": "error", "message": f"Zone {query['zone']} does not exist."}
    direct = query.get("emissionFactorType") == "direct"
    hour = grid.now_s - grid.now_s % HOUR_S
    if path.endswith("/history"):
        name, span = "history", range(hour - 23 * HOUR_S, hour + HOUR_S, HOUR_S)
    elif path.endswith("/forecast"):
        name, span = "forecast", range(hour, hour + (int(query["horizonHours"]) + 1) * HOUR_S, HOUR_S)
    else:
        start, end = _seconds(query["start"]), _seconds(query["end"])
        if end - start > 240 * HOUR_S:
            return 400, {"status": "error", "message": "Time range limit is 240 hours"}
        name, span = "data", range(start, min(end, hour + HOUR_S), HOUR_S)
    rows = [
        {
            "zone": query["zone"],
            "carbonIntensity": value / 2 if direct else value,
            "datetime": _stamp(second, "%Y-%m-%dT%H:%M:%S.000Z"),
            "updatedAt": "2026-06-11T15:02:00.000Z",
            "emissionFactorType": "direct" if direct else "lifecycle",
            "isEstimated": second not in grid.measured,
            "estimationMethod": "TIME_SLICER_AVERAGE",
        }
        for second in span
        if (value := grid.value(second)) is not None
    ]
    return 200, {"zone": query["zone"], name: rows, "temporalGranularity": "hourly"}


def _energy_charts(grid: Grid, _path: str, query: dict[str, str], _headers: dict[str, str]) -> tuple[int, Any]:
    """https://api.energy-charts.info"""
    if query["bzn"] not in ZONES:
        return 404, {"detail": "no content available"}
    midnight = grid.now_s - grid.now_s % (24 * HOUR_S) + 48 * HOUR_S
    quarters = range(_seconds(query["start"]), min(_seconds(query["end"]), midnight), HOUR_S // 4)
    values = [grid.value(second) for second in quarters]
    return 200, {
        "license_info": "CC BY 4.0 (creativecommons.org/licenses/by/4.0) from Bundesnetzagentur | SMARD.de",
        "unix_seconds": list(quarters),
        "price": [None if value is None else value - 110.0 for value in values],
        "unit": "EUR / MWh",
        "deprecated": False,
    }


def _watttime(grid: Grid, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
    """https://docs.watttime.org"""
    if path == "/login":
        right = "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        return (200, {"token": "jwt-1"}) if headers.get("authorization") == right else (401, {"detail": "no"})
    if headers.get("authorization") != "Bearer jwt-1":
        return 401, {"detail": "token expired"}
    if query["region"] not in ZONES or query["signal_type"] != "co2_moer":
        return 422, {"detail": [{"loc": ["query", "region"], "msg": "invalid region"}]}
    start = grid.now_s if path.endswith("forecast") else _seconds(query["start"])
    end = start + int(query["horizon_hours"]) * HOUR_S if path.endswith("forecast") else _seconds(query["end"])
    if end - start > 32 * 24 * HOUR_S:
        return 400, {"error": "the time range may span 32 days at most"}
    last = end if path.endswith("forecast") else min(end, grid.now_s)
    points = [
        {"point_time": _stamp(second, "%Y-%m-%dT%H:%M:%S+00:00"), "value": value * 10, "version": "2026-03-01"}
        for second in range(start, last, 300)
        if (value := grid.value(second)) is not None
    ]
    meta = {"region": query["region"], "signal_type": "co2_moer", "units": "lbs_co2_per_mwh", "warnings": []}
    return 200, {"data": points, "meta": meta | {"data_point_period_seconds": 300, "model": {"date": "2026-03-01"}}}


def _eia(grid: Grid, _path: str, query: dict[str, str], _headers: dict[str, str]) -> tuple[int, Any]:
    """https://www.eia.gov/opendata/documentation.php"""
    if query.get("api_key") != KEY:
        return 403, {"error": {"code": "API_KEY_INVALID", "message": "An invalid api_key was supplied."}}
    if query["facets[respondent][]"] not in ZONES:
        return 200, {"response": {"total": "0", "data": []}, "apiVersion": "2.1.9"}
    first, last = (_seconds(query[name] + ":00") for name in ("start", "end"))
    rows = []
    for period in range(first, min(last, grid.now_s) + 1, HOUR_S):  # Named by its end.
        value = grid.value(period - HOUR_S)
        if value is not None:
            amounts = {"NG": value, "WND": 300.0 - value, "BAT": -20.0, "XXX": None}
            rows += [
                {
                    "period": _stamp(period, "%Y-%m-%dT%H"),
                    "respondent": "CISO",
                    "fueltype": fuel,
                    "value": None if amount is None else str(amount),
                    "value-units": "megawatthours",
                }
                for fuel, amount in amounts.items()
            ]
    return 200, {"response": {"total": str(len(rows)), "dateFormat": 'YYYY-MM-DD"T"HH24', "data": rows}}


def _open_meteo(grid: Grid, _path: str, query: dict[str, str], _headers: dict[str, str]) -> tuple[int, Any]:
    """https://open-meteo.com/en/docs"""
    if abs(float(query["latitude"])) > 80:
        return 400, {"error": True, "reason": "No data is available for this location"}
    first, last = (_seconds(query[name]) for name in ("start_hour", "end_hour"))
    seconds = range(first, last + 1, HOUR_S)
    values = [grid.value(second) for second in seconds]
    columns = {"time": list(seconds), "wet_bulb_temperature_2m": [None if v is None else v / 10 - 11 for v in values]}
    return 200, {"utc_offset_seconds": 0, "hourly_units": {"wet_bulb_temperature_2m": "°C"}, "hourly": columns}


SOURCES: dict[str, Callable[[Grid, str, dict[str, str], dict[str, str]], tuple[int, Any]]] = {
    "/intensity/": _neso,
    "/generation/": _neso,
    "/regional/": _neso,
    "/v3/carbon-intensity/": _electricity_maps,
    "/price": _energy_charts,
    "/login": _watttime,
    "/v3/historical": _watttime,
    "/v3/forecast": _watttime,
    "/v2/electricity/": _eia,
    "/v1/forecast": _open_meteo,
}
