"""`rates.toml`: where prices of ATH are asked, and the asking. One bad source is one price less, never a wrong rate.

The shapes of public answers are named by `form`; any other is read by a JSON pointer (RFC 6901), in which `*` stands
for the one entry that an object or list has.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sunward.adapters.feeds.web import Web
from sunward.errors import InputError, SourceError
from sunward.model.codec import decode
from sunward.model.rate import ToldPrice
from sunward.settlement.rate import PRICE_MAX, SOURCES_MIN
from sunward.units import MICRO, SECOND_MS

WRONG, NO_PRICE = "SW-803", "SW-804"
EVERY_S = range(10, 901)
"""Twice within the half hour after which a price no longer counts, at the least."""
MILLISECONDS_FROM = 10**11
"""A moment of more is told in milliseconds: as seconds it would lie 3,000 years ahead."""
ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a public source is asked and where its answer has the price, and its moment in seconds since 1970."""

    url: str
    price: str
    moment: str = ""


FORMS = {
    "coingecko": Form(
        url="https://api.coingecko.com/api/v3/simple/price"
        "?ids={asset}&vs_currencies=usd&include_last_updated_at=true&precision=full",
        price="/{asset}/usd",
        moment="/{asset}/last_updated_at",
    ),
    "kraken": Form(url="https://api.kraken.com/0/public/Ticker?pair={asset}", price="/result/*/c/0"),
    "coinbase": Form(url="https://api.coinbase.com/v2/prices/{asset}/spot", price="/data/amount"),
    "json": Form(url="", price=""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceEntry:
    """One `[[price]]` of the file."""

    source: str
    """Its name here, in the journal and in what is shown."""
    form: str = "json"
    """coingecko, kraken, coinbase or json."""
    asset: str = ""
    """What the source calls it: an id (`aethir`) or a pair against USD (`ATHUSD`, `ATH-USD`)."""
    url: str = ""
    """Address, where it is not the public one."""
    price: str = ""
    """JSON pointer to USD per ATH, where the form has none."""
    moment: str = ""
    """JSON pointer to the price's moment since 1970, in seconds or milliseconds; none: it holds from when it is asked.
    """
    key_env: str = ""
    """Environment variable that holds a key; none is sent without it."""
    key_header: str = "Authorization"
    """Header that carries it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateFile:
    """The whole file."""

    price: tuple[PriceEntry, ...]
    every_seconds: int = 120
    """Time between two rounds."""


class PriceSource:
    """One source, ready to be asked; by one thread at a time."""

    def __init__(self, entry: PriceEntry, key: str = "") -> None:
        form = FORMS[entry.form]
        self.name = entry.source
        self._price = (entry.price or form.price).replace("{asset}", entry.asset)
        self._moment = (entry.moment or form.moment).replace("{asset}", entry.asset)
        address = urlsplit((entry.url or form.url).replace("{asset}", entry.asset))
        self._path, self._query = address.path.lstrip("/"), dict(parse_qsl(address.query))
        headers = {entry.key_header: key} if key else {}
        self._web = Web(entry.source, f"{address.scheme}://{address.netloc}", headers=headers)

    def ask(self, now_ms: int) -> ToldPrice:
        """The price now.

        Raises: SourceError when the source cannot be asked or tells no price.
        """
        answer: dict[str, Any] = self._web.get(self._path, dict, self._query)
        price = _micro(self._at(answer, self._price))
        if price is None:
            line = f"{self.name} tells no price at {self._price}"
            raise SourceError(line, transient=False, code=NO_PRICE)
        return ToldPrice(source=self.name, usd_micro_per_ath=price, at_ms=self._since_ms(answer, now_ms))

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()

    def _since_ms(self, answer: dict[str, Any], now_ms: int) -> int:
        if not self._moment:
            return now_ms
        told = _number(self._at(answer, self._moment))
        if told is None or told <= 0:
            raise SourceError(f"{self.name} tells no moment at {self._moment}", transient=False, code=NO_PRICE)
        # What is said to lie ahead holds from now: else a source could answer for the next half hour in advance.
        return min(int(told if told >= MILLISECONDS_FROM else told * SECOND_MS), now_ms)

    def _at(self, answer: object, pointer: str) -> object:
        found = answer
        for part in pointer.split("/")[1:]:
            found = _entry(found, part.replace("~1", "/").replace("~0", "~"))
        return found


def _entry(value: object, name: str) -> object:
    """What an object or list has under a name; None where it has nothing."""
    if isinstance(value, dict):
        if name == ANY:
            return next(iter(value.values())) if len(value) == 1 else None
        return value.get(name)
    if isinstance(value, list):
        place = 0 if name == ANY and len(value) == 1 else int(name) if name.isascii() and name.isdigit() else -1
        return value[place] if 0 <= place < len(value) else None
    return None


def _number(value: object) -> Decimal | None:
    """A finite number, written as such or as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _micro(value: object) -> int | None:
    """Micro-USD of a price in USD, rounded down; None for what cannot be one."""
    found = _number(value)
    if found is None or not 1 <= found * MICRO <= PRICE_MAX:
        return None
    return int(found * MICRO)


def read_rates(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[tuple[PriceSource, ...], int]:
    """The sources of a settings file, and the seconds between two rounds.

    Raises: InputError naming the entry and the remedy.
    """
    told = _file(path)
    if told.every_seconds not in EVERY_S:
        raise InputError(f"{path.name}: every_seconds lies in 10..900; correct it", code=WRONG)
    names = [entry.source for entry in told.price]
    if len(names) < SOURCES_MIN or len(set(names)) < len(names):
        line = f"{path.name}: a rate needs {SOURCES_MIN} sources or more, each of another name"
        raise InputError(line, code=WRONG)
    return tuple(_ready(entry, path.name, environment) for entry in told.price), told.every_seconds


def _ready(entry: PriceEntry, file: str, environment: Mapping[str, str]) -> PriceSource:
    where = f"{file}, {entry.source}"
    form = FORMS.get(entry.form)
    if form is None:
        raise InputError(f"{where}: unknown form {entry.form[:40]!r}; one of {', '.join(FORMS)}", code=WRONG)
    url, price = entry.url or form.url, entry.price or form.price
    if "{asset}" in url + price + form.price and not entry.asset:
        raise InputError(f"{where}: name the asset as the source calls it", code=WRONG)
    if not url or not price:
        raise InputError(f"{where}: name a url, and a price such as /data/price", code=WRONG)
    for pointer in filter(None, (price, entry.moment)):
        if not pointer.startswith("/"):
            raise InputError(f"{where}: {pointer!r} is no JSON pointer; it begins with /", code=WRONG)
    key = environment.get(entry.key_env, "").strip() if entry.key_env else ""
    if entry.key_env and not key:
        raise InputError(f"{where}: no key; set {entry.key_env}", code=WRONG)
    return PriceSource(entry, key)


def _file(path: Path) -> RateFile:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise InputError(f"cannot read {path} ({reason.strerror}); name a rates.toml", code=WRONG) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"{path.name} is not TOML: {reason}", code=WRONG) from None
    entries = raw.get("price")
    words = (
        {word for entry in entries if isinstance(entry, dict) for word in entry} if isinstance(entries, list) else ()
    )
    unknown = sorted({*raw} - {one.name for one in fields(RateFile)})
    unknown += sorted({*words} - {one.name for one in fields(PriceEntry)})
    if unknown:
        # A misspelt word would silently mean its default.
        raise InputError(f"{path.name}: unknown word {unknown[0]!r}", code=WRONG)
    try:
        return decode(json.dumps(raw), RateFile)
    except (InputError, TypeError) as reason:
        raise InputError(f"{path.name}: {reason}; name at least three [[price]]", code=WRONG) from None
