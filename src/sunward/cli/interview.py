"""What `sunward join` finds out by itself on a first start, and how a person confirms it."""

from __future__ import annotations

import os
import re
import socket
from collections import Counter
from dataclasses import dataclass

import click

from sunward.adapters.nvml import nvml_devices
from sunward.cli.text import _
from sunward.client.place import origin_zone
from sunward.errors import InputError, SourceError
from sunward.placement.earnings import suggested_ask
from sunward.world import catalogue

SITE_CHARS = 40
CENT = 2


@dataclass(frozen=True, slots=True)
class Interview:
    """Asks a person, or takes the guess where it was told to; without either a guess is no answer."""

    yes: bool
    person: bool

    def settle(self, question: str, guess: str) -> str | None:
        """The answer to a question: the guess if confirmed, what is typed instead, None where nobody says."""
        if self.yes and guess:
            click.echo(f"{question}: {guess}", err=True)
            return guess
        if not self.person:
            return None
        answer: str = click.prompt(question, default=guess or None, err=True)
        return answer


@dataclass(frozen=True, slots=True)
class Offer:
    """What a site says of itself when it joins, as far as it has been said."""

    site: str | None
    zone: str | None
    pools: list[dict[str, object]]
    ask_usd: float | None
    metered: bool = False
    """Whether the GPUs were found by their driver, whose counters then are the meter."""

    def lacks(self) -> list[str]:
        """The options that are still missing."""
        said = {"--site": self.site, "--zone": self.zone, "--gpu": self.pools, "--ask": self.ask_usd is not None}
        return [name for name, given in said.items() if not given]


def completed(said: Offer, interview: Interview) -> Offer:
    """An offer with what the machine tells of itself, as far as it is confirmed."""
    site = said.site or interview.settle(_("name of the site"), guessed_site())
    zone = said.zone or interview.settle(_("grid zone"), guessed_zone())
    pools, metered, ask_usd = said.pools, False, said.ask_usd
    if not pools and (found := found_pools()) and interview.settle(_("GPUs offered"), told_pools(found)):
        pools, metered = found, True
    if ask_usd is None and pools:
        told = interview.settle(_("ask, USD per GPU hour"), guessed_ask(str(pools[0]["gpu_model"])))
        ask_usd = None if told is None else price(told)
    return Offer(site, zone, pools, ask_usd, metered)


def guessed_site() -> str:
    """This machine's name as a site's, as far as the letters allow."""
    return re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:SITE_CHARS]


def guessed_zone() -> str:
    """The grid zone of the time zone here; empty when that does not tell."""
    try:
        return origin_zone(os.environ)
    except InputError:
        return ""


def found_pools() -> list[dict[str, object]]:
    """The NVIDIA GPUs of this machine that the catalogue knows, as pools; none without a driver."""
    try:
        devices = nvml_devices()
    except SourceError:
        return []
    pools: dict[str, list[str]] = {}
    for device in devices:
        try:
            pools.setdefault(catalogue.load().gpu(device.name).model, []).append(device.uuid)
        except InputError as reason:
            click.echo(f"{device.uuid}: {reason.message}", err=True)
    return [{"gpu_model": model, "devices": uuids} for model, uuids in pools.items()]


def told_pools(pools: list[dict[str, object]]) -> str:
    """Pools as a person reads them."""
    counts = Counter({str(pool["gpu_model"]): len(pool["devices"]) for pool in pools})  # type: ignore[arg-type]
    return ", ".join(f"{count} × {model}" for model, count in counts.items())


def guessed_ask(model: str) -> str:
    """USD per GPU hour by the speed of the model, modelled."""
    return f"{suggested_ask(catalogue.load().gpu(model)):.{CENT}f}"


def price(text: str) -> float:
    """A price that was typed. Raises: InputError."""
    try:
        usd = float(text)
    except ValueError:
        usd = -1.0
    if not 0 <= usd < float("inf"):
        raise InputError(
            _("'{text}' is no price; write USD per GPU hour, such as 0.45").format(text=text), code="SW-627"
        )
    return usd
