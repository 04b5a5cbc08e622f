"""The rules of `tests/conftest.py` hold."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SKIPPING = """
import pytest

@pytest.mark.services
def test_needs_a_service():
    pytest.skip("the service is absent")

def test_needs_nothing_special():
    pytest.skip("for another reason")
"""


def run_skipping(folder: Path, required: str) -> str:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "test_skipping.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    environment = os.environ | {"SUNWARD_REQUIRE_SERVICES": required}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_a_missing_service_is_a_visible_skip(tmp_path: Path) -> None:
    output = run_skipping(tmp_path, "")
    assert "the service is absent" in output
    assert "2 skipped" in output


def test_a_missing_service_fails_where_services_are_required(tmp_path: Path) -> None:
    output = run_skipping(tmp_path, "1")
    assert "test_needs_a_service was skipped: Skipped: the service is absent" in output
    assert "1 failed, 1 skipped" in output


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.invalid"])
def test_nothing_leaves_this_machine(host: str) -> None:
    with pytest.raises(RuntimeError, match="tests may not reach"):
        socket.create_connection((host, 80), timeout=0.1)


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]) as client:
        assert client.getpeername() == server.getsockname()
