"""The demonstration jobs keep the job contract: a stopped job goes on exactly where it was."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import sunward.demo

JOBS = Path(sunward.demo.__file__).parent / "jobs"
UNITS = 80
ENOUGH = 20
PATIENCE_S = 20.0


@dataclass
class Bench:
    """A folder in which the attempts of one job run, as an executor would start them."""

    folder: Path
    attempt: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, script: str, *, unit_ms: int = 0) -> subprocess.Popen[str]:
        work = self.folder / "work"
        if not work.exists():
            shutil.copytree(JOBS, work, ignore=shutil.ignore_patterns("__pycache__"))
        self.attempt += 1
        contract = {
            "SUNWARD_UNITS": str(UNITS),
            "SUNWARD_UNIT_MS": str(unit_ms),
            "SUNWARD_ATTEMPT": str(self.attempt),
            "SUNWARD_CHECKPOINT": str(self.folder / "checkpoint"),
            "SUNWARD_OUTPUT": str(self.folder / "output"),
            "SUNWARD_PROGRESS": str(self.folder / "progress"),
        }
        command = [sys.executable, script]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUNWARD_", "COV_"))}
        return subprocess.Popen(
            command, cwd=work, env=inherited | contract | self.environment, stdout=subprocess.PIPE, text=True
        )

    def finish(self, script: str) -> list[str]:
        process = self.start(script)
        lines = process.communicate(timeout=PATIENCE_S)[0].splitlines()
        assert process.returncode == 0
        assert self.progress() == UNITS
        return lines

    def interrupt(self, script: str, how: signal.Signals) -> tuple[int, list[str]]:
        """Start a paced attempt and stop it once it has saved and done enough units."""
        process = self.start(script, unit_ms=3)
        until_s = time.monotonic() + PATIENCE_S
        while self.progress() < ENOUGH or not (self.folder / "checkpoint" / "UNITS").exists():
            assert time.monotonic() < until_s, "the job made no progress"
            time.sleep(0.005)
        process.send_signal(how)
        lines = process.communicate(timeout=PATIENCE_S)[0].splitlines()
        return process.returncode, lines

    def progress(self) -> int:
        path = self.folder / "progress"
        return int((path.read_text() if path.exists() else "") or 0)

    def saved(self) -> int:
        return int((self.folder / "checkpoint" / "UNITS").read_text())

    def output(self, name: str) -> bytes:
        return (self.folder / "output" / name).read_bytes()


@pytest.fixture
def calm(tmp_path: Path) -> Bench:
    """Where a job is left alone."""
    return Bench(tmp_path / "calm")


@pytest.fixture
def rough(tmp_path: Path) -> Bench:
    """Where a job is interrupted."""
    return Bench(tmp_path / "rough")


def test_training_resumes_bit_for_bit(calm: Bench, rough: Bench) -> None:
    whole = calm.finish("train.py")

    code, before = rough.interrupt("train.py", signal.SIGTERM)
    assert code == 143
    suspended = rough.saved()
    assert ENOUGH <= suspended == rough.progress() < UNITS
    after = rough.finish("train.py")

    assert before[-1] == after[0], "the loss at the pause is the loss at the resumption"
    assert before[-1].startswith(f"step {suspended} loss ")
    assert rough.output("losses.csv") == calm.output("losses.csv")
    assert rough.output("model.npz") == calm.output("model.npz")
    assert len(rough.output("losses.csv").splitlines()) == UNITS + 1
    first, last = (float(line.split()[-1]) for line in (whole[0], whole[-1]))
    assert last < first, "it learns"


@pytest.mark.parametrize(("how", "expected"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_batch_skips_and_repeats_nothing(rough: Bench, how: signal.Signals, expected: int) -> None:
    code, _ = rough.interrupt("batch.py", how)
    assert code == expected
    saved = rough.saved()
    assert 0 < saved <= rough.progress() < UNITS
    lines = rough.finish("batch.py")

    assert lines[0] == f"attempt 2 from unit {saved}"
    value = hashlib.sha256(b"sunward batch").hexdigest()
    for unit in range(1, UNITS + 1):
        value = hashlib.sha256(f"{value} {unit}".encode()).hexdigest()
    assert json.loads(rough.output("chain.json")) == {"units": UNITS, "value": value}


def test_gang_needs_every_gpu(calm: Bench, rough: Bench) -> None:
    calm.environment = {"CUDA_VISIBLE_DEVICES": "g0,g1,g2,g3", "GANG_GPUS": "4"}
    lines = calm.finish("gang.py")
    assert lines[-1].startswith(f"done on 4 GPUs, unit {UNITS} ")
    assert json.loads(calm.output("fit.json"))["gpus"] == 4

    rough.environment = {"CUDA_VISIBLE_DEVICES": "g0,g1", "GANG_GPUS": "4"}
    process = rough.start("gang.py")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert not (rough.folder / "output" / "fit.json").exists()


def test_written_files_match_their_hashes(rough: Bench) -> None:
    rough.interrupt("write_files.py", signal.SIGTERM)
    rough.finish("write_files.py")
    listed = [line.split("  ") for line in rough.output("report.txt").decode().splitlines()]
    assert {name for _, name in listed} == {"histogram.csv", "histogram.npy", "summary.txt"}
    assert all(hashlib.sha256(rough.output(name)).hexdigest() == digest for digest, name in listed)
    assert rough.output("summary.txt").startswith(f"units {UNITS}\n".encode())


class FakeTime:
    """A clock that moves only when someone sleeps or works."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        assert duration_s > 0
        self.now_s += duration_s


def test_pace_follows_an_absolute_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("paced", JOBS / "paced.py")
    assert spec is not None
    assert spec.loader is not None
    paced = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(paced)
    clock = FakeTime()
    monkeypatch.setattr(paced, "time", clock)
    monkeypatch.setattr(paced.signal, "signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUNWARD_UNITS", "6")
    monkeypatch.setenv("SUNWARD_UNIT_MS", "1000")
    started_s = []
    for unit in paced.Job().work(0, lambda: None):
        started_s.append(clock.now_s - 100.0)
        clock.now_s += 2.5 if unit == 2 else 0.25
    # Unit 2 is slow: what is late starts at once, and the schedule is met again without drift.
    assert started_s == pytest.approx([1.0, 2.0, 4.5, 4.75, 5.0, 6.0])
