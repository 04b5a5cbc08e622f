"""An agent's surroundings for tests with real processes: its settings, and a small control plane on HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import cbor2

from sunward.agent.config import load_config
from sunward.metering.wire import decode_batch
from sunward.model.codec import decode, encode
from sunward.model.site import AwakeOrder, LeaseOrder, LeaseReport, PoolPower, SiteOrders, SiteSpec
from sunward.model.wire import ClockMapping, JobContent, SyncReply, SyncRequest

WAIT_S = 90.0
SPEED = 1_200
GRID_MS = 1_749_600_000_000
SITE = "test-site"
POOL = f"{SITE}/L40S"
SETTINGS: dict[str, object] = {
    "server": "http://127.0.0.1:1",
    "site": SITE,
    "owner": "me",
    "zone": "KR",
    "country": "KR",
    "cooling": "air",
    "overhead_ppm": 1_200_000,
    "ask_usd_micro_per_gpu_h": 1_000_000,
}
"""What every agent must be told, but for its pools."""


class Control:
    """What the real service does of the agents' protocol, as far as these tests need it."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.version = 1
        self.orders: tuple[LeaseOrder, ...] = ()
        self.reports: dict[str, LeaseReport] = {}
        self.boots: list[str] = []
        self.powers: tuple[PoolPower, ...] = ()
        self.settled: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.content = JobContent(name="n", command=("python", "job.py"))
        self.secrets: dict[str, str] = {}
        self.logs: dict[str, bytes] = {}
        self.batches: list[bytes] = []
        self.spec: SiteSpec | None = None
        self.clock = ClockMapping(machine_ms=int(time.time() * 1000), grid_ms=GRID_MS, speed=SPEED)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                url = urlsplit(self.path)
                status, answer = owner.answer(self.command, url.path, parse_qs(url.query), self.rfile.read(length))
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = _serve  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        match method, *path.removeprefix("/v1/").split("/"):
            case "POST", "agents", "enroll":
                self.spec = decode(json.dumps(json.loads(body)["spec"]), SiteSpec)
                return 200, encode({"site": self.spec.site, "token": "secret"})
            case "POST", "agents", "sync":
                return 200, encode(self.sync(decode(body, SyncRequest)))
            case "POST", "agents", "readings":
                return self.readings(cbor2.loads(body))
            case "GET", "leases", _, "content":
                return 200, encode(self.content)
            case "GET", "leases", _, "secrets" if self.secrets:
                return 200, encode(self.secrets)
            case "GET", "objects", digest:
                return 200, self.objects[digest]
            case "PUT", "leases", _, _:
                return 200, encode({"digest": self.keep(body)})
            case "POST", "leases", lease, "log":
                assert int(query["offset"][0]) == len(self.logs.get(lease, b""))
                self.logs[lease] = self.logs.get(lease, b"") + body
                return 204, b""
        return 404, encode({"detail": path})

    def sync(self, request: SyncRequest) -> SyncReply:
        with self.lock:
            if request.boot not in self.boots:
                self.boots.append(request.boot)
            self.powers = request.power
            for report in request.reports:
                self.reports[report.lease] = report
                if report.phase in ("finished", "failed", "suspended"):
                    self.settled.add(report.lease)
            self.lock.notify_all()
            self.lock.wait_for(lambda: self.version > request.orders_version, request.wait_ms / 1_000)
            orders = tuple(one for one in self.orders if one.lease not in self.settled)
            awake = (AwakeOrder(pool=POOL, count=sum(one.gpus for one in orders)),)
            site = SiteOrders(site=SITE, version=self.version, leases=orders, awake=awake)
            return SyncReply(clock=self.clock, orders=site, settled=tuple(self.settled))

    def readings(self, raws: list[bytes]) -> tuple[int, bytes]:
        assert self.spec is not None
        with self.lock:
            for raw in raws:
                batch = decode_batch(raw, self.spec.public_key)
                if batch.counter <= len(self.batches):
                    assert self.batches[batch.counter - 1] == raw
                elif batch.counter > len(self.batches) + 1:
                    return 409, encode({"expected": len(self.batches) + 1})
                else:
                    self.batches.append(raw)
            return 200, encode({"accepted": len(self.batches)})

    def order(self, *orders: LeaseOrder) -> None:
        with self.lock:
            self.version += 1
            self.orders = orders
            self.lock.notify_all()

    def wait(self, true: Callable[[], bool]) -> None:
        with self.lock:
            assert self.lock.wait_for(true, WAIT_S), (self.reports, self.logs)

    def phase(self, lease: str) -> str:
        report = self.reports.get(lease)
        return report.phase if report else ""

    def keep(self, raw: bytes) -> str:
        digest = hashlib.sha256(raw).hexdigest()
        self.objects[digest] = raw
        return digest

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def join_with(folder: Path, settings: Mapping[str, object], pool: Mapping[str, object]) -> None:
    """Enrol the agent of a folder that has one pool, and keep its settings there."""
    from sunward.agent.daemon import join  # noqa: PLC0415  the daemon is Linux alone

    join(load_config(folder, {**settings, "pools": [pool]}), "once")
    (folder / "agent.toml").write_text("\n".join([*_lines(settings), "[[pools]]", *_lines(pool)]))


def _lines(table: Mapping[str, object]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in table.items()]
