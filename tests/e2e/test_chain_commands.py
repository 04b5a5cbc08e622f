"""`sunward chain` beside a real service: keys, contracts, a wallet, an epoch that becomes final, all on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
START_S = 120.0


def test_a_network_goes_onto_an_embedded_chain_while_it_runs(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("correct horse battery\n")
    words.chmod(0o600)
    environ = os.environ | {"SUNWARD_CHAIN_PASSPHRASE_FILE": str(words), "SUNWARD_LANG": "en"}
    command = [sys.executable, "-m", "sunward", "--home", str(tmp_path / "home")]

    def say(*more: str, code: int = 0) -> Any:
        returned, told = ask(command, environ, *more)
        assert returned == code, told
        return told

    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen([*command, "up", "--port", "0"], env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while not (tmp_path / "home" / "credentials.json").exists():
            assert service.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        poster = say("chain", "key", "new")["address"]
        wallet = say("chain", "key", "new", "--wallet")["address"]
        assert poster != wallet
        assert say("chain", "status", code=2)["code"] == "SW-830"
        made = say("chain", "deploy", "--rpc", "embedded", "--veto-hours", "1")
        assert say("chain", "deploy", "--rpc", "embedded", code=2)["code"] == "SW-831"
        while "chain_id" not in (told := ask(command, environ, "chain", "status")[1]):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        assert told["registry"] == made["contracts"]["registry"]
        assert say("chain", "bind")["address"] == wallet
        say("epoch", "close")
        assert say("chain", "post")["posted"] == 1
        assert say("chain", "claim", code=2)["code"] in {"SW-832", "SW-835"}
    finally:
        service.terminate()
        service.wait(START_S)
    assert "correct horse" not in (tmp_path / "log").read_text()


def ask(command: list[str], environ: dict[str, str], *more: str) -> tuple[int, Any]:
    """A command's exit code, and what it told in JSON."""
    words = [*command, *more, "--json"]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=START_S, check=False)
    return done.returncode, json.loads(done.stdout or done.stderr)
