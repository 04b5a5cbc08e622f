"""Tenants against a real service: submissions and reads at fixed rates, whatever the answers take (open loop).

A submission's latency runs from the moment it was due to be sent, so a service that falls behind is not spared. When a
job was placed is read from its history after the load: the journal's moment of the record that placed it, in grid time,
which the clock's mapping turns into machine time to the millisecond; it lies before the record's commit. Every
`WATCHED`-th job is also followed with `GET /v1/jobs/{job}` every `LOOK_S` until it is no longer `submitted`: the moment
of the answer that shows it is later than that of the record, by the commit, the answer and up to one look.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from sunward.model.codec import decode, encode
from sunward.model.hardware import WorkClass
from sunward.model.request import JobRequest
from sunward.model.wire import ClockMapping
from sunward.units import SECOND_MS

LOOK_S = 0.02
WATCHED = 10
LOST_S = 30.0
"""A job without a place after so long counts as lost."""
SEED = 3
ORIGINS = ("DE", "FR", "PL", "ES")
POLICIES = ("cheapest", "balanced", "greenest")


@dataclass(slots=True)
class Tally:
    """What was measured, in ms."""

    submit_ms: list[float] = field(default_factory=list)
    placed_ms: list[float] = field(default_factory=list)
    seen_ms: list[float] = field(default_factory=list)
    read_ms: dict[str, list[float]] = field(default_factory=dict)
    without_place: dict[str, int] = field(default_factory=dict)
    """Jobs that were never placed, by the state they were last seen in."""
    errors: list[str] = field(default_factory=list)
    late_ms: float = 0.0
    """The most that this process itself was behind its timetable."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """How much is asked how often."""

    seconds: float
    submits_per_s: float
    reads_per_s: float


def request_of(draw: random.Random, number: int) -> JobRequest:
    """A job of a mix: mostly one GPU, a quarter may pause, all policies, due within a day."""
    pausable = draw.random() < 0.25
    return JobRequest(
        name=f"load-{number}",
        command=("python", "train.py"),
        origin_zone=draw.choice(ORIGINS),
        work_class=draw.choice((WorkClass.TRAINING, WorkClass.GENERIC, WorkClass.BATCH_INFERENCE)),
        gpus=draw.choice((1, 1, 1, 1, 1, 1, 1, 2)),
        length_s=draw.randint(300, 900),
        units=100 if pausable else 1,
        interruptible=pausable,
        deadline_s=draw.randint(4, 24) * 3_600,
        policy=draw.choice(POLICIES),
    )


class Load:
    """One measuring process."""

    def __init__(self, http: httpx.AsyncClient, closed: list[str]) -> None:
        self._http = http
        self._closed = closed
        self._mine: list[str] = []
        self._due_ms: dict[str, float] = {}
        self._draw = random.Random(SEED)
        self._running: set[asyncio.Task[None]] = set()
        self.tally = Tally()

    async def run(self, table: Timetable) -> None:
        """Keep to the timetable, then wait for what is still under way."""
        begun = time.perf_counter()
        due = sorted(
            (number / rate, kind, number)
            for kind, rate in (("submit", table.submits_per_s), ("read", table.reads_per_s))
            for number in range(round(table.seconds * rate))
        )
        for at_s, kind, number in due:
            wait_s = begun + at_s - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self.tally.late_ms = max(self.tally.late_ms, -wait_s * SECOND_MS)
            act = self._submit if kind == "submit" else self._read
            task = asyncio.create_task(self._guarded(act, number, begun + at_s))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        while self._running:
            await asyncio.wait(set(self._running))

    async def _guarded(self, act, number: int, due_s: float) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        try:
            await act(number, due_s)
        except (httpx.HTTPError, KeyError) as reason:
            self.tally.errors.append(f"{type(reason).__name__}: {reason}")

    async def _submit(self, number: int, due_s: float) -> None:
        body = encode(request_of(self._draw, number))
        answer = await self._http.post("/v1/jobs", content=body, headers={"idempotency-key": f"load-{number}"})
        answer.raise_for_status()
        self.tally.submit_ms.append((time.perf_counter() - due_s) * SECOND_MS)
        job = answer.json()["job"]
        self._mine.append(job)
        self._due_ms[job] = time.time() * SECOND_MS - (time.perf_counter() - due_s) * SECOND_MS
        if number % WATCHED == 0:
            await self._watch(job, due_s)

    async def _watch(self, job: str, due_s: float) -> None:
        while (await self._get(f"/v1/jobs/{job}"))["state"] == "submitted":
            if time.perf_counter() - due_s > LOST_S:
                self.tally.errors.append(f"{job} has had no place for {LOST_S} s")
                return
            await asyncio.sleep(LOOK_S)
        self.tally.seen_ms.append((time.perf_counter() - due_s) * SECOND_MS)

    async def settle(self) -> None:
        """Read from the histories when each job was placed."""
        clock = decode((await self._http.get("/v1/clock")).raise_for_status().content, ClockMapping)
        for job in self._mine:
            lines = (await self._http.get(f"/v1/jobs/{job}/history")).raise_for_status().json()
            placed = next((line for line in lines if line["state"] == "placed"), None)
            if placed is None:
                last = lines[-1]["state"]
                self.tally.without_place[last] = self.tally.without_place.get(last, 0) + 1
            else:
                machine_ms = clock.machine_ms + (placed["at_ms"] - clock.grid_ms) / clock.speed
                self.tally.placed_ms.append(machine_ms - self._due_ms[job])

    async def _get(self, path: str) -> dict[str, str]:
        answer = await self._http.get(path)
        return dict(answer.raise_for_status().json())

    async def _read(self, number: int, due_s: float) -> None:
        kind, path = self._asked(number)
        (await self._http.get(path)).raise_for_status()
        self.tally.read_ms.setdefault(kind, []).append((time.perf_counter() - due_s) * SECOND_MS)

    def _asked(self, number: int) -> tuple[str, str]:
        """In turn: pages, pages of one state, closed and open jobs, histories, receipts."""
        job = self._draw.choice(self._closed)
        open_job = self._draw.choice(self._mine[-200:] or self._closed[:1])
        return (
            ("page", "/v1/jobs?limit=50"),
            ("job_closed", f"/v1/jobs/{job}"),
            ("job_open", f"/v1/jobs/{open_job}"),
            ("history", f"/v1/jobs/{job}/history"),
            ("receipt", f"/v1/jobs/{job}/receipt"),
            ("page_of_state", "/v1/jobs?limit=50&state=running"),
            ("page_deep", f"/v1/jobs?limit=50&after={self._draw.randrange(1_000, 1_000 + len(self._closed))}.0"),
        )[number % 7]


async def main(told: dict[str, object], closed: list[str]) -> Tally:
    """Run the timetable as one tenant."""
    headers = {"authorization": f"Bearer {told['tenant_token']}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=str(told["url"]), headers=headers, timeout=60.0, limits=limits) as http:
        load = Load(http, closed)
        await load.run(Timetable(*(float(str(told[name])) for name in ("seconds", "submits_per_s", "reads_per_s"))))
        await load.settle()
        return load.tally


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    told, closed = (json.loads((folder / name).read_bytes()) for name in ("load.json", "closed.json"))
    tally = asyncio.run(main(told, closed))
    (folder / "tally.json").write_bytes(encode(tally))
