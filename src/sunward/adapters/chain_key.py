"""The key that signs transactions: a file encrypted by a passphrase, in the form that Ethereum's tools share."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_account.types import TransactionDictType
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from sunward.adapters.secret_file import write_secret
from sunward.errors import InputError
from sunward.ports import Signed, Transaction

BAD_KEY, NO_PASSPHRASE, BAD_SIGNATURE = "SW-824", "SW-825", "SW-820"
FILE_VARIABLE, VARIABLE = "SUNWARD_CHAIN_PASSPHRASE_FILE", "SUNWARD_CHAIN_PASSPHRASE"
SCRYPT_ROUNDS = 2**18
"""Memory and time that one guess of the passphrase costs; what Ethereum's tools use."""
LEAST_PASSPHRASE = 12
SIGNATURE = re.compile("0x[0-9a-fA-F]{130}")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ChainKey:
    """A key in use; it shows itself nowhere."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    @property
    def address(self) -> str:
        """The account it signs for."""
        return self._account.address.lower()

    def sign(self, one: Transaction) -> Signed:
        """Sign a transaction of type 2 (EIP-1559)."""
        told: TransactionDictType = {
            "type": 2,
            "chainId": one.chain_id,
            "nonce": one.nonce,
            "data": one.data,
            "value": 0,
            "gas": one.gas,
            "maxFeePerGas": one.max_fee_wei,
            "maxPriorityFeePerGas": one.tip_wei,
        }
        if one.to:
            # The library takes an address in mixed case only, as text; as bytes it takes any.
            told["to"] = bytes.fromhex(one.to.removeprefix("0x"))
        done = self._account.sign_transaction(told)
        return Signed(raw=bytes(done.raw_transaction), hash="0x" + bytes(done.hash).hex())

    def sign_words(self, text: str) -> str:
        """Sign words (EIP-191), hex."""
        return "0x" + bytes(self._account.sign_message(encode_defunct(text=text)).signature).hex()


def make_key(path: Path, passphrase: str, rounds: int = SCRYPT_ROUNDS) -> ChainKey:
    """A new key in a file of its own.

    Raises: InputError where the file is there already, or the passphrase is too short.
    """
    if path.exists():
        raise InputError(f"{path} is there already; it is never overwritten: name another file", code=BAD_KEY)
    if len(passphrase) < LEAST_PASSPHRASE:
        raise InputError(f"a passphrase has at least {LEAST_PASSPHRASE} characters", code=NO_PASSPHRASE)
    account = Account.create()
    told = Account.encrypt(account.key, passphrase, kdf="scrypt", iterations=rounds)
    write_secret(path, json.dumps(told).encode())
    return ChainKey(account)


def open_key(path: Path, passphrase: str) -> ChainKey:
    """The key of a file. Raises: InputError when it is none, or the passphrase is another."""
    try:
        told = json.loads(path.read_bytes())
        return ChainKey(Account.from_key(Account.decrypt(told, passphrase)))
    except FileNotFoundError:
        raise InputError(f"there is no key at {path}; `sunward chain key new` makes one", code=BAD_KEY) from None
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError):
        # The reason is not told on: whatever a library says of a passphrase does not belong in a log.
        raise InputError(f"{path} is no key of that passphrase", code=BAD_KEY) from None


def address_of(path: Path) -> str:
    """The address a key file names, without opening it. Raises: InputError."""
    try:
        return "0x" + str(json.loads(path.read_bytes())["address"]).lower().removeprefix("0x")
    except FileNotFoundError:
        raise InputError(f"there is no key at {path}; `sunward chain key new` makes one", code=BAD_KEY) from None
    except (OSError, ValueError, TypeError, KeyError):
        raise InputError(f"{path} is no key file", code=BAD_KEY) from None


def passphrase_of(environ: Mapping[str, str], file: Path | None = None) -> str:
    """The passphrase: the first line of a file that its owner alone may read, else of the environment.

    Raises: InputError when there is none, or others may read the file.
    """
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is None:
        if environ.get(VARIABLE):
            return environ[VARIABLE]
        line = f"the key needs its passphrase: --passphrase-file, {FILE_VARIABLE} or {VARIABLE}"
        raise InputError(line, code=NO_PASSPHRASE)
    try:
        with named.open(encoding="utf-8") as told:
            if os.fstat(told.fileno()).st_mode & OTHERS:
                line = f"others may read the passphrase in {named}: chmod 600 {named}"
                raise InputError(line, code=NO_PASSPHRASE)
            return told.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as reason:
        raise InputError(f"cannot read the passphrase in {named}: {reason}", code=NO_PASSPHRASE) from None


def signer_of(text: str, signature: str) -> str:
    """Which address signed words (EIP-191). Raises: InputError for what is no signature."""
    wrong = InputError("that is no signature of a wallet (EIP-191): 0x and 130 hex digits", code=BAD_SIGNATURE)
    if not SIGNATURE.fullmatch(signature):
        raise wrong
    try:
        told: str = Account.recover_message(encode_defunct(text=text), signature=bytes.fromhex(signature[2:]))
    except (ValueError, TypeError, BadSignature, ValidationError):
        raise wrong from None
    return told.lower()
