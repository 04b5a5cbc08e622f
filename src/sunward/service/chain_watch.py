"""Waits for a chain to be named in the home folder; only then what posts is loaded, which takes seconds."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from sunward.errors import InputError, SourceError
from sunward.service.control import ControlPlane

log = logging.getLogger("sunward.chain")

SETTINGS_FILE = "chain.json"
"""As `adapters.chain_settings` names it, which is not loaded before it is there."""
LOOK_S, IDLE_S, LONGEST_S = 0.2, 1.0, 300.0
"""Machine time between two rounds: while something is open, while nothing is, and at most after failures in a row."""


class Rounds(Protocol):
    """What posts."""

    async def round(self) -> bool:
        """One round; whether something is open."""


@dataclass(slots=True)
class Presence:
    """Whether this service posts, and what keeps it from it."""

    posting: Rounds | None = None
    trouble: str = ""


async def keep_posting(control: ControlPlane, presence: Presence, home: Path | None) -> None:
    """Post whatever is closed, for as long as the service runs."""
    rest_s = IDLE_S
    while True:
        try:
            if presence.posting is None and home is not None and (home / SETTINGS_FILE).exists():
                presence.posting = await asyncio.to_thread(_begin, control, home)
            more = presence.posting is not None and await presence.posting.round()
            rest_s, presence.trouble = (LOOK_S if more else IDLE_S), ""
        except (SourceError, InputError) as reason:
            if reason.message != presence.trouble:
                log.warning("chain: %s (%s); posting is tried again", reason.message, reason.code)
            presence.trouble, rest_s = reason.message, min(2 * rest_s, LONGEST_S)
        await asyncio.sleep(rest_s)


def _begin(control: ControlPlane, home: Path) -> Rounds | None:
    try:
        module = import_module("sunward.service.posting")
    except ModuleNotFoundError as reason:
        line = f"{home / SETTINGS_FILE} names a chain, and {reason.name} is missing: pip install 'sunward[chain]'"
        raise InputError(line, code="SW-826") from None
    begun: Rounds | None = module.begin(control, home)
    return begun
