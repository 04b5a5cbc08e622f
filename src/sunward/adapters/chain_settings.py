"""Which chain a service posts to, and by which contracts: `chain.json` in its home folder, and the chain it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sunward.adapters.chain_embedded import EmbeddedChain
from sunward.adapters.chain_key import address_of
from sunward.adapters.chain_rpc import Web3Chain, open_rpc
from sunward.adapters.secret_file import write_secret
from sunward.errors import InputError
from sunward.model.codec import decode, encode

SETTINGS_FILE, KEY_FILE, EMBEDDED_FILE = "chain.json", "chain-key.json", "chain.log"
EMBEDDED = "embedded"
GWEI = 10**9
BAD_SETTINGS = "SW-822"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """Addresses of the contracts that are live."""

    token: str
    registry: str
    distributor: str
    vault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """What `chain.json` holds. The address of a node may hold a key of its provider, so others may not read it."""

    rpc: str
    """Address of a node, or `embedded`."""
    chain_id: int
    confirmations: int = 1
    max_fee_wei: int = 100 * GWEI
    contracts: Contracts
    test_token: bool = False
    """Whether the token is one that this key may mint: what is missing is then made."""
    first_block: int = 0
    """Nothing of these contracts is older."""


def read_settings(home: Path) -> ChainSettings | None:
    """The settings of a home; nothing where it posts to no chain.

    Raises: InputError when they are damaged.
    """
    try:
        return decode((home / SETTINGS_FILE).read_bytes(), ChainSettings)
    except FileNotFoundError:
        return None
    except InputError as reason:
        raise InputError(f"{home / SETTINGS_FILE}: {reason.message}", code=BAD_SETTINGS) from None


def write_settings(home: Path, settings: ChainSettings) -> Path:
    """Put the settings in place."""
    path = home / SETTINGS_FILE
    write_secret(path, encode(settings))
    return path


def open_chain(home: Path, rpc: str, chain_id: int = 0) -> Web3Chain:
    """The chain at an address, or the embedded one of a home.

    Raises: SourceError when it cannot be asked, InputError when it is another chain than was named.
    """
    if rpc == EMBEDDED:
        return EmbeddedChain(address_of(home / KEY_FILE), home / EMBEDDED_FILE)
    return open_rpc(rpc, chain_id)
