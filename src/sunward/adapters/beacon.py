"""Values that decide draws: published by drand, or drawn on this machine where nothing better is named."""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass

from sunward.adapters.feeds.web import Web
from sunward.errors import InputError, SourceError
from sunward.model.challenge import BeaconValue
from sunward.units import SECOND_MS

BAD_BEACON, NO_VALUE = "SW-776", "SW-777"
LOCAL = "local beacon: the operator could have chosen it"
UNVERIFIED = "drand: published after the candidates were fixed; its BLS signature is not checked here"
VALUE_BYTES = 32


class LocalBeacon:
    """Draws by itself; for a network of one's own."""

    def after(self, machine_ms: int) -> BeaconValue:
        """A value drawn now."""
        del machine_ms
        return BeaconValue(source="local", round=0, value=secrets.token_hex(VALUE_BYTES), label=LOCAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What a drand relay says of a chain."""

    period: int
    """Seconds between two rounds."""
    genesis_time: int
    """Seconds since 1970 UTC of the first round."""
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One published round."""

    round: int
    randomness: str
    signature: str


class DrandBeacon:
    """A chain of drand at a relay, as `https://RELAY/CHAIN_HASH`; which round counts is not the relay's to say."""

    def __init__(self, url: str) -> None:
        self._web = Web("the beacon", url)
        self._name = url.rstrip("/").rpartition("/")[2]
        if len(self._name) != 2 * VALUE_BYTES or not all(sign in "0123456789abcdef" for sign in self._name):
            raise InputError("the address of a beacon ends with its chain's hash, 64 hex digits", code=BAD_BEACON)
        self._chain: Chain | None = None

    def after(self, machine_ms: int) -> BeaconValue:
        """The first round that is published after a moment.

        Raises: SourceError; transient while it is not there yet.
        """
        chain = self._known()
        since_ms = machine_ms - chain.genesis_time * SECOND_MS
        number = max(1, math.floor(since_ms / (chain.period * SECOND_MS)) + 2)
        found = self._web.get(f"public/{number}", Round)
        try:
            right = hashlib.sha256(bytes.fromhex(found.signature)).hexdigest() == found.randomness
        except ValueError:
            right = False
        if found.round != number or not right:
            raise SourceError(f"the beacon's round {number} is not what it says", transient=False, code=NO_VALUE)
        source = f"drand {self._name[:8]}"
        return BeaconValue(source=source, round=number, value=found.randomness, label=UNVERIFIED)

    def _known(self) -> Chain:
        if self._chain is None:
            chain = self._web.get("info", Chain)
            if chain.hash != self._name or chain.period < 1:
                raise SourceError("the relay tells of another chain than was named", transient=False, code=NO_VALUE)
            self._chain = chain
        return self._chain

    def close(self) -> None:
        """Let go of connections."""
        self._web.close()
