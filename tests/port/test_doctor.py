"""The doctor on this machine, on a stub of the driver, and against services that answer well, badly and not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sunward.agent import doctor
from sunward.agent.doctor import Finding, Level, examine

NOW_S = 1_749_600_000.0


class Health(BaseHTTPRequestHandler):
    status, date_s = 200, NOW_S

    def do_GET(self) -> None:
        self.send_response_only(self.status)
        self.send_header("date", formatdate(self.date_s, usegmt=True))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(doctor.time, "time", lambda: NOW_S)
    made = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def found(folder: Path, server: str = "") -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(folder, server)}


def test_a_bare_machine_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = found(tmp_path / "agent", server)
    assert (seen["isolation"].level, seen["isolation"].fix) == (Level.MUST, "sudo apt install bubblewrap")
    assert (seen["strangers"].level, seen["strangers"].fix) == (Level.CAN, "sudo apt install runsc")
    assert seen["control plane"].level is Level.GOOD
    assert seen["clock"].level is Level.GOOD
    assert seen["site"].fix.startswith("sunward join")
    assert all("\n" not in finding.what + finding.fix for finding in seen.values())


@pytest.mark.parametrize(
    ("sysctl", "fix"),
    [
        ("USER_NAMESPACES", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("APPARMOR_USERNS", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ],
)
def test_namespaces_that_are_forbidden_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sysctl: str, fix: str
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, value in (("USER_NAMESPACES", "1"), ("APPARMOR_USERNS", "0")):
        (tmp_path / name).write_text(str(1 - int(value)) if name == sysctl else value)
        monkeypatch.setattr(doctor, name, tmp_path / name)
    assert found(tmp_path)["isolation"].fix == fix


def test_a_clock_that_is_off_and_a_service_that_fails_must_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setattr(Health, "date_s", NOW_S - 120)
    assert found(tmp_path, server)["clock"].what == "+120 s from the control plane's"
    monkeypatch.setattr(Health, "status", 503)
    assert found(tmp_path, server)["control plane"].level is Level.MUST
    assert found(tmp_path, "http://127.0.0.1:1")["control plane"].level is Level.MUST
    assert found(tmp_path, "no address")["control plane"].level is Level.MUST


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("colour = 3")
    finding = found(tmp_path)["settings"]
    assert finding.level is Level.MUST
    assert "colour" in finding.what


SCRIPT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from sunward.agent.doctor import examine
print(json.dumps([asdict(finding) for finding in examine(Path(sys.argv[1]), "")]))
"""


@pytest.mark.parametrize(("mode", "cap"), [("", "good"), ("denied", "can")])
def test_gpus_are_named_metered_and_capped_as_far_as_permitted(stub: Path, tmp_path: Path, mode: str, cap: str) -> None:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stub), "NVML_STUB_MODE": mode}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seen = [(one["name"], one["level"], one["what"]) for one in json.loads(done.stdout)]
    assert ("gpu", "good", "GPU-stub-0: NVIDIA L40S is L40S, 48 GiB") in seen
    assert ("meter", "good", "GPU-stub-1: limit 350 W, 40 °C now") in seen
    assert [level for name, level, _ in seen if name == "power cap"] == [cap, cap]
