"""One act of the demo: the grid asks a site to draw less for a while, and running work yields."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sunward.cli.demo.proof import Check
from sunward.cli.demo.scenario import YIELDS, DemoJob, DemoSite
from sunward.cli.demo.watch import FINAL
from sunward.cli.text import _
from sunward.model.receipt import Receipt
from sunward.model.request import JobView
from sunward.units import MINUTE_MS, W_PER_KW
from sunward.world.view import container_w

NOTICE_MS = 15 * MINUTE_MS
LASTS_MS = 30 * MINUTE_MS
CURTAILED = "curtailed"
BEGUN, NEARLY_DONE = 0.1, 0.8
"""Shares of its work between which the job is asked to yield."""
STEPS_PER_KW = 100
"""Ceilings are told in hundredths of a kW."""


@dataclass(frozen=True, slots=True)
class GridEvent:
    """What was asked of a site."""

    site: str
    gpus: int
    """How many may go on working."""
    start_ms: int
    end_ms: int
    kw: float


def choose(views: Iterable[JobView], jobs: Mapping[str, DemoJob], now_ms: int) -> tuple[str, int] | None:
    """Where the chosen job runs, and how many GPUs others are to have there meanwhile; None while it does not run."""
    known = list(views)
    view = next((one for one in known if jobs[one.job].name == YIELDS and one.state == "running"), None)
    if view is None or not BEGUN * view.units < view.units_done < NEARLY_DONE * view.units:
        return None
    until_ms = now_ms + NOTICE_MS + LASTS_MS
    others = [one for one in known if one.job != view.job and _is_there(one, view.site, now_ms, until_ms)]
    return view.site, sum(jobs[one.job].gpus for one in others)


def _is_there(view: JobView, site: str, from_ms: int, until_ms: int) -> bool:
    """Whether a job runs at a site, or is planned to during a stretch of time."""
    if view.state in FINAL or view.assignment is None:
        return False
    planned = any(
        one.pool.partition("/")[0] == site and one.start_ms < until_ms and from_ms < one.end_ms
        for one in view.assignment.segments
    )
    return planned or (view.state in ("staging", "running") and view.site == site)


def ceiling_kw(site: DemoSite, gpus: int) -> float:
    """What a site draws with so many GPUs at the hungriest work and the rest asleep, rounded up."""
    busy_w, _idle_w, asleep_w = container_w(site.gpu)
    watts = site.overhead * (site.count * asleep_w + gpus * (max(busy_w) - asleep_w))
    return math.ceil(watts / W_PER_KW * STEPS_PER_KW) / STEPS_PER_KW


def check_yielded(receipts: Sequence[Receipt], names: Mapping[str, str], event: GridEvent | None) -> Check:
    """Work that ran there stopped for the event, no more than was asked went on, and the job ended all the same."""
    name = _("running work gave way to the grid event and went on")
    if event is None:
        return Check(name, False, _("the job that was to give way did not run"))
    here = [line for receipt in receipts for line in receipt.attempts if line.site == event.site]
    yielded = [line.end_ms for line in here if line.ended == CURTAILED]
    since_ms = max([event.start_ms, *yielded])
    moments = [since_ms, *(line.start_ms for line in here if since_ms <= line.start_ms < event.end_ms)]
    most = max(sum(one.gpus for one in here if one.start_ms <= at_ms < one.end_ms) for at_ms in moments)
    ended = [receipt for receipt in receipts if any(line.ended == CURTAILED for line in receipt.attempts)]
    passed = bool(ended) and most <= event.gpus and all(receipt.state == "finished" for receipt in ended)
    told = "; ".join(
        f"{names[receipt.job]}: " + " → ".join(f"{line.site} ({line.ended})" for line in receipt.attempts)
        for receipt in ended
    )
    return Check(name, passed, told)
