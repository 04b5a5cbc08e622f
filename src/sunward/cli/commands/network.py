"""Commands on the network itself: its sites, its epochs, and your account in it."""

from __future__ import annotations

import click

from sunward.cli import show
from sunward.cli.reasons import QUALITIES, STATES, word
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _
from sunward.model.request import SiteView

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
@pass_shell
def site_token(shell: Shell, note: str) -> None:
    """Make a one-time token for `sunward join`."""
    with shell.client("operator") as client:
        made = client.enrol(note)
    if shell.json:
        show.json_line(made)
    else:
        click.echo(made.token)


@group(invoke_without_command=True)
@click.pass_context
@pass_shell
def epoch(shell: Shell, ctx: click.Context) -> None:
    """List the closed epochs; `epoch close` closes the present one."""
    if ctx.invoked_subcommand:
        return
    with shell.client("operator") as client:
        found = client.epochs()
    if shell.json:
        show.json_line(found)
        return
    columns = (_("EPOCH"), _("END"), _("RECEIPTS"), "kWh", _("LOCATION-BASED"), _("PAID"), _("PROVIDERS"), _("BALANCE"))
    rows = (
        (
            str(each.epoch),
            show.stamp(each.end_ms),
            str(len(each.receipts)),
            show.energy(each.facility_j).removesuffix(" kWh"),
            show.carbon(each.location_mg),
            show.usd(each.paid_usd_micro),
            show.ath(each.provider_wei),
            str(each.balance_wei),
        )
        for each in found
    )
    show.table(columns, rows)


@epoch.command("close")
@pass_shell
def epoch_close(shell: Shell) -> None:
    """Close the present epoch now: its receipts become final."""
    with shell.client("operator") as client:
        closed = client.close_epoch()
    if shell.json:
        show.json_line(closed)
    else:
        text = _("epoch {epoch} closed at journal record {sequence}")
        show.line(text.format(epoch=closed.epoch, sequence=closed.journal.sequence))


@group(invoke_without_command=True)
@click.pass_context
@pass_shell
def account(shell: Shell, ctx: click.Context) -> None:
    """Show your balance; `account deposit` adds test money."""
    if ctx.invoked_subcommand:
        return
    with shell.client() as client:
        view = client.account()
    if shell.json:
        show.json_line(view)
    else:
        show.pairs([(_("tenant"), view.tenant), (_("balance"), show.ath(view.balance_wei))])


@account.command("deposit")
@click.argument("amount_usd", type=click.FloatRange(min=0, min_open=True), metavar="USD")
@pass_shell
def account_deposit(shell: Shell, amount_usd: float) -> None:
    """Take test money worth so many USD from the local faucet."""
    with shell.client() as client:
        done = client.deposit(amount_usd)
    if shell.json:
        show.json_line(done)
    else:
        show.line(_("balance {amount}").format(amount=show.ath(done.balance_wei)))


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
