"""Values that decide draws: published by drand, or drawn on this machine where nothing better is named."""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

from sunward.adapters.feeds.web import Web
from sunward.errors import InputError, SourceError
from sunward.model.challenge import BeaconValue
from sunward.units import SECOND_MS

BAD_BEACON, NO_VALUE = "SW-776", "SW-777"
LOCAL = "local beacon: the operator could have chosen it"
UNVERIFIED = "drand: published after the candidates were fixed; its BLS signature is not checked here"
VERIFIED = "drand: published after the candidates were fixed; its BLS signature holds"
DEFAULT_CHAIN = "default"
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
    public_key: str = ""
    groupHash: str = ""  # noqa: N815  drand's own name
    schemeID: str = ""  # noqa: N815  drand's own name
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def own_hash(self) -> str:
        """What the hash of a chain with this key, pace and beginning is."""
        name = self.metadata.get("beaconID", DEFAULT_CHAIN)
        told = [self.period.to_bytes(4, "big"), self.genesis_time.to_bytes(8, "big", signed=True)]
        told += [bytes.fromhex(self.public_key), bytes.fromhex(self.groupHash)]
        return hashlib.sha256(b"".join([*told, b"" if name == DEFAULT_CHAIN else name.encode()])).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One published round."""

    round: int
    randomness: str
    signature: str
    previous_signature: str = ""


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
        source, label = f"drand {self._name[:8]}", VERIFIED if self._is_signed(chain, found) else UNVERIFIED
        return BeaconValue(source=source, round=number, value=found.randomness, label=label)

    def _is_signed(self, chain: Chain, found: Round) -> bool:
        """Whether the key of the chain that was named signed a round; false where nothing here can tell.

        Raises: SourceError when it did not, or the key is another chain's.
        """
        if find_spec("py_ecc") is None:
            return False
        bls = import_module("sunward.adapters.bls")
        if chain.schemeID not in bls.SCHEMES:
            return False
        try:
            ours = chain.own_hash == self._name
        except (ValueError, OverflowError):
            ours = False
        told = (chain.schemeID, chain.public_key, found.round, found.signature, found.previous_signature)
        if not ours or not bls.round_signed(*told):
            line = f"the beacon's round {found.round} is not signed by the key of the chain that was named"
            raise SourceError(line, transient=False, code=NO_VALUE)
        return True

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
