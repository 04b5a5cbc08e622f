"""`sunward up`: one control plane on this machine."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import click

from sunward.adapters.beacon import DrandBeacon
from sunward.adapters.endorsers import read_endorsers
from sunward.adapters.exclusive import lock_folder
from sunward.adapters.feeds.files import FileSource, OwnForecastFirst, OwnSeriesFirst
from sunward.adapters.feeds.settings import Subscription, read_feeds
from sunward.adapters.learnt import LearntForecaster
from sunward.adapters.past import Past
from sunward.adapters.prices import PriceSource, read_rates
from sunward.adapters.retirement import read_registries
from sunward.adapters.secret_file import FOLDER_MODE
from sunward.cli import show
from sunward.cli.door import LOOPBACK, Door
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.cli.watching import watches
from sunward.cli.when import moment
from sunward.engine.inputs import Feeds
from sunward.errors import InputError
from sunward.model.datum import SeriesKind
from sunward.model.plan import PolicyInputs
from sunward.ports import Retirement
from sunward.service.app import Work, serve
from sunward.service.bootstrap import LOCAL_RULES, build_control, issue_credentials
from sunward.service.config import ServiceConfig
from sunward.service.control import ControlPlane
from sunward.service.fetching import fetching
from sunward.service.learning import learning
from sunward.service.offsetting import Buyer, keep_buying
from sunward.service.rating import Rating, keep_rating
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource

RATE = click.FloatRange(min=0)
SWITCH_MS = 750
"""Machine time to stop a job, store its checkpoint and start it elsewhere on one machine."""
MARGIN_MS = 2_000
"""Machine time kept free before a deadline."""


@command()
@option("--port", type=click.IntRange(0, 65_535), default=8_600, help="Port to listen on; 0 takes a free one.")
@option("--host", default=LOOPBACK, help="Address to listen on; any but this machine's own needs TLS or a proxy.")
@option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain, PEM.")
@option("--tls-key", type=click.Path(path_type=Path), help="Its private key, PEM.")
@option("--behind-proxy", is_flag=True, help="A proxy of yours ends TLS and passes requests on.")
@option("--proxy-address", default=LOOPBACK, help="Where that proxy asks from; only it may say who asked it.")
@option("--public-url", default="", help="Address for others, when it is not the one listened on.")
@option("--read-rate", type=RATE, default=500.0, help="Requests to read, per second and token; 0 is no limit.")
@option("--write-rate", type=RATE, default=200.0, help="Requests to change something, per second and token.")
@option("--agent-rate", type=RATE, default=200.0, help="Requests of one agent, per second.")
@option("--speed", type=click.IntRange(1), default=1, help="Hours of grid time per hour; fixed by the first start.")
@option("--start", default="", help="Grid time of the first start, e.g. 2026-06-11T06:00; else now.")
@option("--grace", type=click.FloatRange(min=0.1), default=30.0, help="Seconds of silence before an agent is lost.")
@option("--database", default="", help="Database address; else SQLite in the home folder.")
@option("--objects", default="", help="Where stored files lie, e.g. s3://bucket/prefix; else in the home folder.")
@option("--carbon", type=click.Path(path_type=Path), help="Your own hourly carbon intensity, CSV or Parquet.")
@option("--price", type=click.Path(path_type=Path), help="Your own hourly power price, CSV or Parquet.")
@option("--carbon-history", type=click.Path(path_type=Path), help="Carbon intensity gone, to learn forecasts from.")
@option("--price-history", type=click.Path(path_type=Path), help="Power prices gone, to learn forecasts from.")
@option("--webhook-allow-private", is_flag=True, help="Let webhooks go to this machine and its own networks.")
@option("--grid", "grid_file", type=click.Path(path_type=Path), help="Grid events, as a grid.toml names their servers.")
@option("--endorsers", type=click.Path(path_type=Path), help="Whose word on sites' keys counts: an endorsers.toml.")
@option("--feeds", "feeds_file", type=click.Path(path_type=Path), help="Live feeds, as a feeds.toml names them.")
@option("--beacon", "beacon_url", default="", help="Where draws take their values, https://RELAY/CHAIN_HASH of drand.")
@option("--credits", "credits_file", type=click.Path(path_type=Path), help="Registries, as a credits.toml names them.")
@option("--rates", "rates_file", type=click.Path(path_type=Path), help="Prices of ATH, as a rates.toml names sources.")
@pass_shell
def up(
    shell: Shell,
    port: int,
    host: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,  # noqa: FBT001 - click's signature
    proxy_address: str,
    public_url: str,
    read_rate: float,
    write_rate: float,
    agent_rate: float,
    speed: int,
    start: str,
    grace: float,
    database: str,
    objects: str,
    carbon: Path | None,
    price: Path | None,
    carbon_history: Path | None,
    price_history: Path | None,
    grid_file: Path | None,
    feeds_file: Path | None,
    beacon_url: str,
    endorsers: Path | None,
    rates_file: Path | None,
    credits_file: Path | None,
    *,
    webhook_allow_private: bool,
) -> None:
    """Run the control plane here until stopped."""
    _log()
    start_ms = moment(start) if start else None
    files = _files(carbon, price)
    learnt = LearntForecaster(Past((*_files(carbon_history, price_history), *files)), ClimatologyForecaster())
    subscriptions = _beside(files, read_feeds(feeds_file) if feeds_file else ())
    grid = watches(grid_file)
    registries = read_registries(credits_file, LOCAL_RULES.network)
    prices = read_rates(rates_file) if rates_file else None
    door = Door(
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_proxy=behind_proxy,
        proxy_address=proxy_address,
        public_url=public_url,
    )
    entrance = door.entrance()
    rates_per_s = read_rate, write_rate, agent_rate
    config = _config(rates_per_s, endorsers, webhook_allow_private=webhook_allow_private)
    with take_home(shell.home), door.listen() as listener:
        control = build_control(
            shell.home,
            speed=speed,
            grid_start_ms=start_ms,
            rules=replace(LOCAL_RULES, policy=policy_at(speed)),
            grace_s=grace,
            database_url=database or None,
            objects_url=objects or None,
            feeds=Feeds(OwnSeriesFirst(files, ClimatologySource()), OwnForecastFirst(files, learnt)),
        )
        url = door.url(listener)
        # Who reads below that it is there may ask at once: the answer then waits, and is not refused.
        listener.listen()
        with fetching(control, subscriptions, shell.home) as told, learning(learnt, control.clock.grid_ms, told):
            issue_credentials(control, shell.home, url)
            works = _works(control, prices, registries)
            _tell(shell, url)
            serve(control, config, listener, entrance, grid, _beacon(beacon_url), works, shell.home)


def _config(
    rates_per_s: tuple[float, float, float], endorsers: Path | None, *, webhook_allow_private: bool
) -> ServiceConfig:
    reads, writes, agents = rates_per_s
    return ServiceConfig(
        reads_per_s=reads,
        writes_per_s=writes,
        agents_per_s=agents,
        webhook_allow_private=webhook_allow_private,
        endorsers=read_endorsers(endorsers) if endorsers else (),
    )


def _works(
    control: ControlPlane, prices: tuple[tuple[PriceSource, ...], int] | None, registries: dict[str, Retirement]
) -> list[Work]:
    """What goes on beside the control plane, ready to begin."""
    buyer = Buyer(control, registries)
    works: list[Work] = [lambda: keep_buying(buyer)]
    if prices is not None:
        rating = Rating(control, *prices)
        rating.begin()
        works.append(lambda: keep_rating(rating))
    return works


def _beacon(url: str) -> DrandBeacon | None:
    return DrandBeacon(url) if url else None


def _log() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _tell(shell: Shell, url: str) -> None:
    if shell.json:
        show.json_line({"url": url, "home": str(shell.home)})
    else:
        click.echo(_("control plane at {url}; credentials in {home}").format(url=url, home=shell.home))


def _files(carbon: Path | None, price: Path | None) -> tuple[FileSource, ...]:
    """The user's own files: they go first, for what was and what comes; the typical year tells the rest."""
    kinds = ((carbon, SeriesKind.CARBON_AVERAGE_LIFECYCLE), (price, SeriesKind.PRICE))
    return tuple(FileSource(path, kind) for path, kind in kinds if path is not None)


def _beside(files: tuple[FileSource, ...], subscriptions: tuple[Subscription, ...]) -> tuple[Subscription, ...]:
    """The subscriptions, where none tells what a file does: a series has one source."""
    for one in subscriptions:
        for file in files:
            if file.kind in one.kinds and file.holds(one.zone):
                line = _("{file} and the feed {feed} both tell {kind} of {zone}; leave one out")
                raise InputError(
                    line.format(file=file.path.name, feed=one.feed.name, kind=file.kind, zone=one.zone), code="SW-221"
                )
    return subscriptions


def policy_at(speed: int) -> PolicyInputs:
    """The policy at a speed of grid time: starts and stops take machine time, which is never accelerated."""
    plain = PolicyInputs()
    return replace(
        plain,
        switch_ms=max(plain.switch_ms, SWITCH_MS * speed),
        finish_margin_ms=max(plain.finish_margin_ms, MARGIN_MS * speed),
    )


def take_home(home: Path) -> TextIO:
    """Hold the home's lock until this is closed or the process dies: two control planes would push each other out."""
    home.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    lock = lock_folder(home)
    if lock is None:
        line = _("a control plane runs in {home} already; stop it, or name another with --home")
        raise InputError(line.format(home=home), code="SW-625")
    return lock
