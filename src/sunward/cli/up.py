"""`sunward up`: one control plane on this machine."""

from __future__ import annotations

import logging
import socket
import sys
from datetime import UTC, datetime
from typing import NoReturn

import click
import uvicorn

from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.engine.inputs import Feeds
from sunward.errors import InputError
from sunward.service.app import build_app
from sunward.service.bootstrap import build_control, issue_credentials
from sunward.service.config import ServiceConfig
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import SECOND_MS

LOOPBACK = "127.0.0.1"


@command()
@option("--port", type=click.IntRange(0, 65_535), default=8_600, help="Port on this machine; 0 takes a free one.")
@option("--speed", type=click.IntRange(1), default=1, help="Hours of grid time per hour; fixed by the first start.")
@option("--start", default="", help="Grid time of the first start, e.g. 2026-06-11T06:00; else now.")
@option("--grace", type=click.FloatRange(min=0.1), default=30.0, help="Seconds of silence before an agent is lost.")
@option("--database", default="", help="Database address; else SQLite in the home folder.")
@pass_shell
def up(shell: Shell, port: int, speed: int, start: str, grace: float, database: str) -> None:
    """Run the control plane here until stopped."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    listener = _listen(port)
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    control = build_control(
        shell.home,
        speed=speed,
        grid_start_ms=_moment(start) if start else None,
        grace_s=grace,
        database_url=database or None,
        feeds=Feeds(ClimatologySource(), ClimatologyForecaster()),
    )
    app = build_app(control, ServiceConfig())
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on"))
    issue_credentials(control, shell.home, url)
    click.echo(_("control plane at {url}; credentials in {home}").format(url=url, home=shell.home))
    server.run(sockets=[listener])
    if control.failure is not None:
        _die(control.failure)


def _listen(port: int) -> socket.socket:
    """A socket on this machine only, taken before anything is written."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        raise InputError(_("port {port} is taken; choose another with --port").format(port=port), code="SW-320") from None
    return listener


def _moment(text: str) -> int:
    """UTC time in ms."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            _("{text} is no time; write one like 2026-06-11T06:00").format(text=text), code="SW-321"
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * SECOND_MS)


def _die(failure: BaseException) -> NoReturn:
    """A control plane whose inner loop died is not to look alive."""
    raise failure
