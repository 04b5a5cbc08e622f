"""Commands on sites: the list, one of them as it stands, and what its owner asks of it."""

from __future__ import annotations

from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.commands import site_curtail
from sunward.cli.commands.site_challenge import challenge
from sunward.cli.commands.site_curtail import curtail
from sunward.cli.keeper import agent_folder, joined, keeper, named
from sunward.cli.reasons import QUALITIES, SLEEPS, STATES, word
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _
from sunward.model.request import SiteView
from sunward.model.site_views import AskRequest, SiteLease, SiteStatus
from sunward.units import MICRO, SECOND_MS, W_PER_KW

POWER_STYLES = {"busy": "cyan", "idle": "green", "waking": "yellow", "asleep": "dim", "off": "dim"}


@group(invoke_without_command=True)
@click.pass_context
@pass_shell
def site(shell: Shell, ctx: click.Context) -> None:
    """List the sites; `site token` lets a new one join."""
    if ctx.invoked_subcommand:
        return
    with shell.client() as client:
        found = client.sites()
    if shell.json:
        show.json_line(found)
        return
    columns = (
        _("SITE"),
        _("ZONE"),
        "GPU",
        _("AWAKE"),
        _("BUSY"),
        _("STATE"),
        "g/kWh",
        _("OVERHEAD"),
        _("ASK, USD/GPU h"),
    )
    show.table(columns, (_cells(each) for each in found))


@site.command("token")
@option("--note", default="", help="What the token is for; you will see it in the list.")
@option("--for", "name", default="", metavar="SITE", help="A site that lost its key: it comes back with a new one.")
@pass_shell
def site_token(shell: Shell, note: str, name: str) -> None:
    """Make a one-time token for `sunward join`."""
    with shell.client("operator") as client:
        made = client.enrol(note, name)
    if shell.json:
        show.json_line(made)
    else:
        click.echo(made.token)


site.add_command(curtail)
site.add_command(challenge)

FOLDER = option(
    "--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder."
)


@site.command("status")
@click.argument("name", default="", metavar="[SITE]")
@FOLDER
@pass_shell
def site_status(shell: Shell, name: str, folder: Path | None) -> None:
    """How a site stands: yours with its leases and earnings."""
    here = joined(agent_folder(shell, folder))
    name = named(shell, here, name)
    with keeper(shell, here, name) as client:
        found = client.site(name)
    if shell.json:
        show.json_line(found)
    else:
        _told(found)


@site.command("drain")
@click.argument("name", default="", metavar="[SITE]")
@option("--undo", is_flag=True, help="Take work again.")
@FOLDER
@pass_shell
def site_drain(shell: Shell, name: str, undo: bool, folder: Path | None) -> None:  # noqa: FBT001 - click's signature
    """Take no new work: what can be paused moves, the rest ends where it is."""
    here = joined(agent_folder(shell, folder))
    name = named(shell, here, name)
    with keeper(shell, here, name) as client:
        found = client.drain(name, draining=not undo)
    if shell.json:
        show.json_line(found)
        return
    left = len(found.account.leases) if found.account else 0
    line = _("{site} takes work again") if undo else _("{site} takes no new work; leases still there: {count}")
    show.line(line.format(site=name, count=left))


@site.command("ask")
@click.argument("usd", type=click.FloatRange(min=0.0), required=False, metavar="USD")
@option("--site", "name", default="", help="Name of the site; else that of the agent's folder.")
@option("--payout", default=None, help="Address to pay, 0x and 40 hex digits; empty to forget it.")
@FOLDER
@pass_shell
def site_ask(shell: Shell, usd: float | None, name: str, payout: str | None, folder: Path | None) -> None:
    """Change the price asked, USD per GPU hour; leases offered before keep theirs."""
    here = joined(agent_folder(shell, folder))
    name = named(shell, here, name)
    wanted = AskRequest(ask_usd_micro_per_gpu_h=None if usd is None else round(usd * MICRO), payout=payout)
    with keeper(shell, here, name) as client:
        found = client.change_terms(name, wanted)
    if shell.json:
        show.json_line(found)
    else:
        line = _("{site} asks {ask} per GPU hour from now on")
        show.line(line.format(site=name, ask=show.usd(found.ask_usd_micro_per_gpu_h)))


def _told(found: SiteStatus) -> None:
    show.pairs(
        [
            (_("site"), found.site),
            (_("zone"), f"{found.zone} ({found.country})"),
            (_("state"), _standing(found)),
            (_("last heard"), show.NOTHING if found.silent_ms is None else _ago(found.silent_ms)),
            (_("ask"), show.usd(found.ask_usd_micro_per_gpu_h)),
            (_("closed hours, UTC"), ", ".join(map(str, found.closed_hours_utc)) or show.NOTHING),
            (_("sleep"), word(SLEEPS, found.sleep)),
            (_("power ceiling"), _ceiling(found)),
            (_("energy today"), _today(found)),
            (_("metered, 7 days"), show.NOTHING if found.metered_ppm is None else show.percent(found.metered_ppm)),
            (_("faults of readings, 30 days"), _faults(found)),
            *_money(found),
        ]
    )
    columns = (_("POOL"), _("CONTAINERS"), _("AWAKE"), _("BUSY"), _("KEPT BY YOU"))
    show.table(columns, ((p.pool, str(p.count), str(p.awake), str(p.busy), str(p.withheld)) for p in found.pools))
    if found.ceilings:
        site_curtail.told(found.ceilings)
    if found.account and found.account.leases:
        rows = ((one.lease, word(STATES, one.state), str(one.gpus), _done(one)) for one in found.account.leases)
        show.table((_("LEASE"), _("STATE"), "GPU", _("DONE")), rows)


def _standing(found: SiteStatus) -> show.Cell:
    for is_so, text, style in (
        (found.left_ms > 0, _("has left"), "dim"),
        (not found.reachable, _("not reachable"), "red"),
        (found.draining, _("drains: it takes no new work"), "yellow"),
        (found.closed, _("closed in this hour"), "yellow"),
        (bool(found.asleep_until_ms), _("asleep until {when}").format(when=show.stamp(found.asleep_until_ms)), "cyan"),
    ):
        if is_so:
            return show.Cell(text, style)
    return show.Cell(_("takes work"), "green")


def _ceiling(found: SiteStatus) -> str:
    """What it may draw as declared; grid events stand in a table of their own."""
    return f"{found.power_ceiling_w / W_PER_KW:g} kW" if found.power_ceiling_w else show.NOTHING


def _ago(silent_ms: int) -> str:
    return _("{seconds} s ago").format(seconds=silent_ms // SECOND_MS)


def _today(found: SiteStatus) -> str:
    line = _("{leased} for jobs, {idle} idle")
    return line.format(leased=show.energy(found.leased_today_j), idle=show.energy(found.idle_today_j))


def _faults(found: SiteStatus) -> str:
    """By the names that docs/readings.md explains."""
    return ", ".join(f"{name} {count}" for name, count in found.reading_faults.items()) or show.NOTHING


def _money(found: SiteStatus) -> list[tuple[str, str]]:
    account = found.account
    if account is None:
        return []
    owed = _("{amount}, settled at {at}").format(
        amount=show.usd(account.owed_usd_micro), at=show.stamp(account.settles_ms)
    )
    return [
        (_("earned by its owner"), show.ath(int(account.earned_wei))),
        (_("owed for unsettled work"), owed),
        (_("payout"), account.payout or show.NOTHING),
    ]


def _done(lease: SiteLease) -> str:
    return f"{lease.units_done}/{lease.units}"


def _cells(view: SiteView) -> show.Row:
    state = view.power_state if view.reachable else "unreachable"
    return (
        view.site,
        view.zone,
        f"{view.gpus} {view.gpu_model}",
        str(view.awake),
        str(view.busy),
        show.Cell(word(STATES, state), POWER_STYLES.get(state, "red")),
        _with_quality(show.intensity(view.carbon_mg_per_kwh), view.carbon_quality),
        _with_quality(show.ratio(view.overhead_ppm), view.overhead_quality),
        show.usd(view.ask_usd_micro_per_gpu_h).removesuffix(" USD"),
    )


def _with_quality(figure: str, quality: str) -> str:
    return f"{figure} {word(QUALITIES, quality)}" if quality else figure
