"""Who takes part in the demo and what is asked; only the planner decides what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sunward.cli.text import N_
from sunward.model.hardware import WorkClass

START = "2026-06-11T03:30"
"""Grid time of the first start; jobs come from 06:00, when every agent is there."""
FIRST_SUBMIT_MS = 1_781_157_600_000
"""2026-06-11 06:00 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSite:
    """One provider."""

    site: str
    zone: str
    gpu: str
    count: int
    cooling: str
    overhead: float
    ask_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoJob:
    """One job as its tenant asks it."""

    name: str
    asked: str
    """What is asked, in a few words; a message id."""
    script: str
    submit_h: float = 0.0
    length_h: float
    """Run time on the reference GPU."""
    within_h: float
    units: int
    gpus: int = 1
    pausable: bool = False
    countries: tuple[str, ...] = ()
    origin_zone: str = "DE"
    policy: str = "balanced"
    work_class: WorkClass = WorkClass.TRAINING
    functional_unit: str = ""
    env: dict[str, str] = field(default_factory=dict)
    ends: str = "finished"
    """State the job is expected to end in."""


SITES = (
    DemoSite(site="no-hydro", zone="NO-NO1", gpu="H100-SXM", count=4, cooling="immersion", overhead=1.08, ask_usd=3.4),
    DemoSite(
        site="es-solar", zone="ES", gpu="A100-SXM-80GB", count=4, cooling="direct_to_chip", overhead=1.15, ask_usd=0.9
    ),
    DemoSite(site="pl-coal", zone="PL", gpu="L40S", count=2, cooling="air", overhead=1.40, ask_usd=0.45),
)

KILLED = "tune"
"""The job whose agent is killed once a checkpoint of it is safe."""

YIELDS = "embed"
"""The job whose site the grid asks to draw less, just as much as it takes for one job to give way."""

JOBS: tuple[DemoJob, ...] = (
    DemoJob(
        name="gang",
        asked=N_("4 GPUs at once"),
        script="gang.py",
        length_h=7,
        within_h=12,
        units=400,
        gpus=4,
        policy="greenest",
        env={"GANG_GPUS": "4"},
    ),
    DemoJob(
        name="train",
        asked=N_("15 h, pausable"),
        script="train.py",
        length_h=15,
        within_h=16,
        units=9_600,
        pausable=True,
        policy="8000",
        functional_unit="training step",
    ),
    DemoJob(
        name="tune",
        asked=N_("5 h, pausable"),
        script="batch.py",
        length_h=5,
        within_h=9,
        units=2_000,
        pausable=True,
        work_class=WorkClass.FINE_TUNING,
    ),
    DemoJob(
        name="private",
        asked=N_("PL only"),
        script="batch.py",
        length_h=2,
        within_h=14,
        units=400,
        countries=("PL",),
        origin_zone="FR",
    ),
    DemoJob(
        name="huge",
        asked=N_("8 GPUs"),
        script="batch.py",
        length_h=2,
        within_h=12,
        units=100,
        gpus=8,
        ends="refused",
    ),
    DemoJob(
        name="embed",
        asked=N_("3 h, cheapest"),
        script="batch.py",
        length_h=3,
        within_h=12,
        units=300,
        pausable=True,
        countries=("ES", "NO"),
        policy="cheapest",
        work_class=WorkClass.BATCH_INFERENCE,
    ),
    DemoJob(
        name="sweep",
        asked=N_("2 GPUs, pausable"),
        script="batch.py",
        length_h=15,
        within_h=11,
        units=1_600,
        gpus=2,
        pausable=True,
        policy="greenest",
    ),
    DemoJob(
        name="samples",
        asked=N_("files to fetch"),
        script="write_files.py",
        submit_h=1,
        length_h=3,
        within_h=9,
        units=60,
    ),
    DemoJob(
        name="render",
        asked=N_("2 GPUs, 17 h"),
        script="batch.py",
        submit_h=0,
        length_h=17,
        within_h=11,
        units=300,
        gpus=2,
        policy="greenest",
        work_class=WorkClass.RENDERING,
    ),
)
