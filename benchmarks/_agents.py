"""Simulated agents of many sites against a real service: they follow orders, work in grid time, and report.

Each is a `SimSite` behind the agents' HTTP API: it polls for orders with all its reports, at once when something has
changed at the site, but not more often than `REST_S`, and at the latest when the long poll ends. They send no
readings and store no files.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from sunward.model.codec import decode, encode
from sunward.model.datum import Quality
from sunward.model.hardware import Admission
from sunward.model.identity import SiteId, TenantId, ZoneId, pool_id
from sunward.model.site import LeaseReport, PoolSpec, SiteSpec
from sunward.model.wire import SyncReply, SyncRequest
from sunward.sim.fleet import SimSite
from sunward.units import SECOND_MS

PLACES = (
    ("NO-NO2", "NO", "H100-SXM", 1_080_000, 2_400_000),
    ("ES", "ES", "A100-SXM-80GB", 1_150_000, 1_400_000),
    ("PL", "PL", "L40S", 1_400_000, 900_000),
    ("FR", "FR", "A100-SXM-80GB", 1_200_000, 1_700_000),
    ("DE", "DE", "H100-SXM", 1_250_000, 2_100_000),
)
"""Zone, country, GPU model, overhead and ask of the sites, in turn."""
REST_S = 0.1
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the process is told on its command line."""

    url: str
    operator_token: str
    sites: int
    gpus: int
    late_s: float
    """How long after the others the last site joins."""


def site_spec(number: int, gpus: int) -> SiteSpec:
    """The declaration of one site."""
    zone, country, gpu, overhead_ppm, ask = PLACES[number % len(PLACES)]
    name = SiteId(f"bench-{number:03d}")
    devices = tuple(f"gpu{index}" for index in range(gpus))
    return SiteSpec(
        site=name,
        owner=TenantId("owner"),
        zone=ZoneId(zone),
        country=country,
        cooling="air",
        overhead_ppm=overhead_ppm,
        overhead_quality=Quality.MODELLED,
        water_ml_per_kwh=500,
        ask_usd_micro_per_gpu_h=ask,
        admission=Admission.OWN,
        pools=(PoolSpec(pool=pool_id(name, gpu), gpu_model=gpu, count=gpus, devices=devices),),
        public_key=f"{number:064x}",
    )


def _without_files(report: LeaseReport) -> LeaseReport:
    """A report may name only files that were stored, and these agents store none."""
    return replace(report, checkpoint="", checkpoint_units=0, output="")


class Agent:
    """One site: its simulated machine and its connection."""

    def __init__(self, http: httpx.AsyncClient, spec: SiteSpec) -> None:
        self._http = http
        self._spec = spec
        self._headers: dict[str, str] = {}
        self._version = -1

    async def join(self, operator_token: str) -> None:
        """Enrol and have a token of its own."""
        operator = {"authorization": f"Bearer {operator_token}"}
        answer = await self._http.post("/v1/enrolments", content=b'{"note":"bench"}', headers=operator)
        body = {"token": answer.raise_for_status().json()["token"], "spec": self._spec}
        answer = await self._http.post("/v1/agents/enroll", content=encode(body))
        self._headers = {"authorization": f"Bearer {answer.raise_for_status().json()['token']}"}

    async def work(self) -> None:
        """Sync for ever."""
        site: SimSite | None = None
        wait_s = 0.0
        while True:
            begun = time.monotonic()
            reply = await self._sync(site, round(wait_s * SECOND_MS))
            now_ms = reply.clock.grid(time.time_ns() // 10**6)
            site = site or SimSite(self._spec, now_ms)
            for lease in reply.settled:
                site.runs.pop(lease, None)
            site.follow(reply.orders, now_ms)
            site.step(now_ms)
            for device in site.devices.values():
                device.spans.clear()
            site.host_spans.clear()
            next_ms = site.next_change_ms(now_ms)
            ahead_s = POLL_S if next_ms is None else max(0, next_ms - now_ms) / reply.clock.speed / SECOND_MS
            wait_s = min(POLL_S, ahead_s)
            await asyncio.sleep(max(0.0, begun + REST_S - time.monotonic()))
            site.step(reply.clock.grid(time.time_ns() // 10**6))

    async def _sync(self, site: SimSite | None, wait_ms: int) -> SyncReply:
        request = SyncRequest(
            boot="bench-1",
            orders_version=self._version,
            wait_ms=wait_ms,
            reports=tuple(map(_without_files, site.reports())) if site else (),
            power=site.power() if site else (),
        )
        answer = await self._http.post("/v1/agents/sync", content=encode(request), headers=self._headers)
        reply = decode(answer.raise_for_status().content, SyncReply)
        self._version = reply.orders.version
        return reply


async def run(plan: Plan) -> None:
    """Join every site, say so, and work until the process is ended."""
    async with httpx.AsyncClient(base_url=plan.url, timeout=60.0, limits=httpx.Limits(max_connections=None)) as http:
        agents = [Agent(http, site_spec(number, plan.gpus)) for number in range(plan.sites)]
        for agent in agents[:-1]:
            await agent.join(plan.operator_token)
        print(json.dumps({"joined": len(agents) - 1}), flush=True)
        await asyncio.gather(*(agent.work() for agent in agents[:-1]), late(agents[-1], plan))


async def late(agent: Agent, plan: Plan) -> None:
    """Join later than the others, and work."""
    await asyncio.sleep(plan.late_s)
    await agent.join(plan.operator_token)
    await agent.work()


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_bytes())
    asyncio.run(run(Plan(told["url"], told["operator_token"], told["sites"], told["gpus"], told["late_s"])))
