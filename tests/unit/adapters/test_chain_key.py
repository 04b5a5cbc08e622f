import json
import logging
from pathlib import Path

import pytest

from sunward.adapters.chain_key import (
    ChainKey,
    address_of,
    make_key,
    open_key,
    passphrase_of,
    signer_of,
)
from sunward.errors import InputError
from sunward.ports import Transaction

WORDS, ROUNDS = "correct horse battery", 2
WANTED = Transaction(chain_id=1, nonce=0, to="0x" + "0b" * 20, data=b"", gas=21_000, max_fee_wei=2, tip_wei=1)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, ChainKey]:
    path = tmp_path / "key.json"
    return path, make_key(path, WORDS, ROUNDS)


def test_a_key_opens_with_its_passphrase_alone(made: tuple[Path, ChainKey]) -> None:
    path, key = made
    assert open_key(path, WORDS).address == key.address == address_of(path)
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_bytes())["crypto"]["kdf"] == "scrypt"
    with pytest.raises(InputError, match="no key of that passphrase"):
        open_key(path, WORDS + "!")


def test_a_key_is_never_overwritten_nor_made_under_a_short_passphrase(made: tuple[Path, ChainKey]) -> None:
    path, _ = made
    before = path.read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        make_key(path, WORDS, ROUNDS)
    with pytest.raises(InputError, match="at least"):
        make_key(path.with_name("other"), "short", ROUNDS)
    assert path.read_bytes() == before


def test_the_key_shows_itself_nowhere(
    made: tuple[Path, ChainKey], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path, key = made
    secret = bytes(key._account.key).hex()
    with caplog.at_level(logging.DEBUG):
        again = open_key(path, WORDS)
        again.sign(WANTED)
        again.sign_words("hello")
    told = caplog.text + "".join(capsys.readouterr()) + repr(again) + str(vars(again)) + path.read_text()
    assert secret not in told
    assert WORDS not in told


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"not json", b'{"crypto": {}, "version": 3}'])
def test_what_is_no_key_file_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    for look in (lambda: open_key(path, WORDS), lambda: address_of(path)):
        with pytest.raises(InputError, match=r"no key") as caught:
            look()
        assert "\n" not in caught.value.message


def test_the_passphrase_comes_from_a_file_of_the_owners_alone_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "words"
    file.write_text(WORDS + "\nsecond line\n")
    file.chmod(0o600)
    assert passphrase_of({}, file) == WORDS
    assert passphrase_of({"SUNWARD_CHAIN_PASSPHRASE_FILE": str(file), "SUNWARD_CHAIN_PASSPHRASE": "x"}) == WORDS
    assert passphrase_of({"SUNWARD_CHAIN_PASSPHRASE": WORDS}) == WORDS
    with pytest.raises(InputError, match="needs its passphrase"):
        passphrase_of({})
    file.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        passphrase_of({}, file)
    with pytest.raises(InputError, match="cannot read"):
        passphrase_of({}, tmp_path / "none")


def test_who_signed_words_is_found(made: tuple[Path, ChainKey]) -> None:
    _, key = made
    signature = key.sign_words("these words")
    assert signer_of("these words", signature) == key.address
    assert signer_of("other words", signature) != key.address
    for nonsense in ("", "0x", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "12" * 64, "zz" * 65):
        with pytest.raises(InputError, match="EIP-191"):
            signer_of("these words", nonsense)
