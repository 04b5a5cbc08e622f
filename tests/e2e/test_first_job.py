"""The first hour of a user, word by word: real processes, nothing but the command line."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest

pytestmark = pytest.mark.slow

SPEED = "900"
START = datetime(2026, 6, 11, 6, tzinfo=UTC)
CLEAN_FROM_H, FILE_H = 4, 400
DIRTY_G, CLEAN_G = 900, 5
SOURCE = "meter at the feeder"
UNITS = 40
START_WEI = 20_000 * 10**18
"""Test money of a new account; 50 USD are 100 ATH more, and the jobs here set less aside."""
PATIENCE_S = 60
SUNWARD = (sys.executable, "-m", "sunward")
JOBS = str(resources.files("sunward.demo") / "jobs")
UP = ("up", "--port", "0", "--speed", SPEED, "--start", f"{START:%Y-%m-%dT%H:%M}", "--carbon", "own.csv")
SITE = ("--zone", "DE", "--gpu", "RTX4090:1", "--ask", "0.2", "--trusted")
SUBMIT = ("submit", "--hours", "0.1", "--units", str(UNITS), "--zone", "DE", "--folder", JOBS, "-y")
BATCH = ("--", "python3", "batch.py")


class User:
    """Someone at a terminal, with a home folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SUNWARD_", "LC_", "LANG"))}
        self.environment = own | {"SUNWARD_HOME": str(folder / "home"), "LANG": "C.UTF-8"}

    def say(self, *words):
        """Run one command."""
        return subprocess.run(
            [*SUNWARD, *words],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def ask(self, *words):
        """The JSON that one command answers."""
        done = self.say("--json", *words)
        assert done.returncode == 0, (words, done.stderr)
        return json.loads(done.stdout)

    def refused(self, code, *words, language="en"):
        """One line with the code, and exit 2."""
        done = self.say("--lang", language, *words)
        start = f"{'error' if language == 'en' else '오류'} {code}: "
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), (words, done.stderr)
        assert done.stderr.startswith(start), (words, done.stderr)
        return done.stderr

    @contextmanager
    def running(self, name, *words, ready):
        """A command that serves, in a terminal of its own, until Ctrl-C: it must then end by itself and cleanly."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*SUNWARD, *words],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            wait_until(lambda: ready in log.read_text() or process.poll() is not None, f"{name} says {ready!r}")
            yield
            process.send_signal(signal.SIGINT)
            assert (process.wait(PATIENCE_S), "Traceback" in log.read_text()) == (0, False), log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def chain(units):
    """What `batch.py` says of itself: a hash of the hash before it, for every unit."""
    value = hashlib.sha256(b"sunward batch").hexdigest()
    for unit in range(1, units + 1):
        value = hashlib.sha256(f"{value} {unit}".encode()).hexdigest()
    return value


def wait_until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.1)


def test_a_first_user_gets_from_nothing_to_a_checked_receipt(tmp_path):
    user = User(tmp_path)
    write_own_series(tmp_path / "own.csv")
    user.refused("SW-100", "up", "--carbon", "missing.csv")
    assert not (tmp_path / "home").exists(), "a refused start leaves nothing behind"
    with user.running("up", *UP, ready="credentials in"):
        user.refused("SW-154", *SUBMIT, *BATCH, language="ko")
        token = user.say("site", "token").stdout.strip()
        with user.running("join", "join", "--join-token", token, "--site", "home", *SITE, ready="started"):
            job = submit(user)
            refusals(user, token)
            results(user, job)
            receipt(user, job)
            cancellation(user)
            records(user)


def write_own_series(file):
    """Hours of one's own: dirty at first, clean from then on."""
    rows = ["zone,ts_utc,value,quality,source"]
    for hour in range(FILE_H):
        value = DIRTY_G if hour < CLEAN_FROM_H else CLEAN_G
        rows.append(f"DE,{START + timedelta(hours=hour):%Y-%m-%dT%H:%MZ},{value},measured,{SOURCE}")
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def submit(user):
    """The quote waits for the clean hours of the user's own file; nothing is sent before the user agrees."""
    wait_until(lambda: user.ask("site")[0]["reachable"], "the site answers")
    quote = user.ask(*SUBMIT, "--dry-run", *BATCH)
    assert quote["start_ms"] >= (START + timedelta(hours=CLEAN_FROM_H)).timestamp() * 1_000
    return user.ask(*SUBMIT, *BATCH)["job"]


def refusals(user, token):
    """Each mistake is one line, and changes nothing."""
    user.refused("SW-100", *SUBMIT, "--zone", "ZZ", *BATCH, language="ko")
    user.refused("SW-625", *UP, language="ko")
    user.refused("SW-160", "join", "--folder", "second", "--join-token", token, "--site", "second", *SITE)
    fresh = user.say("site", "token").stdout.strip()
    user.refused("SW-162", "join", "--folder", "third", "--join-token", fresh, "--site", "home", *SITE, language="ko")
    user.refused("SW-516", "join")
    assert [site["site"] for site in user.ask("site")] == ["home"]


def cancellation(user):
    """A second job is called off; more test money comes when asked for."""
    # So long that it cannot end by itself before.
    job = user.ask(*SUBMIT, "--hours", "20", "--finish-within", "99h", *BATCH)["job"]
    user.ask("cancel", job)
    wait_until(lambda: user.ask("jobs", job)["job"]["state"] == "cancelled", "the job is cancelled")
    assert user.ask("cancel", job)["state"] == "cancelled"
    assert user.ask("account", "deposit", "50")["balance_wei"] > START_WEI


def results(user, job):
    """The log to its end, and the files, which only every unit of work in order can give."""
    followed = user.say("logs", job, "-f")
    assert followed.returncode == 0, followed.stderr
    assert f"unit {UNITS} of {UNITS}, chain" in followed.stdout
    assert followed.stderr.splitlines()[-1].startswith(f"{job}: finished")
    assert user.ask("fetch", job, "--to", "results")["files"] == ["chain.json"]
    found = json.loads((user.folder / "results" / "chain.json").read_text())
    assert found == {"units": UNITS, "value": chain(UNITS)}
    assert "완료" in user.say("jobs", "--lang", "ko").stdout


def receipt(user, job):
    """Final at the epoch's close; names the user's own source; holds against independent code, and only unchanged."""

    def final():
        user.ask("epoch", "close")
        done = user.say("receipt", job, "--bundle", "bundle.json", "--json")
        return done.returncode == 0 and json.loads(done.stdout)["final"]

    wait_until(final, "the receipt is final")
    lines = user.ask("receipt", job)["receipt"]["lines"]
    assert {(row["carbon_source"], row["carbon_mg_per_kwh"]) for row in lines} == {(SOURCE, CLEAN_G * 1_000)}
    checked = user.say("verify", "bundle.json")
    assert (checked.returncode, checked.stdout[:3]) == (0, "OK:"), checked
    bundle = (user.folder / "bundle.json").read_text()
    at = bundle.index('\\"gpu_j\\":') + len('\\"gpu_j\\":')
    changed = bundle[:at] + ("1" if bundle[at] != "1" else "2") + bundle[at + 1 :]
    (user.folder / "changed.json").write_text(changed)
    for language, mark in (("en", "REFUSED:"), ("ko", "거부됨:")):
        refused = user.say("--lang", language, "verify", "changed.json")
        assert (refused.returncode, refused.stdout.startswith(mark)) == (1, True), refused
    user.refused("SW-618", "verify", "own.csv", language="ko")
    korean = user.say("--lang", "ko", "receipt", job).stdout
    assert "증명되지 않은 것" in korean
    assert SOURCE in korean


def records(user):
    """The journal holds together, and its plans come out the same again."""
    verdict = user.ask("journal", "verify", "--replan")
    assert verdict["ok"]
    assert verdict["records"] <= user.ask("journal", "head")["sequence"]
    assert user.ask("epoch")[0]["balance_wei"] in (0, "0")
    assert "탄소집약도" in user.say("--lang", "ko", "grid", "DE", "--hours", "6").stdout
