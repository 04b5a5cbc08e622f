"""The demonstration as a newcomer runs it, and what becomes of it when one of its checks fails."""

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from sunward.cli.demo import proof, story
from sunward.cli.demo.command import demo
from sunward.cli.demo.proof import Check
from sunward.cli.shell import Shell
from sunward.model.codec import encode
from sunward.verification.verdict import Verdict
from tests.support.bundles import genuine

SPEED = "900"
LIMIT_S = 240
LINES = (
    r"^SITE +GPUS ",
    r"^JOB +ASKED +DECIDED +WHY$",
    r"^\d\d:\d\d  train STARTED at ",
    r"^\d\d:\d\d  huge REFUSED: ",
    r"^\d\d:\d\d  kill -9 \d+ \([a-z-]+ agent\), on purpose$",
    r"^\d\d:\d\d  [a-z-]+ agent is started again, pid \d+$",
    r"^\d\d:\d\d  the grid asks [a-z-]+ to draw at most [0-9.]+ kW from \d\d:\d\d to \d\d:\d\d$",
    r"^\d\d:\d\d  [a-z]+ PAUSED at unit [0-9,]+: it gives way to the grid event",
    r"^RECEIPT +WHERE ",
    r"^EPOCH 1  paid ",
    r"^OK +one changed byte is refused",
    r"^OK +ledger balances to zero",
    r"^OK +running work gave way to the grid event and went on",
    r"^OK +a late write of the lost attempt is fenced",
    r"^OK +a reward was claimed on the chain once its veto window was over",
    r"^OK +the distributor on the chain holds what the books say",
    r"^OK +retired test credits stand on the chain and count 0",
    r"^OK +signed readings lead to the root on the chain",
    r"^Report: file://",
)
ELSEWHERE = re.compile(
    r"""(?:src|href|url|@import)\s*(?:=\s*["']?|\(\s*["']?|\s+["'])\s*(?:https?:)?//""", re.IGNORECASE
)
ADDRESS = re.compile(r"https?://[^\s\"'<)]+")
NAMESPACE = "http://www.w3.org/"


@pytest.mark.slow
def test_the_demo_runs_to_its_end_and_leaves_a_report(tmp_path):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SUNWARD_", "LC_", "LANG"))}
    done = subprocess.run(
        [sys.executable, "-m", "sunward", "demo", "--folder", str(tmp_path / "demo"), "--speed", SPEED],
        env=own | {"LANG": "C.UTF-8"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "colours are for terminals"
    missing = [pattern for pattern in LINES if not re.search(pattern, done.stdout, re.MULTILINE)]
    assert missing == [], done.stdout
    assert not re.search(r"^FAILED", done.stdout, re.MULTILINE)
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert not ELSEWHERE.search(page), "the report must open without a network"
    assert {address for address in ADDRESS.findall(page) if not address.startswith(NAMESPACE)} == set()


class Stage:
    """No processes: the end of the story is what is tested."""

    def __init__(self, *_):
        self.folder = None
        self.environ = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def start_control(self):
        return 1

    def start_agent(self, _site):
        return 2

    def client(self):
        return nullcontext(SimpleNamespace(clock=lambda: None))


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_one_failed_check_fails_the_demo(passed, code, monkeypatch, tmp_path):
    monkeypatch.setattr(story, "Stage", Stage)
    for step in ("_wait_for_sites", "_show_sites", "_run", "_write_page", "_show_end"):
        monkeypatch.setattr(story, step, lambda *_: None)
    monkeypatch.setattr(story, "_settle", lambda _told: [])
    monkeypatch.setattr(story.on_chain, "deploy_contracts", lambda _stage: None)
    checks = [Check("first", True, ""), Check("planted", passed, ""), Check("last", True, "")]
    monkeypatch.setattr(story, "_prove", lambda told, _receipts: told.checks.extend(checks))
    asked = ["--folder", str(tmp_path / "demo"), "--json"]
    result = CliRunner().invoke(demo, asked, obj=Shell(), standalone_mode=False)
    assert result.return_value == code
    assert json.loads(result.stdout)["ok"] is passed


def test_a_verifier_that_lets_a_changed_byte_pass_is_a_failed_check(monkeypatch):
    raw = encode(genuine())
    assert proof.check_tampered(raw).passed
    lenient = Verdict(findings=(), checked=("nothing",), not_proved=())
    monkeypatch.setattr(proof, "verify", lambda _bundle: lenient)
    assert not proof.check_tampered(raw).passed
