"""Requests drawn from the service's own description, valid and not: whatever is sent, the service never fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_first_job import User

pytestmark = pytest.mark.slow

SEED = "20261123"
EXAMPLES = "3"
"""Drawn for each operation, besides the systematic ones."""
PATIENCE_S = 600
CBOR_ONLY = "/v1/agents/readings"
"""Takes CBOR, which is not drawn from a JSON schema; the property tests of the readings' format draw it."""
UNLIMITED = ("--read-rate", "0", "--write-rate", "0", "--agent-rate", "0")
ROLES = ("tenant", "provider", "operator", "auditor")


def test_no_request_makes_the_service_fail(tmp_path: Path) -> None:
    user = User(tmp_path)
    with user.running("up", "up", "--port", "0", "--speed", "1", *UNLIMITED, ready="credentials in"):
        kept = json.loads((tmp_path / "home" / "credentials.json").read_text())
        url, operator = kept["url"], {"authorization": f"Bearer {kept['operator_token']}"}
        wanted = {"subject": "t-anything", "scopes": ROLES}
        token = httpx.post(f"{url}/v1/tokens", json=wanted, headers=operator).json()["token"]
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"]
        command += ["--header", f"Authorization: Bearer {token}", "--exclude-path", CBOR_ONLY, "--seed", SEED]
        command += ["--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--max-examples", EXAMPLES]
        done = subprocess.run(
            [*command, "--no-color", "--warnings", "off"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]
        cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert cases is not None, done.stdout[-2_000:]
        assert cases[1] == cases[2]
        assert int(cases[1]) > 1_000
        print(f"{cases[1]} requests drawn, none failed")  # noqa: T201
        assert httpx.get(f"{url}/healthz").status_code == 200
    log = (tmp_path / "up.log").read_text()
    assert "unforeseen" not in log
