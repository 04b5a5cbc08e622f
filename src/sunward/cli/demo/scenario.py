"""Who takes part in the demo and what is asked; only the planner decides what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sunward.model.hardware import WorkClass

START = "2026-06-11T05:30"
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
    DemoSite(
        site="no-hydro", zone="NO-NO1", gpu="H100-SXM", count=4, cooling="immersion", overhead=1.08, ask_usd=2.6
    ),
    DemoSite(
        site="es-solar", zone="ES", gpu="A100-SXM-80GB", count=4, cooling="direct_to_chip", overhead=1.15, ask_usd=1.1
    ),
    DemoSite(site="pl-coal", zone="PL", gpu="L40S", count=2, cooling="air", overhead=1.40, ask_usd=0.7),
)
