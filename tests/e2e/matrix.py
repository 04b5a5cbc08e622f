"""The faults that a run meets, by name, and their moments: drawn from the seed alone. docs/faults.md is their table."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from sunward.cli.demo.scenario import SITES
from sunward.cli.demo.stage import GRACE_S
from tests.e2e.stage import BUSY_S, CONTROL


class Kind(StrEnum):
    """What goes wrong."""

    KILL = "killed"
    """`kill -9`."""
    AWAY = "killed before its answer and away for an hour"
    """`kill -9` of the control plane after it has recorded what it was told, before it says so; it comes back an hour
    of grid time later, or more, with a clock that is off."""
    PAUSE = "paused"
    """SIGSTOP, and SIGCONT later: the silent one that returns."""
    FULL = "disk full"
    """No file of the process grows any more."""
    LOCKED = "database locked"
    """Another program keeps the lock of the database for longer than anybody waits for it."""
    STEP = "clock stepped"
    """The machine clock steps by an hour of grid time, and back later."""


JOB = "job"
HOUR_S = 3.0
"""Machine time of an hour of grid time."""
FAULTS_S = 9.0
"""Machine time, from the first job on, in which the faults fall."""
PLAN: tuple[tuple[Kind, str, float, float], ...] = (
    (Kind.AWAY, CONTROL, HOUR_S, HOUR_S + 1.0),
    (Kind.PAUSE, CONTROL, 0.5, 1.5 * GRACE_S),
    (Kind.FULL, CONTROL, 0.5, 1.5),
    (Kind.LOCKED, CONTROL, 1.5 * BUSY_S, 2.0 * BUSY_S),
    (Kind.STEP, CONTROL, 0.5, 1.5),
    (Kind.KILL, "agent", 0.0, 0.5),
    (Kind.KILL, "agent", 1.2 * GRACE_S, 2.0 * GRACE_S),
    (Kind.PAUSE, "agent", 1.2 * GRACE_S, 2.0 * GRACE_S),
    (Kind.FULL, "agent", 1.0, 2.0),
    (Kind.STEP, "agent", 0.5, 1.5),
    (Kind.KILL, JOB, 0.0, 0.0),
    (Kind.KILL, JOB, 0.0, 0.0),
)
"""Every fault of a run: what, whose, and the least and the most machine time until it is over."""
ROUTES = ("POST /v1/jobs", "POST /v1/agents/readings", "POST /v1/agents/sync")
"""Whose answer the control plane is killed before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a run."""

    at_s: float
    kind: Kind
    target: str
    lasts_s: float
    off_s: float = 0.0
    """By how much a clock is off."""
    route: str = ""

    def __str__(self) -> str:
        more = f" of {self.route}" if self.route else ""
        more += f", clock off by {self.off_s:+.0f} s" if self.off_s else ""
        return f"{self.target} {self.kind}{more}, over after {self.lasts_s:.1f} s"


def draw_faults(seed: int) -> list[Fault]:
    """Every fault of the plan, in the order of its moment."""
    stream = random.Random(f"matrix {seed}")
    found = []
    for kind, whose, shortest_s, longest_s in PLAN:
        target = stream.choice(SITES).site if whose == "agent" else whose
        off = {Kind.AWAY: (-HOUR_S, 0.0, HOUR_S), Kind.STEP: (-HOUR_S, HOUR_S)}
        found.append(
            Fault(
                at_s=stream.uniform(0.0, FAULTS_S),
                kind=kind,
                target=target,
                lasts_s=stream.uniform(shortest_s, longest_s),
                off_s=stream.choice(off.get(kind, (0.0,))),
                route=stream.choice(ROUTES) if kind is Kind.AWAY else "",
            )
        )
    return sorted(found, key=lambda fault: fault.at_s)
