"""The catalogue's files are what the sources make them, and nothing is untranslated; `make check` asks the same."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_files_match_the_sources():
    tool = [sys.executable, str(ROOT / "tools" / "build_locale.py"), "--check"]
    asked = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr
