"""Fixed scenarios as text: a change of any plan, history, entry or receipt shows as a diff to be reviewed."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

from sunward.sim.runner import Faults, Simulation
from sunward.units import HOUR_MS
from tests.golden.transcript import transcript
from tests.support.scenarios import START_MS, job, scenario

HERE = Path(__file__).parent
ACCEPT = "if this is meant, accept it with `make golden` (or UPDATE_GOLDEN=1) and review the diff in git"


def demo_like() -> Simulation:
    """A pausable job, a gang, one bound to a country, one in a hurry, one that fits nowhere."""
    jobs = (
        (0, job("train", interruptible=True, length_ms=3 * HOUR_MS, functional_unit="step")),
        (0, job("gang", gpus=4, length_ms=2 * HOUR_MS)),
        (60_000, job("private", allowed_countries=("PL",), length_ms=HOUR_MS)),
        (120_000, job("urgent", length_ms=HOUR_MS, deadline_ms=START_MS + 2 * HOUR_MS, carbon_price_usd_per_t=0)),
        (180_000, job("huge", gpus=8)),
    )
    return Simulation(scenario(tuple((START_MS + at_ms, spec) for at_ms, spec in jobs), hours=24))


def crashes() -> Simulation:
    """Two jobs among crashing agents and killed processes."""
    faults = Faults(agent_crashes_per_h=0.6, job_kills_per_h=0.5)
    jobs = tuple(
        (START_MS, job(name, interruptible=True, length_ms=5 * HOUR_MS, deadline_ms=START_MS + 20 * HOUR_MS))
        for name in ("one", "two")
    )
    return Simulation(scenario(jobs, hours=30, faults=faults, seed=4))


def elastic() -> Simulation:
    """A job that takes what is free of four GPUs, and a gang that needs all of them for a while."""
    curve = {"gpus_max": 4, "speedup_ppm": (1_000_000, 1_950_000, 2_850_000, 3_700_000)}
    norway = {"allowed_countries": ("NO",), "escrow_wei": 2 * 10**20}
    jobs = (
        (0, job("elastic", interruptible=True, length_ms=50 * HOUR_MS, **norway, **curve)),
        (HOUR_MS, job("gang", gpus=3, length_ms=4 * HOUR_MS, start_by_ms=START_MS + 2 * HOUR_MS, **norway)),
    )
    return Simulation(scenario(tuple((START_MS + at_ms, spec) for at_ms, spec in jobs), hours=24))


@pytest.mark.parametrize("make", [demo_like, crashes, elastic])
def test_the_run_reads_as_reviewed(make):
    simulation = make()
    simulation.run()
    text = transcript(simulation.journal)
    path = HERE / f"{make.__name__.replace('_', '-')}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    known = path.read_text() if path.exists() else ""
    diff = difflib.unified_diff(known.splitlines(), text.splitlines(), path.name, "now", lineterm="")
    assert known == text, "\n".join([*list(diff)[:80], ACCEPT])
