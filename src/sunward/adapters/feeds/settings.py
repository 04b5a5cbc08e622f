"""`feeds.toml`: which source tells which series of which zone, and where its key is kept. Keys never stand in it."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sunward.adapters.feeds import eia, electricity_maps, energy_charts, neso, open_meteo, watttime
from sunward.adapters.feeds.feed import Feed
from sunward.errors import InputError
from sunward.model.codec import decode
from sunward.model.datum import SeriesKind
from sunward.model.identity import ZoneId
from sunward.signals import zones

WRONG, NO_KEY = "SW-221", "SW-222"
KEYS = {
    electricity_maps.NAME: "ELECTRICITY_MAPS_TOKEN",
    watttime.NAME: "WATTTIME_LOGIN",
    eia.NAME: "EIA_API_KEY",
}
"""Sources that need a key, and the environment variable that holds it unless the settings name another."""
KEYLESS = (neso.NAME, energy_charts.NAME, open_meteo.NAME)
NAMES = tuple(sorted((*KEYS, *KEYLESS)))
PLACED = {energy_charts.NAME: "bidding zone", watttime.NAME: "region", eia.NAME: "balancing authority"}
"""Sources whose places are not our zones: what `place` must name."""
GREAT_BRITAIN = "GB"
EVERY_MINUTES = range(5, 24 * 60 + 1)
WAIT_HOURS = range(1, 7 * 24 + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One `[[feed]]` of the file."""

    zone: str
    """Grid zone it is for, as `sunward grid` names it."""
    source: str
    """neso, electricity-maps, energy-charts, watttime, eia or open-meteo."""
    kinds: tuple[SeriesKind, ...] = ()
    """The series taken; else all that the source has of the zone."""
    place: str = ""
    """The source's own name of the zone; else the zone's."""
    key_env: str = ""
    """Environment variable that holds the key."""
    key_file: str = ""
    """File that holds the key, readable by its owner alone; beside the settings unless absolute."""
    usd_per_eur: float = 0.0
    """Rate at which prices in EUR count; energy-charts needs it."""
    every_minutes: int = 15
    """Time between two requests."""
    wait_hours: int = 2
    """How long after its end an hour waits for its value before the forecast, then the typical year, stand in."""
    url: str = ""
    """Address of the source, where it is not the public one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFile:
    """The whole file."""

    feed: tuple[FeedEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A feed made ready: one zone of one source and the series taken of it."""

    zone: ZoneId
    feed: Feed
    kinds: tuple[SeriesKind, ...]
    every_minutes: int
    wait_hours: int


def read_feeds(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[Subscription, ...]:
    """The subscriptions of a settings file, each series of a zone told by one source.

    Raises: InputError naming the entry and the remedy.
    """
    subscriptions: list[Subscription] = []
    taken: dict[tuple[str, SeriesKind], str] = {}
    for number, entry in enumerate(_entries(path), start=1):
        where = f"{path.name}, feed {number} ({entry.source} for {entry.zone})"
        one = subscribe(entry, where, path.parent, environment)
        for kind in one.kinds:
            other = taken.setdefault((one.zone, kind), entry.source)
            if other != entry.source or sum(kind in made.kinds for made in subscriptions if made.zone == one.zone):
                raise InputError(f"{where}: {kind} of {one.zone} is told by {other} already; name `kinds`", code=WRONG)
        subscriptions.append(one)
    return tuple(subscriptions)


def _entries(path: Path) -> tuple[FeedEntry, ...]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise InputError(f"cannot read {path} ({reason.strerror}); name a feeds.toml", code=WRONG) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"{path.name} is not TOML: {reason}", code=WRONG) from None
    _refuse_unknown(path, raw)
    try:
        return decode(json.dumps(raw), FeedFile).feed
    except (InputError, TypeError) as reason:
        raise InputError(f"{path.name}: {reason}; `sunward feeds --schema` shows the form", code=WRONG) from None


def _refuse_unknown(path: Path, raw: dict[str, Any]) -> None:
    """A misspelt word would silently mean its default."""
    known = {field.name for field in fields(FeedEntry)}
    entries = raw.get("feed", [])
    words = (
        {word for entry in entries if isinstance(entry, dict) for word in entry} if isinstance(entries, list) else ()
    )
    unknown = sorted({*raw} - {"feed"}) + sorted({*words} - known)
    if unknown:
        line = f"{path.name}: unknown word {unknown[0]!r}; use {', '.join(sorted(known))} under [[feed]]"
        raise InputError(line, code=WRONG)


def subscribe(entry: FeedEntry, where: str, folder: Path, environment: Mapping[str, str]) -> Subscription:
    """One entry made ready. Raises: InputError."""
    known = zones.load().zone(entry.zone)
    for words, span in ((entry.every_minutes, EVERY_MINUTES), (entry.wait_hours, WAIT_HOURS)):
        if words not in span:
            line = f"{where}: {words} is out of range; every_minutes 5 to 1440, wait_hours 1 to 168"
            raise InputError(line, code=WRONG)
    place = entry.place or (f"{known.lat},{known.lon}" if entry.source == open_meteo.NAME else "")
    feed = _feed(entry, where, place, _key(entry, where, folder, environment))
    missing = [kind for kind in entry.kinds if kind not in feed.kinds]
    if missing:
        raise InputError(f"{where}: it has no {missing[0]}; it has {', '.join(feed.kinds)}", code=WRONG)
    return Subscription(
        zone=known.zone,
        feed=feed,
        kinds=entry.kinds or feed.kinds,
        every_minutes=entry.every_minutes,
        wait_hours=entry.wait_hours,
    )


def _feed(entry: FeedEntry, where: str, place: str, key: str) -> Feed:
    if entry.source in PLACED and not place:
        raise InputError(f"{where}: name its {PLACED[entry.source]} as `place`", code=WRONG)
    if entry.source == neso.NAME:
        if entry.zone != GREAT_BRITAIN:
            raise InputError(f"{where}: NESO tells of zone {GREAT_BRITAIN} only", code=WRONG)
        return neso.Neso(place=place, url=entry.url)
    if entry.source == energy_charts.NAME:
        if entry.usd_per_eur <= 0:
            raise InputError(f"{where}: prices are in EUR; name a rate as `usd_per_eur`, such as 1.10", code=WRONG)
        return energy_charts.EnergyCharts(place=place, usd_per_eur=entry.usd_per_eur, url=entry.url)
    if entry.source == open_meteo.NAME:
        return open_meteo.OpenMeteo(place=place, url=entry.url)
    if entry.source == electricity_maps.NAME:
        return electricity_maps.ElectricityMaps(place=place or entry.zone, key=key, url=entry.url)
    made = watttime.WattTime if entry.source == watttime.NAME else eia.Eia
    return made(place=place, key=key, url=entry.url)


def _key(entry: FeedEntry, where: str, folder: Path, environment: Mapping[str, str]) -> str:
    """The key of a source, from a file of its owner's alone or from the environment; empty where none is needed."""
    if entry.source not in NAMES:
        raise InputError(f"{where}: unknown source; use one of {', '.join(NAMES)}", code=WRONG)
    if entry.source in KEYLESS:
        return ""
    if entry.key_file:
        return _key_in(folder / entry.key_file, where)
    name = entry.key_env or KEYS[entry.source]
    key = environment.get(name, "").strip()
    if not key:
        raise InputError(f"{where}: no key; set {name}, or name a `key_file`", code=NO_KEY)
    return key


def _key_in(path: Path, where: str) -> str:
    try:
        mode = path.stat().st_mode
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{where}: cannot read the key in {path}", code=NO_KEY) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"{where}: others may read {path}; chmod 600 it", code=NO_KEY)
    if not key:
        raise InputError(f"{where}: {path} is empty; put the key into it", code=NO_KEY)
    return key
