"""A control plane in a folder, its API without a socket, a clock the test moves, and an agent that follows a script."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cbor2
import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.clock import SystemClock
from sunward.engine.inputs import Feeds
from sunward.metering.wire import batch_hash, encode_batch
from sunward.model.codec import decode, encode
from sunward.model.datum import Quality
from sunward.model.hardware import Admission
from sunward.model.identity import SiteId, TenantId, ZoneId, pool_id
from sunward.model.reading import ReadingBatch, Span
from sunward.model.site import LeaseReport, PoolPower, PoolSpec, SiteSpec
from sunward.model.wire import SyncReply, SyncRequest
from sunward.service.app import build_app
from sunward.service.bootstrap import build_control, issue_credentials
from sunward.service.config import ServiceConfig
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, NS_PER_MS, SECOND_MS

SPEED = 1_200
START_MS = 1_749_772_800_000
"""2025-06-13T00:00Z, a whole hour."""
GPU = "A100-SXM-80GB"
BUSY_W, HOST_W = 300, 120
URL = "http://service"
UNLIMITED = ServiceConfig(reads_per_s=0, writes_per_s=0, agents_per_s=0, visitors_per_s=0, failures_per_s=0)
"""A clock that only the test moves would never fill a bucket again."""
FEEDS = Feeds(ClimatologySource(), ClimatologyForecaster())
JOB = {
    "name": "train",
    "command": ["python", "train.py"],
    "origin_zone": "DE",
    "length_s": 1_800,
    "deadline_s": 3_600,
    "units": 100,
    "functional_unit": "step",
}


class Machine:
    """The machine clock; it moves when told, and steps when somebody sets it."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000
        self.step_ms = 0

    def now_ns(self) -> int:
        return (self.ms + self.step_ms) * NS_PER_MS

    def elapsed_ns(self) -> int:
        return self.ms * NS_PER_MS


class Service:
    """One run of the service on a home folder."""

    def __init__(
        self,
        home: Path,
        machine: Machine | None = None,
        config: ServiceConfig | None = None,
        *,
        speed: int = SPEED,
        start_ms: int | None = None,
    ) -> None:
        self.home = home
        self.machine = machine or Machine()
        clock = SystemClock(now_ns=self.machine.now_ns, elapsed_ns=self.machine.elapsed_ns)
        self.loop = asyncio.new_event_loop()
        self.control = build_control(
            home, speed=speed, grid_start_ms=START_MS if start_ms is None else start_ms, feeds=FEEDS, clock=clock
        )
        self.credentials = json.loads(issue_credentials(self.control, home, URL).read_bytes())
        self.app = build_app(self.control, config or UNLIMITED)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=URL)

    def close(self) -> None:
        self.loop.run_until_complete(self.http.aclose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.control.store.close()

    def ask(
        self, method: str, path: str, role: str = "tenant", token: str | None = None, **more: Any
    ) -> httpx.Response:
        """One request; `json` may hold records."""
        if "json" in more:
            more["content"] = encode(more.pop("json"))
        secret = self.credentials.get(f"{role}_token", "") if token is None else token
        headers = more.pop("headers", {}) | ({"authorization": f"Bearer {secret}"} if secret else {})
        return self.loop.run_until_complete(self.http.request(method, path, headers=headers, **more))

    def ok(self, method: str, path: str, role: str = "tenant", **more: Any) -> Any:
        """The JSON of an answer that must be good."""
        response = self.ask(method, path, role, **more)
        assert response.is_success, response.text
        return response.json()

    def pass_grid(self, grid_ms: int) -> None:
        """Let grid time pass, looking at what is due on the way."""
        self.machine.ms += -(-grid_ms // self.control.clock.mapping.speed)
        self.control.tick()

    def plan(self) -> None:
        self.loop.run_until_complete(self.control.plan_once())

    def token(self, subject: str, *scopes: str) -> str:
        """A token of another subject."""
        expires = self.machine.ms + DAY_MS
        return self.control.store.access.create_token(subject, scopes, expires)

    @property
    def head(self) -> tuple[int, str]:
        head = self.control.store.head()
        return head.sequence, head.hash


def site_spec(site: str = "no-hydro", zone: str = "NO-NO2", public_key: str = "0" * 64, count: int = 2) -> SiteSpec:
    name = SiteId(site)
    pool = PoolSpec(
        pool=pool_id(name, GPU), gpu_model=GPU, count=count, devices=tuple(f"gpu{index}" for index in range(count))
    )
    return SiteSpec(
        site=name,
        owner=TenantId("said-by-the-agent"),
        zone=ZoneId(zone),
        country=zone[:2],
        cooling="air",
        overhead_ppm=1_080_000,
        overhead_quality=Quality.PUBLISHED,
        water_ml_per_kwh=0,
        ask_usd_micro_per_gpu_h=1_500_000,
        admission=Admission.OWN,
        pools=(pool,),
        public_key=public_key,
    )


@dataclass
class Agent:
    """A site's agent, driven by hand; it signs what it meters with a key of its own."""

    service: Service
    site: str = "no-hydro"
    zone: str = "NO-NO2"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    boot: str = "boot-1"
    version: int = -1
    token: str = ""
    counter: int = 0
    previous: str = ""
    metered_to_ms: int = 0
    joules: dict[str, int] = field(default_factory=dict)
    reports: dict[str, LeaseReport] = field(default_factory=dict)

    @property
    def spec(self) -> SiteSpec:
        return site_spec(self.site, self.zone, self.key.public_key().public_bytes_raw().hex())

    def join(self, role: str = "operator") -> None:
        enrolment = self.service.ok("POST", "/v1/enrolments", role, json={"note": "test"})["token"]
        body = {"token": enrolment, "spec": self.spec}
        self.token = self.service.ok("POST", "/v1/agents/enroll", token="", json=body)["token"]
        self.metered_to_ms = self.service.control.clock.grid_ms()

    def request(self, wait_ms: int = 0) -> SyncRequest:
        busy = sum(1 for report in self.reports.values() if report.phase == "running")
        power = PoolPower(pool=pool_id(SiteId(self.site), GPU), asleep=0, waking=0, idle=2 - busy, busy=busy)
        reports = tuple(self.reports.values())
        return SyncRequest(
            boot=self.boot, orders_version=self.version, wait_ms=wait_ms, reports=reports, power=(power,)
        )

    def sync(self, wait_ms: int = 0) -> SyncReply:
        response = self.service.ask("POST", "/v1/agents/sync", token=self.token, json=self.request(wait_ms))
        assert response.status_code == 200, response.text
        reply = decode(response.content, SyncReply)
        self.version = reply.orders.version
        for lease in reply.settled:
            del self.reports[lease]
        return reply

    def report(self, lease: str, phase: str, units: int = 0, **more: Any) -> SyncReply:
        before = self.reports.get(lease)
        at_ms = self.service.control.clock.grid_ms()
        fresh = LeaseReport(
            lease=lease,
            attempt=int(lease.rpartition(".")[2]),
            phase=phase,
            at_ms=at_ms,
            units=units,
            checkpoint_units=before.checkpoint_units if before else 0,
            checkpoint=before.checkpoint if before else "",
        )
        self.reports[lease] = replace(fresh, **more)
        return self.sync()

    def put(self, lease: str, what: str, content: bytes) -> httpx.Response:
        return self.service.ask("PUT", f"/v1/leases/{lease}/{what}", token=self.token, content=content)

    def batch(self, lease: str, t1_ms: int, quality: Quality = Quality.MODELLED) -> bytes:
        """The next signed batch: gpu0 works for the lease, or idles."""
        spans = []
        for device, watts, held in (("gpu0", BUSY_W, lease), ("gpu1", 50, ""), ("host", HOST_W, "")):
            start = self.joules.get(device, 0)
            self.joules[device] = start + watts * (t1_ms - self.metered_to_ms) // SECOND_MS
            state = "busy" if held or device == "host" else "idle"
            spans.append(
                Span(
                    device=device,
                    lease=held,
                    state=state,
                    t0_ms=self.metered_to_ms,
                    t1_ms=t1_ms,
                    start_j=start,
                    end_j=self.joules[device],
                )
            )
        self.counter += 1
        raw = encode_batch(
            ReadingBatch(
                site=self.site,
                boot=self.boot,
                counter=self.counter,
                t0_ms=self.metered_to_ms,
                t1_ms=t1_ms,
                previous=self.previous,
                uncertainty_ppm=50_000,
                quality=quality,
                spans=tuple(spans),
            ),
            self.key,
        )
        self.previous, self.metered_to_ms = batch_hash(raw), t1_ms
        return raw

    def meter(self, lease: str = "") -> None:
        """Sign and deliver every minute up to now, and the rest."""
        now_ms = self.service.control.clock.grid_ms()
        raws = []
        while self.metered_to_ms < now_ms:
            raws.append(self.batch(lease, min(now_ms, self.metered_to_ms + MINUTE_MS)))
        if raws:
            answer = self.send(raws)
            assert answer.json() == {"accepted": self.counter}, answer.text

    def send(self, raws: list[bytes]) -> httpx.Response:
        return self.service.ask("POST", "/v1/agents/readings", token=self.token, content=cbor2.dumps(raws))


def submit(service: Service, **changes: Any) -> str:
    """A submitted job's id."""
    return service.ok("POST", "/v1/jobs", json=JOB | changes)["job"]


def start(service: Service, agent: Agent, **changes: Any) -> tuple[str, str]:
    """A job that runs at the agent: its id and its lease."""
    agent.sync()
    job = submit(service, **changes)
    service.plan()
    for _ in range(8):
        leases = agent.sync().orders.leases
        if leases:
            agent.report(leases[0].lease, "accepted")
            agent.report(leases[0].lease, "running")
            return job, leases[0].lease
        agent.meter()
        service.pass_grid(HOUR_MS // 12)
        service.plan()
    raise AssertionError(service.ok("GET", f"/v1/jobs/{job}"))


def finish(service: Service, agent: Agent, lease: str, output: bytes = b"results") -> None:
    """Run half an hour of grid time and report the end with its results."""
    service.pass_grid(HOUR_MS // 2)
    agent.meter(lease)
    digest = agent.put(lease, "output", output).json()["digest"]
    assert agent.report(lease, "finished", 100, output=digest).settled == (lease,)
    service.pass_grid(MINUTE_MS)
    agent.meter()


class Bridge(httpx.BaseTransport):
    """Carries what a blocking client asks to the service under test."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        path = str(request.url.raw_path, "ascii")
        asked = self._service.http.request(request.method, path, content=request.read(), headers=headers)
        answer = self._service.loop.run_until_complete(asked)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
