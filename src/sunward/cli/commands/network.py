"""Commands on the network itself: its epochs."""

from __future__ import annotations

import click

from sunward.cli import show
from sunward.cli.shell import Shell, group, pass_shell
from sunward.cli.text import _


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
