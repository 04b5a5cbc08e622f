"""Commands on your account: balance, test money, the monthly budget."""

from __future__ import annotations

import click

from sunward.cli import show
from sunward.cli.commands.access import tell_erased
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _
from sunward.errors import InputError
from sunward.model.records import BudgetRequest, BudgetView

ALERT_PERCENT = 80


@group(invoke_without_command=True)
@click.pass_context
@pass_shell
def account(shell: Shell, ctx: click.Context) -> None:
    """Show your balance; below it are deposits and the monthly budget."""
    if not ctx.invoked_subcommand:
        _show_balance(shell)


@account.command("balance")
@pass_shell
def account_balance(shell: Shell) -> None:
    """Show what you hold outside escrow."""
    _show_balance(shell)


def _show_balance(shell: Shell) -> None:
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


@account.command("budget")
@click.argument("monthly_usd", type=click.FloatRange(min=0), metavar="USD", required=False)
@option(
    "--alert", type=click.IntRange(0, 100), help="Percent at which a notice goes to --webhook; else 80, and 0: none."
)
@option("--webhook", default="", metavar="URL", help="Where the notice goes.")
@option("--clear", is_flag=True, help="Drop the budget.")
@pass_shell
def account_budget(shell: Shell, monthly_usd: float | None, alert: int | None, webhook: str, clear: bool) -> None:  # noqa: FBT001 - click's signature
    """Show or set the most that jobs may cost in a calendar month (UTC, grid time).

    A job that could exceed it is refused when it is submitted: what this month's jobs paid, what is in escrow and the
    job's own escrow count.
    """
    if clear and monthly_usd is not None:
        raise InputError(_("give an amount, or --clear, not both"), code="SW-600")
    if alert and not webhook:
        raise InputError(_("--alert needs an address: add --webhook URL"), code="SW-600")
    if monthly_usd is None and (webhook or alert is not None):
        raise InputError(_("a notice belongs to a limit: give the amount in USD too"), code="SW-600")
    percent = ALERT_PERCENT if alert is None else alert
    with shell.client() as client:
        if clear or monthly_usd is not None:
            view = client.set_budget(BudgetRequest(monthly_usd=monthly_usd, alert_percent=percent, webhook=webhook))
        else:
            view = client.budget()
    if shell.json:
        show.json_line(view)
    else:
        show.pairs(_budget(view))


@account.command("erase")
@option("--cancel", is_flag=True, help="Cancel your open jobs first.")
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_shell
def account_erase(shell: Shell, cancel: bool, yes: bool) -> None:  # noqa: FBT001 - click's signature
    """Erase your name and all private content of your ended jobs: it cannot be brought back.

    Commands, logs, results and your budget go; receipts, the journal and your money stay.
    """
    if not yes:
        click.confirm(_("Erase all your private content for good?"), abort=True)
    with shell.client() as client:
        done = client.erase_content(cancel=cancel)
    tell_erased(shell, done)


def _budget(view: BudgetView) -> list[tuple[str, str | show.Cell]]:
    rows: list[tuple[str, str | show.Cell]] = [
        (_("month"), view.month),
        (_("spent by jobs that ended in it"), show.usd(view.spent_usd_micro)),
        (_("in escrow"), show.usd(view.open_usd_micro)),
    ]
    if view.limit_usd_micro is None:
        return [(_("monthly budget"), _("none")), *rows]
    left = view.limit_usd_micro - view.spent_usd_micro - view.open_usd_micro
    told = _("at {percent} % to {url}").format(percent=view.alert_percent, url=view.webhook)
    return [
        (_("monthly budget"), show.usd(view.limit_usd_micro)),
        *rows,
        (_("left"), show.Cell(show.usd(max(left, 0)), "green" if left > 0 else "red")),
        (_("notice"), told if view.webhook and view.alert_percent else _("none")),
    ]
