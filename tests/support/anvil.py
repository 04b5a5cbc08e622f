"""A real JSON-RPC node of the tests' own, on a free port of this machine; gone at the end."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "out" / "anvil"
HOW_TO_GET_IT = f"anvil is not installed: npm install --prefix {FOLDER.relative_to(ROOT)} @foundry-rs/anvil"
START_S = 60.0


class Anvil:
    """A running node."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, *params: object) -> object:
        """One call that only such a node knows, or any other."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        told = httpx.post(self.url, json=body, timeout=30, trust_env=False).json()
        assert "error" not in told, told["error"]
        return told.get("result")

    def grant(self, address: str, wei: int = 10**21) -> None:
        """Give an account coin for gas."""
        self.ask("anvil_setBalance", address, hex(wei))

    def travel(self, seconds: int) -> None:
        """Let time pass."""
        self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")


def program() -> Path | None:
    """Where the program lies, if it is installed."""
    found = shutil.which("anvil")
    own = sorted(FOLDER.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    return Path(found) if found else (own[0] if own else None)


@contextmanager
def running(*options: str) -> Iterator[Anvil]:
    """A node from its start to its end; a skip where there is none."""
    found = program()
    if found is None:
        pytest.skip(HOW_TO_GET_IT)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    process = subprocess.Popen(
        [found, "--port", str(port), "--silent", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        node = Anvil(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + START_S
        while not _answers(node):
            assert process.poll() is None, "anvil ended"
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.05)
        yield node
    finally:
        process.kill()
        process.wait()


def _answers(node: Anvil) -> bool:
    try:
        return bool(node.ask("eth_chainId"))
    except (httpx.HTTPError, json.JSONDecodeError):
        return False
