"""The REST service: routes, errors and limits around one control plane, and the process that serves it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from types import FrameType
from typing import TypeAlias

import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import sunward
from sunward.adapters.beacon import LocalBeacon
from sunward.ports import Beacon
from sunward.service import (
    problems,
    routes_account,
    routes_admin,
    routes_agents,
    routes_books,
    routes_ceilings,
    routes_certificates,
    routes_chain,
    routes_challenges,
    routes_grid,
    routes_jobs,
    routes_offset,
    routes_places,
    routes_policy,
    routes_rate,
    routes_reserve,
    routes_sites,
    routes_stakes,
    routes_tenants,
    routes_trust,
)
from sunward.service.auth import Auditor, require_declared
from sunward.service.bodies import describe
from sunward.service.bounding import keep_bounds
from sunward.service.chain_watch import Presence, keep_posting
from sunward.service.challenging import Challenges, keep_drawing
from sunward.service.config import Entrance, ServiceConfig
from sunward.service.control import ControlPlane
from sunward.service.gate import Gate, PatientProtocol
from sunward.service.grid_events import Watch, keep_watching
from sunward.service.limits import Limits
from sunward.service.metrics import registry_of
from sunward.service.notices import keep_delivering
from sunward.service.solver import SolverProcess, SpareProcess, compile_ahead

GARBAGE_AFTER = 20_000
"""New objects after which the young ones are looked through."""
SWITCH_S = 0.0005
"""How long one thread runs before another one has its turn."""
Work: TypeAlias = Callable[[], Coroutine[None, None, None]]
"""Something that goes on as long as the service does."""
ROUTERS = (
    routes_jobs,
    routes_agents,
    routes_grid,
    routes_sites,
    routes_ceilings,
    routes_challenges,
    routes_chain,
    routes_places,
    routes_books,
    routes_certificates,
    routes_stakes,
    routes_account,
    routes_admin,
    routes_tenants,
    routes_trust,
    routes_policy,
    routes_rate,
    routes_reserve,
    routes_offset,
)


def build_app(
    control: ControlPlane,
    config: ServiceConfig,
    stop: Callable[[], None] | None = None,
    watches: Sequence[Watch] = (),
    beacon: Beacon | None = None,
    more: Sequence[Work] = (),
    home: Path | None = None,
) -> FastAPI:
    """The application; while it lives the control plane and `more` run; `stop` is called when one ends by itself."""
    challenges = Challenges(control, beacon or LocalBeacon())
    posting = Presence()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        grid = (keep_watching(control, one) for one in watches)
        kept = (keep_delivering(control, config), keep_drawing(challenges), keep_bounds(control))
        works = (control.run(), *kept, keep_posting(control, posting, home), *grid, *(work() for work in more))
        running = [asyncio.create_task(work) for work in works]
        for one in running:
            one.add_done_callback(lambda task: _ended(control, task, stop))
        try:
            yield
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    limits = Limits(config, control.clock.machine_ms)
    app = FastAPI(title="Sunward", version=sunward.__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.control = control
    app.state.config = config
    app.state.limits = limits
    app.state.challenges = challenges
    app.state.posting = posting
    for area in ROUTERS:
        # Taken as they are: `include_router` would build every route and its models anew for each application.
        app.router.routes.extend(area.router.routes)
    _add_health(app, control, watches)
    require_declared(app)
    problems.install(app)
    describe(app)
    app.add_middleware(Gate, config=config, limits=limits)
    return app


def _ended(control: ControlPlane, task: asyncio.Task[None], stop: Callable[[], None] | None) -> None:
    """The control plane never ends by itself unless something is wrong: then the process must end too."""
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        control.fail(error)
    if stop is not None:
        stop()


def _add_health(app: FastAPI, control: ControlPlane, watches: Sequence[Watch]) -> None:
    registry = registry_of(control, watches)

    @app.get("/healthz", tags=["health"], response_class=Response)
    async def get_health() -> Response:
        """200 while the control plane runs, 503 once it has failed."""
        if control.failure is None:
            return Response("ok\n", media_type="text/plain")
        return problems.problem(503, "the control plane has failed; its log says why", problems.BROKEN)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def get_metrics(_caller: Auditor) -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class Server(uvicorn.Server):
    """Ends at once when asked: agents that wait for orders would hold the end up."""

    leave: Callable[[], None]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal to stop."""
        super().handle_exit(sig, frame)
        self.leave()


def _tune() -> None:
    """Have the interpreter favour the event loop; only for a process that does nothing else."""
    # New jobs are placed in threads: the loop should not wait 5 ms for its turn after every call to the system.
    sys.setswitchinterval(SWITCH_S)
    # What was loaded stays; looking for garbage in it again and again would cost more than a request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


def serve(
    control: ControlPlane,
    config: ServiceConfig,
    listener: socket.socket,
    entrance: Entrance | None = None,
    watches: Sequence[Watch] = (),
    beacon: Beacon | None = None,
    more: Sequence[Work] = (),
    home: Path | None = None,
) -> None:
    """Serve on a bound socket until a signal asks to stop, or the control plane fails.

    Raises: what the control plane failed of, so that the process ends with an error.
    """

    def stop() -> None:
        server.should_exit = True

    app = build_app(control, config, stop, watches, beacon, more, home)
    entrance = entrance or Entrance()
    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=config.drain_s,
        server_header=False,
        ssl_certfile=entrance.tls_cert or None,
        ssl_keyfile=entrance.tls_key or None,
        # Nobody is believed about who asks unless the operator named a proxy.
        proxy_headers=bool(entrance.proxy_address),
        forwarded_allow_ips=entrance.proxy_address or [],
        http=PatientProtocol,
        ws="none",
    )
    PatientProtocol.head_bytes_max = config.header_bytes_max + config.address_chars_max
    _tune()
    server = Server(settings)
    server.leave = control.let_go
    # Accepted connections inherit it. Else a small answer waits 40 ms for the acknowledgement of its own headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    solver, spare, compiling = SolverProcess(), SpareProcess(), compile_ahead()
    control.solve, control.search = solver.run, spare.run
    # Raised again after an orderly end by Ctrl-C, which is how a service of one's own is ended.
    with contextlib.closing(solver), contextlib.closing(spare), contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if compiling is not None:
        compiling.kill()
        compiling.wait()
    if control.failure is not None:
        raise control.failure
