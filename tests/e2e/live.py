"""A network of real processes that meets every fault of the matrix, at moments drawn from a seed.

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

from sunward.cli.demo.scenario import SITES
from sunward.client.pack import pack
from sunward.errors import SourceError
from sunward.model.request import JobRequest, JobView
from sunward.units import HOUR_S
from tests.e2e import processes
from tests.e2e.hand import Hand, at_moment
from tests.e2e.matrix import FAULTS_S, JOB, draw_faults
from tests.e2e.outboxes import Outboxes
from tests.e2e.stage import CONTROL, TENANT, FaultyStage
from tests.support.fault_proxy import FaultProxy

T = TypeVar("T")

SPEED = 1_200
PATIENCE_S = 300.0
"""Machine time after which a wait has failed."""
LOOK_S = 0.05
ASK_S = 0.2
"""Between two questions to a service: less would be most of its work."""
SUBMITS_S = 4.0
YOUNG_S = 2.0
PORTS = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections, so that nobody takes one while its owner is dead."""
FINAL = frozenset({"finished", "failed", "cancelled", "expired", "refused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A job of the run."""

    name: str
    script: str
    hours: float
    units: int
    within_h: float = 6.0
    gpus: int = 1
    pausable: bool = False
    policy: str = "cheapest"
    countries: tuple[str, ...] = ()


JOBS = (
    Asked(name="gang", script="gang.py", hours=2, units=150, gpus=4, pausable=True),
    Asked(name="train", script="train.py", hours=3, units=600, pausable=True, policy="balanced"),
    Asked(name="pair", script="batch.py", hours=3, units=500, gpus=2, pausable=True),
    Asked(name="plain", script="batch.py", hours=2, units=90),
    Asked(name="pinned", script="batch.py", hours=2, units=200, countries=("PL",)),
    Asked(name="files", script="write_files.py", hours=2, units=40, pausable=True),
    Asked(name="green", script="batch.py", hours=2, units=1_000, pausable=True, policy="greenest"),
)
IMPOSSIBLE = tuple(Asked(name=f"huge-{number}", script="batch.py", hours=1, units=10, gpus=8) for number in range(12))
"""Refused at once: asked for all through the run, so that some kill falls between a job's record and its answer."""


@dataclass(slots=True)
class Live:
    """A running network, what was asked of it, and what was done to it."""

    seed: int
    stage: FaultyStage
    outboxes: Outboxes
    jobs: dict[str, Asked] = field(default_factory=dict)
    """By the id that the service acknowledged."""
    done: list[str] = field(default_factory=list)
    """The faults as they fell, for whoever reads a failure."""
    orphans: list[processes.Process] = field(default_factory=list)
    """Processes below agents at the moment these were killed."""


@contextmanager
def network(seed: int, folder: Path) -> Iterator[Live]:
    """The control plane and three agents, ready for jobs."""
    stream = random.Random(f"live starts {seed}")
    port = free_port()
    with (
        FaultProxy(seed, port, [TENANT, *(site.site for site in SITES)]) as proxy,
        FaultyStage(folder, SPEED, port, proxy) as stage,
    ):
        live = Live(seed, stage, Outboxes({site.site: stage.agent_folder(site.site) for site in SITES}))
        try:
            _start(live, stream)
            yield live
        except BaseException as reason:
            test = f"tests/soak/test_live_soak.py::test_faults_leave_one_truth[{seed}]"
            again = f"again: .venv/bin/python -m pytest -m soak '{test}'"
            reason.add_note("\n".join([f"seed {seed}; logs in {folder}", again, *live.done]))
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
    live.done.append(at_moment(f"{name} killed on its first start"))
    live.stage.kill(name)


def disturb(live: Live) -> None:
    """Submit the jobs, let every fault fall and end, and wait until every job has ended."""
    with ThreadPoolExecutor(1) as helper:
        submits = helper.submit(_submit_all, live)
        _strike_all(live, submits)
        submits.result()
    _wait_for_agents(live)
    wait_until(lambda: _ended(live), "every job ends")


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
        time.sleep(ASK_S)
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
    with live.stage.tenant() as client:
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
        env={"GANG_GPUS": str(asked.gpus)},
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


def _strike_all(live: Live, submits: Future[None]) -> None:
    faults = draw_faults(live.seed)
    choose = random.Random(f"live choices {live.seed}")
    hand = Hand(live.stage, live.stage.proxy, choose, lambda what: live.done.append(at_moment(what)), live.orphans)
    start_s = time.monotonic()
    deadline = start_s + PATIENCE_S
    while faults or not hand.idle or not submits.done():
        assert time.monotonic() < deadline, f"still to come: {faults}, {hand.standing}, submitted {submits.done()}"
        now_s = time.monotonic() - start_s
        hand.pass_time(now_s)
        hand.check_alive()
        live.outboxes.look()
        faults = [fault for fault in faults if fault.at_s > now_s or not hand.strike(fault, now_s)]
        if submits.done() and hand.idle and _idle(live):
            # No job is left whose process a kill could wait for.
            faults = [fault for fault in faults if fault.target != JOB]
        time.sleep(LOOK_S)


def _idle(live: Live) -> bool:
    try:
        return all(view.state in FINAL for view in views(live))
    except SourceError:
        return False


def free_port() -> int:
    """A port that is free now; runs beside one another look in places of their own."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")
