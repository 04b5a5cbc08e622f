"""The blocking client is what the tool makes of the asynchronous one; `make check` asks the same."""

import subprocess
import sys

from tests.conftest import ROOT


def test_the_blocking_client_is_up_to_date():
    tool = [sys.executable, str(ROOT / "tools" / "build_sync.py"), "--check"]
    asked = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr
