"""A network of real processes under `kill -9`: the control plane, agents and jobs die at moments drawn from a seed.

Nothing here decides by time: a wait ends when what it waits for is there, and its limit is far beyond any need.
"""

from __future__ import annotations

import io
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TypeVar

from sunward.cli.demo.scenario import SITES, DemoSite
from sunward.cli.demo.stage import Stage
from sunward.client import ApiClient
from sunward.client.pack import pack
from sunward.errors import SourceError
from sunward.model.request import JobRequest, JobView
from sunward.units import HOUR_S
from tests.e2e import processes
from tests.e2e.outboxes import Outboxes

T = TypeVar("T")

SPEED = 1_200
PATIENCE_S = 300.0
"""Machine time after which a wait has failed."""
LOOK_S = 0.05
FAULTS_S = 14.0
"""Machine time, from the first job on, in which the kills fall."""
SUBMITS_S = 5.0
YOUNG_S = 3.0
PORTS = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections, so that nobody takes one while its owner is dead."""
CONTROL, AGENT, JOB = "control", "agent", "job"
KINDS = (CONTROL, CONTROL, CONTROL, AGENT, AGENT, AGENT, AGENT, JOB, JOB, JOB)
AWAY_S = {CONTROL: ((0.3, 2.0),), AGENT: ((0.0, 0.5), (2.5, 4.0)), JOB: ((0.0, 0.0),)}
"""Machine time until a killed process is started again; an agent comes back before or after it is given up."""
FINAL = frozenset({"finished", "failed", "cancelled", "expired", "refused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A job of the run."""

    name: str
    script: str
    hours: float
    units: int
    within_h: float = 8.0
    gpus: int = 1
    pausable: bool = False
    policy: str = "cheapest"
    countries: tuple[str, ...] = ()


JOBS = (
    Asked(name="gang", script="gang.py", hours=3, units=150, gpus=4, pausable=True),
    Asked(name="train", script="train.py", hours=4, units=600, pausable=True, policy="balanced"),
    Asked(name="pair", script="batch.py", hours=5, units=500, gpus=2, pausable=True),
    Asked(name="plain", script="batch.py", hours=3, units=90),
    Asked(name="pinned", script="batch.py", hours=2, units=200, countries=("PL",)),
    Asked(name="files", script="write_files.py", hours=2, units=40, pausable=True),
    Asked(name="green", script="batch.py", hours=2, units=1_000, pausable=True, policy="greenest"),
)
IMPOSSIBLE = tuple(Asked(name=f"huge-{number}", script="batch.py", hours=1, units=10, gpus=8) for number in range(25))
"""Refused at once: asked for all through the run, so that some kill falls between a job's record and its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One `kill -9`: when, of what, and for how long."""

    at_s: float
    kind: str
    target: str = ""
    away_s: float = 0.0


@dataclass(slots=True)
class Live:
    """A running network, what was asked of it, and what was done to it."""

    seed: int
    stage: Stage
    outboxes: Outboxes
    jobs: dict[str, Asked] = field(default_factory=dict)
    """By the id that the service acknowledged."""
    done: list[str] = field(default_factory=list)
    """The kills as they fell, for whoever reads a failure."""
    orphans: list[processes.Process] = field(default_factory=list)
    """Processes below agents at the moment these were killed."""


@contextmanager
def network(seed: int, folder: Path) -> Iterator[Live]:
    """The control plane and three agents, ready for jobs."""
    stream = random.Random(f"live starts {seed}")
    with Stage(folder, SPEED, _free_port()) as stage:
        live = Live(seed, stage, Outboxes({site.site: stage.agent_folder(site.site) for site in SITES}))
        try:
            _start(live, stream)
            yield live
        except BaseException as reason:
            reason.add_note("; ".join([f"seed {seed}", f"logs in {folder}", *live.done]))
            raise


def _start(live: Live, stream: random.Random) -> None:
    stage = live.stage
    stage.spawn_control()
    _kill_young(live, stream, CONTROL)
    stage.start_control()
    for site in SITES:
        stage.start_agent(site)
    unlucky = stream.choice(SITES)
    _kill_young(live, stream, unlucky.site)
    stage.start_agent(unlucky)
    _wait_for_agents(live)


def _kill_young(live: Live, stream: random.Random, name: str) -> None:
    """Kill a process on its very first start: before, while or after it makes its keys, tables and membership."""
    time.sleep(stream.uniform(0.0, YOUNG_S))
    live.done.append(f"{time.strftime('%H:%M:%S')} kill -9 {name} on its first start")
    live.stage.kill(name)


def disturb(live: Live) -> None:
    """Submit the jobs, kill as the seed says, bring back what was killed, and wait until every job has ended."""
    with ThreadPoolExecutor(1) as helper:
        submits = helper.submit(_submit_all, live)
        _kill_all(live, submits)
        submits.result()
    _wait_for_agents(live)
    wait_until(lambda: _ended(live), "every job ends")


def draw_faults(seed: int) -> list[Fault]:
    """The kills of a seed, in order; at least one of each kind."""
    stream = random.Random(f"live faults {seed}")
    found = []
    for kind in KINDS:
        shortest, longest = stream.choice(AWAY_S[kind])
        site = stream.choice(SITES).site
        target = site if kind == AGENT else ""
        at_s, away_s = stream.uniform(0.0, FAULTS_S), stream.uniform(shortest, longest)
        found.append(Fault(at_s=at_s, kind=kind, target=target, away_s=away_s))
    return sorted(found, key=lambda fault: fault.at_s)


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Look again and again; a service that is away is not true yet."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if true():
                return
        except SourceError as reason:
            if not reason.transient:
                raise
        time.sleep(LOOK_S)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}")


def patiently(call: Callable[[], T]) -> T:
    """The answer of a service that may be away for a while."""
    answers: list[T] = []

    def ask() -> bool:
        answers.append(call())
        return True

    wait_until(ask, "the control plane answers")
    return answers[0]


def views(live: Live) -> tuple[JobView, ...]:
    """Every job as the API shows it."""
    with live.stage.client() as client:
        return client.jobs()


def _ended(live: Live) -> bool:
    live.stage.check_alive()
    live.outboxes.look()
    return all(view.state in FINAL for view in views(live))


def _wait_for_agents(live: Live) -> None:
    def reachable() -> bool:
        live.stage.check_alive()
        with live.stage.client() as client:
            sites = client.sites()
        return len(sites) == len(SITES) and all(site.reachable for site in sites)

    wait_until(reachable, "every agent answers")


def _submit_all(live: Live) -> None:
    """Submit at drawn moments, also while the control plane is dead: each try has the same key."""
    stream = random.Random(f"live submits {live.seed}")
    moments = {asked: stream.uniform(0.0, SUBMITS_S) for asked in JOBS}
    moments |= {asked: stream.uniform(0.0, FAULTS_S) for asked in IMPOSSIBLE}
    start_s = time.monotonic()
    with live.stage.client() as client:
        bundle = patiently(lambda: client.put_object(_bundle(live.stage.folder)))
        for asked in sorted(moments, key=moments.__getitem__):
            time.sleep(max(0.0, start_s + moments[asked] - time.monotonic()))
            request, key = _request(asked, bundle), f"{asked.name}-{live.seed}"
            job = patiently(lambda request=request, key=key: client.submit(request, key)).job
            again = patiently(lambda request=request, key=key: client.submit(request, key)).job
            assert again == job, "the same key gave another job"
            live.jobs[job] = asked


def _request(asked: Asked, bundle: str) -> JobRequest:
    return JobRequest(
        name=asked.name,
        command=("python3", asked.script),
        env={"SUNWARD_GPUS": str(asked.gpus)},
        bundle=bundle,
        origin_zone="DE",
        gpus=asked.gpus,
        length_s=round(asked.hours * HOUR_S),
        units=asked.units,
        interruptible=asked.pausable,
        deadline_s=round(asked.within_h * HOUR_S),
        countries=asked.countries,
        policy=asked.policy,
    )


def _bundle(folder: Path) -> Path:
    archive = folder / "jobs.tar"
    packed = io.BytesIO()
    with resources.as_file(resources.files("sunward.demo") / "jobs") as scripts:
        pack(scripts, packed)
    archive.write_bytes(packed.getvalue())
    return archive


@dataclass(slots=True)
class _Killer:
    """Carries out faults, and brings back what they killed."""

    live: Live
    choose: random.Random
    back_s: dict[str, float] = field(default_factory=dict)
    """When each dead process is started again."""

    def strike(self, fault: Fault, now_s: float) -> bool:
        """Whether the fault is dealt with; one that finds no job process waits for one."""
        if fault.kind == JOB:
            return self._strike_job()
        name = fault.target or CONTROL
        if name in self.back_s:
            return True
        if fault.kind == AGENT:
            self.live.orphans += processes.below(self.live.stage.pid(name))
        self._note(f"{name}, back after {fault.away_s:.1f} s")
        self.live.stage.kill(name)
        self.back_s[name] = now_s + fault.away_s
        return True

    def revive(self, now_s: float) -> None:
        """Start what has been dead for long enough."""
        for name in [name for name, back_s in self.back_s.items() if back_s <= now_s]:
            if name == CONTROL:
                self.live.stage.spawn_control()
            else:
                self.live.stage.start_agent(_site(name))
            del self.back_s[name]

    def _strike_job(self) -> bool:
        alive = [site.site for site in SITES if site.site not in self.back_s]
        found = [process for site in alive for process in processes.of_jobs(self.live.stage.pid(site))]
        if not found:
            return False
        process = self.choose.choice(found)
        self._note(f"{process.name} of lease {process.lease}")
        process.kill()
        return True

    def _note(self, what: str) -> None:
        self.live.done.append(f"{time.strftime('%H:%M:%S')} kill -9 {what}")


def _kill_all(live: Live, submits: Future[None]) -> None:
    faults = draw_faults(live.seed)
    killer = _Killer(live, random.Random(f"live choices {live.seed}"))
    start_s = time.monotonic()
    deadline = start_s + PATIENCE_S
    while faults or killer.back_s or not submits.done():
        assert time.monotonic() < deadline, f"still to come: {faults}, {killer.back_s}, submitted {submits.done()}"
        now_s = time.monotonic() - start_s
        live.stage.check_alive()
        live.outboxes.look()
        faults = [fault for fault in faults if fault.at_s > now_s or not killer.strike(fault, now_s)]
        killer.revive(now_s)
        if submits.done() and not killer.back_s and _idle(live):
            # No job is left whose process a kill could wait for.
            faults = [fault for fault in faults if fault.kind != JOB]
        time.sleep(LOOK_S)


def _idle(live: Live) -> bool:
    try:
        return all(view.state in FINAL for view in views(live))
    except SourceError:
        return False


def _site(name: str) -> DemoSite:
    return next(site for site in SITES if site.site == name)


def _free_port() -> int:
    """A port that is free now; runs beside one another look in places of their own."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")


def restart_control(live: Live) -> ApiClient:
    """`kill -9` and start again, once more; an operator's client."""
    live.stage.kill(CONTROL)
    live.stage.start_control()
    return live.stage.client("operator")
