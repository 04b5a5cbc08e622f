"""Tells what happens while it happens, from nothing but the public API."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sunward.cli import show
from sunward.cli.reasons import REFUSED, sentence
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.model.records import HistoryLine
from sunward.model.request import JobView, SiteView

FINAL = frozenset({"finished", "failed", "cancelled", "expired", "refused"})
LOSS = re.compile(rb"step (\d+) loss ([0-9.]+)")
STYLES = {
    "finished": "green",
    "failed": "red",
    "refused": "red",
    "expired": "red",
    "suspended": "yellow",
    "running": "cyan",
}


def clock(at_ms: int) -> str:
    """The hour and minute of grid time."""
    return show.stamp(at_ms).partition(" ")[2][:5]


@dataclass(slots=True)
class Moment:
    """One thing that was told, kept for the report."""

    at_ms: int
    job: str
    state: str
    reason: str
    site: str
    units: int = 0
    loss: str = ""
    step: int = 0


@dataclass(slots=True)
class Watcher:
    """Follows jobs and sites by polling; tells each change once."""

    client: ApiClient
    names: dict[str, str] = field(default_factory=dict)
    """Job id → name."""
    moments: list[Moment] = field(default_factory=list)
    jobs: dict[str, JobView] = field(default_factory=dict)
    decided: dict[str, JobView] = field(default_factory=dict)
    """Each job as it was when the planner first said something about it."""
    _told: dict[str, int] = field(default_factory=dict)
    _power: dict[str, str] = field(default_factory=dict)
    _waiting: list[tuple[int, str, str]] = field(default_factory=list)

    def look(self, now_ms: int, *, quiet: bool = False) -> None:
        """Tell what changed since the last look; what changes in a quiet one is told with the next."""
        told = self._waiting
        for view in self.client.jobs():
            before = self.jobs.get(view.job)
            self.jobs[view.job] = view
            if view.assignment is not None or view.refusal is not None:
                self.decided.setdefault(view.job, view)
            if before is None or before.updated_ms != view.updated_ms or before.state != view.state:
                told += self._job_lines(view)
        told += self._power_lines(self.client.sites(), now_ms)
        self._waiting = told if quiet else []
        for at_ms, text, style in [] if quiet else sorted(told):
            show.line(f"{clock(at_ms)}  {text}", style)

    @property
    def ended(self) -> bool:
        """Whether every known job has reached a final state."""
        return bool(self.jobs) and all(view.state in FINAL for view in self.jobs.values())

    def _job_lines(self, view: JobView) -> list[tuple[int, str, str]]:
        history = self.client.history(view.job)
        lines = [self._line(view, line) for line in history[self._told.get(view.job, 0) :]]
        self._told[view.job] = len(history)
        return [line for line in lines if line[1]]

    def _line(self, view: JobView, line: HistoryLine) -> tuple[int, str, str]:
        name = self.names.get(view.job, view.name)
        moment = Moment(line.at_ms, view.job, line.state, line.reason, line.site, line.units)
        if line.state in ("suspended", "running", "finished"):
            moment.step, moment.loss = self._loss(view.job)
        before = [one.state for one in self.moments if one.job == view.job and one.state in ("running", "suspended")]
        self.moments.append(moment)
        if line.state == "suspended" and before[-1:] == ["suspended"]:
            # A start that the next plan withdrew before anything ran is no second pause.
            return line.at_ms, "", ""
        return line.at_ms, self._words(name, line, moment), STYLES.get(line.state, "")

    def _words(self, name: str, line: HistoryLine, moment: Moment) -> str:
        if line.state == "refused":
            return _("{job} REFUSED: {why}").format(job=name, why=sentence(REFUSED, line.reason, line.detail))
        told = {"job": name, "site": line.site, "units": f"{line.units:,}"}
        patterns = {
            ("running", "started"): _("{job} STARTED at {site}"),
            ("running", "resumed"): _("{job} RESUMED at {site} from unit {units}"),
            ("suspended", "waiting"): _("{job} PAUSED at unit {units}: waiting is cleaner"),
            ("suspended", "moving"): _("{job} PAUSED at unit {units}: it moves to another site"),
            ("suspended", "resizing"): _("{job} PAUSED at unit {units}: it goes on with another number of GPUs"),
            ("suspended", "capping"): _("{job} PAUSED at unit {units}: it goes on under another power limit"),
            ("suspended", "curtailed"): _("{job} PAUSED at unit {units}: it gives way to the grid event"),
            ("submitted", "curtailed"): _("{job} STOPPED for the grid event and will begin anew"),
            ("suspended", "lost"): _("{job} LOST its agent; checkpoint at unit {units} is safe"),
            ("submitted", "lost"): _("{job} LOST its agent before its first checkpoint"),
            ("suspended", "failed"): _("{job} attempt FAILED; checkpoint at unit {units} is safe"),
        }
        text = patterns.get((line.state, line.reason), "")
        if line.state == "finished":
            text = _("{job} FINISHED")
        elif line.state in ("failed", "expired", "cancelled"):
            text = _("{job} ended as {state}: {reason}")
            told |= {"state": line.state, "reason": line.reason}
        loss = (
            _("  (step {step}, loss {loss})").format(step=f"{moment.step:,}", loss=moment.loss) if moment.loss else ""
        )
        return text.format(**told) + loss if text else ""

    def _loss(self, job: str) -> tuple[int, str]:
        """The newest step and loss that a job's log tells, if it is a training."""
        found = LOSS.findall(self.client.logs(job).text)
        return (int(found[-1][0]), found[-1][1].decode()) if found else (0, "")

    def _power_lines(self, sites: tuple[SiteView, ...], now_ms: int) -> list[tuple[int, str, str]]:
        lines = []
        for site in sites:
            before = self._power.get(site.site)
            state = "asleep" if site.power_state in ("asleep", "off") else "awake"
            if before is not None and before != state:
                text = _("{site} WAKES") if state == "awake" else _("{site} goes to SLEEP")
                lines.append((now_ms, text.format(site=site.site), "dim"))
            self._power[site.site] = state
        return lines
