"""The agent's surroundings in memory: an executor without processes, and a control plane without a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from sunward.agent.client import Backoff
from sunward.agent.courier import Courier
from sunward.agent.environment import Environments, SetupRules
from sunward.agent.inputs import InputRules, Inputs
from sunward.errors import SunwardError
from sunward.model.hardware import WorkClass
from sunward.model.site import LeaseOrder
from sunward.model.wire import JobContent
from sunward.ports import Launch, Run


class FakeExecutor:
    """Runs are what the test says they are."""

    def __init__(self) -> None:
        self.sandboxed = True
        self.launches: dict[str, Launch] = {}
        self.runs: dict[str, Run] = {}
        self.asked: list[tuple[str, str]] = []
        self.graces: list[float] = []
        self.refuses: SunwardError | None = None

    def start(self, launch: Launch) -> None:
        if self.refuses is not None:
            raise self.refuses
        lease = launch.order.lease
        assert lease not in self.runs
        self.launches[lease] = launch
        self.runs[lease] = Run(lease, running=True, exit_code=None, units=launch.order.checkpoint_units)

    def suspend(self, lease: str, grace_s: float) -> None:
        self.asked.append(("suspend", lease))
        self.graces.append(grace_s)

    def stop(self, lease: str) -> None:
        self.asked.append(("stop", lease))

    def poll(self) -> tuple[Run, ...]:
        return tuple(self.runs.values())

    def forget(self, lease: str) -> None:
        self.runs.pop(lease, None)

    def progress(self, lease: str, units: int) -> None:
        self.runs[lease] = replace(self.runs[lease], units=units)

    def end(self, lease: str, exit_code: int, detail: str = "") -> None:
        self.runs[lease] = replace(self.runs[lease], running=False, exit_code=exit_code, detail=detail)


class FakePlane:
    """Keeps what it is given; `fails` names the error of the next calls, by method."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.logs: dict[str, bytes] = {}
        self.fails: dict[str, SunwardError] = {}
        self.checkpoints: list[tuple[str, int]] = []
        self.content = JobContent(name="test", command=("python", "job.py"))
        self.secrets: dict[str, str] = {}

    def fetch_content(self, lease: str) -> JobContent:
        self._call("fetch_content")
        return self.content

    def fetch_secrets(self, lease: str) -> dict[str, str]:
        self._call("fetch_secrets")
        return self.secrets

    def fetch_object(self, digest: str, target: Path) -> None:
        self._call("fetch_object")
        target.write_bytes(self.objects[digest])

    def put_checkpoint(self, lease: str, units: int, archive: Path) -> str:
        self._call("put_checkpoint")
        self.checkpoints.append((lease, units))
        return self._keep(archive)

    def put_output(self, lease: str, archive: Path) -> str:
        self._call("put_output")
        return self._keep(archive)

    def append_log(self, lease: str, offset: int, text: bytes) -> None:
        self._call("append_log")
        assert offset == len(self.logs.get(lease, b""))
        self.logs[lease] = self.logs.get(lease, b"") + text

    def _keep(self, archive: Path) -> str:
        raw = archive.read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        self.objects[digest] = raw
        return digest

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]


def courier(plane: FakePlane, cache: Path, rules: SetupRules | None = None) -> Courier:
    """A courier that builds no environments unless told, and takes inputs of any address."""
    environments = Environments(cache / "environments", rules or SetupRules(allowed=False), 1 << 30)
    return Courier(plane, environments, inputs(plane, cache))


def inputs(plane: FakePlane, cache: Path, **changes: Any) -> Inputs:
    rules = {"bytes_max": 1 << 20, "kept_bytes_max": 1 << 20, "allow_private": True}
    backoff = Backoff(sleep=lambda _s: None, jitter=lambda: 0.0, attempts=2)
    return Inputs(cache / "inputs", plane, InputRules(**(rules | changes)), backoff)


class Carriers:
    """`submit` that works at once, or only when told."""

    def __init__(self) -> None:
        self.held = False
        self._waiting: list[tuple[Callable[[], object], Future[object]]] = []

    def submit(self, task: Callable[[], object]) -> Future[object]:
        future: Future[object] = Future()
        self._waiting.append((task, future))
        if not self.held:
            self.work()
        return future

    def work(self) -> None:
        while self._waiting:
            task, future = self._waiting.pop(0)
            try:
                future.set_result(task())
            except (SunwardError, OSError) as reason:
                future.set_exception(reason)


def order(lease: str = "job-a.1", **changes: object) -> LeaseOrder:
    made = LeaseOrder(
        lease=lease,
        job=lease.split(".", maxsplit=1)[0],
        attempt=int(lease.split(".")[1]),
        pool="site/L40S",
        gpus=1,
        action="run",
        bundle="",
        checkpoint="",
        checkpoint_units=0,
        units=10,
        unit_ms_grid=60_000,
        power_cap_w=0,
        work_class=WorkClass.TRAINING,
    )
    return replace(made, **changes)
