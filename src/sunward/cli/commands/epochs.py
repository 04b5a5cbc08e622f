"""`sunward epoch`: what was closed, and closing."""

from __future__ import annotations

import click

from sunward.cli import show
from sunward.cli.shell import Shell, group, pass_shell
from sunward.cli.text import _
from sunward.errors import NotFoundError
from sunward.model.receipt import EpochStatement
from sunward.report.reserve_html import percent


@group(invoke_without_command=True)
@click.pass_context
@pass_shell
def epoch(shell: Shell, ctx: click.Context) -> None:
    """List the closed epochs; below it, show one, or close the present one."""
    if not ctx.invoked_subcommand:
        _list(shell)


@epoch.command("list")
@pass_shell
def epoch_list(shell: Shell) -> None:
    """List the closed epochs."""
    _list(shell)


def _list(shell: Shell) -> None:
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


@epoch.command("show")
@click.argument("number", metavar="[EPOCH]", type=click.IntRange(1), required=False)
@pass_shell
def epoch_show(shell: Shell, number: int | None) -> None:
    """Show the statement of one closed epoch; the last one, where you name none."""
    with shell.client("operator") as client:
        found = client.epochs()
    wanted = [one for one in found if number in (None, one.epoch)]
    if not wanted:
        line = _("epoch {epoch} is not closed").format(epoch=number) if number else _("no epoch is closed yet")
        raise NotFoundError(line, code="SW-799")
    if shell.json:
        show.json_line(wanted[-1])
    else:
        show.pairs(_statement(wanted[-1]))


def _statement(one: EpochStatement) -> list[tuple[str, str]]:
    ends = f"{show.stamp(one.start_ms)} – {show.stamp(one.end_ms)}"
    told = [
        (_("epoch"), str(one.epoch)),
        (_("time"), ends),
        (_("receipts"), str(len(one.receipts))),
        (_("energy of jobs"), show.energy(one.facility_j)),
        (_("idle energy"), show.energy(one.idle_j)),
        (_("location-based"), show.carbon(one.location_mg)),
        (_("market-based"), show.carbon(one.market_mg)),
        (_("paid"), show.usd(one.paid_usd_micro)),
        (_("to providers"), show.ath(one.provider_wei)),
        (_("to the network"), show.ath(one.network_wei)),
        (_("set aside for credits"), show.ath(one.offset_wei)),
        (_("balance"), f"{one.balance_wei} wei"),
    ]
    given = one.rewards
    if given is not None:
        told += [
            (_("given for stake"), show.ath(given.base_wei)),
            (_("given for renewable work"), show.ath(given.green_wei)),
            (_("given for energy saved"), show.ath(given.bonus_wei)),
            (_("cut by the ceiling"), show.ath(given.cut_wei)),
            (_("owners"), str(given.owners)),
        ]
    stands = one.reserve
    if stands is not None:
        covered = percent(stands.coverage_ppm, _("nothing owed"))
        told += [(_("reserve"), show.ath(stands.held_wei)), (_("coverage of the reserve"), covered)]
    return told


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
