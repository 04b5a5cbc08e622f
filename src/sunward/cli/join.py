"""`sunward join`: this machine becomes a site, or goes on being one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sunward.agent import daemon, unit
from sunward.agent.config import CONFIG_FILE, load_config
from sunward.agent.folder import take_folder
from sunward.agent.identity import load_membership
from sunward.cli import show
from sunward.cli.commands.submit import interactive
from sunward.cli.interview import Interview, Offer, completed
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.errors import InputError, NotFoundError
from sunward.model.datum import Quality
from sunward.model.hardware import Admission
from sunward.signals import zones
from sunward.units import MICRO, PPM
from sunward.world import catalogue
from sunward.world.power import overhead_ratio

ROOM = "room"
"""The kind of cooling of a machine that stands in no data centre."""


@command()
@option("--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder.")
@option("--join-token", "join_token", default="", help="One-time token from `sunward site token`; only the first time.")
@option("--server", default="", help="Address of the control plane; else that of the home folder.")
@option("--site", default=None, help="Name of the site.")
@option("--zone", default=None, help="Grid zone, e.g. DE; `sunward catalog zones` lists them.")
@option("--gpu", "gpus", multiple=True, metavar="MODEL:COUNT", help="GPUs offered, e.g. RTX4090:1; may be repeated.")
@option("--cooling", default=None, help="Kind of cooling, see `sunward catalog cooling`; else room.")
@option(
    "--overhead",
    type=click.FloatRange(min=1.0),
    default=None,
    help="Facility energy over IT energy; else modelled from the cooling.",
)
@option("--ask", type=click.FloatRange(min=0.0), default=None, help="Price asked, USD per GPU hour.")
@option("--payout", default=None, metavar="0x…", help="Address that earnings go to; else the account alone.")
@option(
    "--gpu-year", type=int, default=None, metavar="YEAR", help="Year of first use of the GPUs, for embodied carbon."
)
@option(
    "--admission",
    type=click.Choice([one.value for one in Admission]),
    default=None,
    help="Whose jobs to accept; anyone: gVisor.",
)
@option(
    "--poll", type=click.FloatRange(min=0.1), default=None, help="Longest wait for orders, seconds; below the grace."
)
@option("--trusted", is_flag=True, default=None, help="Run own jobs without a sandbox where none is available.")
@option("--service", is_flag=True, help="Run it as a systemd service of this user, now and with every start.")
@option("-y", "--yes", is_flag=True, help="Take what this machine tells of itself without being asked.")
@pass_shell
def join(
    shell: Shell,
    folder: Path | None,
    join_token: str,
    server: str,
    site: str | None,
    zone: str | None,
    gpus: tuple[str, ...],
    cooling: str | None,
    overhead: float | None,
    ask: float | None,
    payout: str | None,
    gpu_year: int | None,
    admission: str | None,
    poll: float | None,
    trusted: bool | None,  # noqa: FBT001 - click's signature
    service: bool,  # noqa: FBT001 - click's signature
    yes: bool,  # noqa: FBT001 - click's signature
) -> None:
    """Join the network with this machine's GPUs and serve until stopped.

    The first time, name, zone, GPUs and ask are guessed from the machine and confirmed by you (`-y`: taken as is).
    """
    folder = folder.expanduser() if folder else shell.home / "agent"
    is_first, is_member = not (folder / CONFIG_FILE).exists(), _is_member(folder)
    server = server or shell.url or (shell.address() if is_first else "")
    said = Offer(site, zone, [_pool(one) for one in gpus], ask)
    if is_first:
        said = completed(said, Interview(yes, interactive()))
        _require(
            [*([] if join_token or is_member else ["--join-token"]), *([] if server else ["--server"]), *said.lacks()]
        )
        cooling = cooling or ROOM
    told: dict[str, object] = {
        "server": server or None,
        "site": said.site,
        "owner": "" if is_first else None,
        "zone": said.zone,
        "country": zones.load().zone(said.zone).country if said.zone else None,
        "pools": said.pools or None,
        "meter": "nvml" if said.metered else None,
        "cooling": cooling,
        **_overhead(overhead, cooling),
        "ask_usd_micro_per_gpu_h": None if said.ask_usd is None else round(said.ask_usd * MICRO),
        "payout": payout,
        "gpu_year": gpu_year,
        "admission": admission,
        "poll_s": poll,
        "trusted": trusted,
        "ca": str(shell.ca.absolute()) if shell.ca else None,
        "insecure": shell.insecure or None,
    }
    config = load_config(folder, told)
    if is_member:
        # Whether another agent runs is found out before anything is said; the daemon takes the folder for good.
        take_folder(folder).close()
    elif join_token:
        daemon.join(config, join_token)
    else:
        raise InputError(_("this folder has not joined yet; add --join-token"), code="SW-622")
    if not is_member or is_first:
        # A member's first start was killed between the two files.
        _save(folder / CONFIG_FILE, told)
    line = _("goes on as {site}") if is_member else _("joined as {site}")
    _say(shell, {"site": config.site, "folder": str(folder)}, line)
    if service:
        path = unit.install(folder, shell.home)
        show.line(_("runs as a service: {file}").format(file=path))
        return
    daemon.run(config)


def _say(shell: Shell, record: dict[str, str], line: str) -> None:
    if shell.json:
        show.json_line(record)
    else:
        click.echo(line.format(**record))


def _require(missing: list[str]) -> None:
    if missing:
        line = _("the first start of a site also needs {options} (see sunward join --help)")
        raise InputError(line.format(options=", ".join(missing)), code="SW-626")


def _overhead(overhead: float | None, cooling: str | None) -> dict[str, object]:
    """What is said of the overhead; where only the cooling is, what the catalogue models at full load in mild air."""
    if overhead is not None:
        return {"overhead_ppm": round(overhead * PPM), "overhead_quality": Quality.ESTIMATED.value}
    if cooling is None:
        return {}
    kind = catalogue.load().cooling(cooling)
    ratio = overhead_ratio(kind, kind.free_wet_bulb_c, 1.0)
    return {"overhead_ppm": round(ratio * PPM), "overhead_quality": Quality.MODELLED.value}


def _is_member(folder: Path) -> bool:
    try:
        load_membership(folder)
    except NotFoundError:
        return False
    return True


def _save(file: Path, told: dict[str, object]) -> None:
    """Keep what was said, so that `join --folder` alone goes on; JSON strings, numbers and booleans are TOML too."""
    pools = told.pop("pools")
    lines = [f"{name} = {json.dumps(value)}" for name, value in told.items() if value is not None]
    for pool in pools if isinstance(pools, list) else []:
        lines += ["", "[[pools]]", *(f"{name} = {json.dumps(value)}" for name, value in pool.items())]
    draft = file.with_name(f"{file.name}.new")
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.replace(file)


def _pool(text: str) -> dict[str, object]:
    model, _separator, count = text.rpartition(":")
    if not model or not count.isdigit() or not int(count):
        raise InputError(_("--gpu {text}: write MODEL:COUNT, e.g. RTX4090:1").format(text=text), code="SW-623")
    return {"gpu_model": model, "count": int(count)}
