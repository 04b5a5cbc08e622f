"""`credits.toml`: where credits are bought; and the registry inside the service, whose credits count nothing."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from sunward.adapters.retirement_carbonmark import Carbonmark
from sunward.adapters.retirement_cnaught import CNaught
from sunward.errors import InputError
from sunward.model.codec import decode
from sunward.model.credits import (
    TEST_REGISTRY,
    AnswerKind,
    CreditOrder,
    Offer,
    RegistryAnswer,
    RetiredCredits,
)
from sunward.ports import Retirement
from sunward.units import KG_PER_T

WRONG = "SW-809"
CNAUGHT, CARBONMARK = "cnaught", "carbonmark"
KEYS = {CNAUGHT: "CNAUGHT_KEY", CARBONMARK: "CARBONMARK_KEY"}
"""Environment variables that hold the keys, unless the settings name others."""


class InnerRegistry:
    """Retires at once and at the forecast price; it has nothing to retire, so what it answers is marked as a test."""

    name = TEST_REGISTRY

    def offer(self, order: CreditOrder) -> Offer:
        """The forecast price, rounded down."""
        return Offer(usd_micro=order.kg * order.price_usd_micro_per_t // KG_PER_T, reference=order.order)

    def place(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """Serials that follow from the order, so that asking again brings the same."""
        one = RetiredCredits(
            registry=f"{TEST_REGISTRY}/{reference}",
            first=1,
            last=order.kg,
            kg=order.kg,
            vintage=order.vintage_from,
            method=order.methods[0] if order.methods else TEST_REGISTRY,
            country=order.countries[0] if order.countries else "",
            project=TEST_REGISTRY,
            test=True,
        )
        price = self.offer(order).usd_micro
        return RegistryAnswer(kind=AnswerKind.RETIRED, credits=(one,), paid_usd_micro=price)

    def find(self, order: CreditOrder, reference: str) -> RegistryAnswer:
        """The same as when it was placed."""
        return self.place(order, reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry:
    """One `[[registry]]` of the file."""

    kind: str
    """cnaught or carbonmark."""
    name: str = ""
    """What the rules call it; else its kind."""
    key_env: str = ""
    """Environment variable that holds the key."""
    url: str = ""
    """Address, where it is not the public one."""
    portfolio: str = ""
    """CNaught: the portfolio to buy from; else the account's own."""
    method: str = ""
    """CNaught, which names none itself: the method that all of the portfolio's projects follow."""
    vintage: int = 0
    """Likewise the oldest vintage of its credits."""
    projects: tuple[str, ...] = ()
    """Carbonmark: projects to buy from, such as VCS-191, in this order."""
    beneficiary: str = ""
    """On whose behalf credits are retired, as the certificate says; else the network's name."""
    test: bool = False
    """The address or key is that of a sandbox: credits count nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFile:
    """The whole file."""

    registry: tuple[RegistryEntry, ...]


def read_registries(
    path: Path | None, network: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Retirement]:
    """The registries of a settings file by name, the one inside the service among them; without a file only that.

    Raises: InputError naming the entry and the remedy.
    """
    found: dict[str, Retirement] = {TEST_REGISTRY: InnerRegistry()}
    if path is None:
        return found
    for entry in _entries(path):
        one = _ready(entry, f"{path.name}, {entry.name or entry.kind}", network, environment)
        if one.name in found:
            raise InputError(f"{path.name}: two registries are called {one.name}; give one a name", code=WRONG)
        found[one.name] = one
    return found


def _ready(entry: RegistryEntry, where: str, network: str, environment: Mapping[str, str]) -> Retirement:
    if entry.kind not in KEYS:
        raise InputError(f"{where}: unknown kind {entry.kind[:40]!r}; one of {', '.join(KEYS)}", code=WRONG)
    variable = entry.key_env or KEYS[entry.kind]
    key = environment.get(variable, "").strip()
    if not key:
        raise InputError(f"{where}: no key; set {variable}", code=WRONG)
    name, beneficiary = entry.name or entry.kind, entry.beneficiary or network
    if entry.kind == CARBONMARK:
        if not entry.projects:
            raise InputError(f"{where}: name the projects to buy from, such as VCS-191", code=WRONG)
        return Carbonmark(name, key, entry.projects, beneficiary, url=entry.url, test=entry.test)
    if not entry.method or not entry.vintage:
        raise InputError(f"{where}: say which method and oldest vintage its portfolio holds", code=WRONG)
    facts = (entry.method, entry.vintage)
    return CNaught(name, key, beneficiary, facts, portfolio=entry.portfolio, url=entry.url, test=entry.test)


def _entries(path: Path) -> tuple[RegistryEntry, ...]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise InputError(f"cannot read {path} ({reason.strerror}); name a credits.toml", code=WRONG) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"{path.name} is not TOML: {reason}", code=WRONG) from None
    entries = raw.get("registry")
    words = {word for one in entries if isinstance(one, dict) for word in one} if isinstance(entries, list) else set()
    unknown = sorted({*raw} - {"registry"}) + sorted(words - {one.name for one in fields(RegistryEntry)})
    if unknown:
        # A misspelt word would silently mean its default.
        raise InputError(f"{path.name}: unknown word {unknown[0]!r}", code=WRONG)
    try:
        return decode(json.dumps(raw), RegistryFile).registry
    except (InputError, TypeError) as reason:
        raise InputError(f"{path.name}: {reason}; name [[registry]] with its kind", code=WRONG) from None
