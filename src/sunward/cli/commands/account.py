"""Commands on your account: balance, test money, the monthly budget."""

from __future__ import annotations

import click

from sunward.cli import show
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
    "--alert", type=click.IntRange(0, 100), default=ALERT_PERCENT, help="Percent at which a notice is sent; 0: none."
)
@option("--webhook", default="", metavar="URL", help="Where the notice goes.")
@option("--clear", is_flag=True, help="Drop the budget.")
@pass_shell
def account_budget(shell: Shell, monthly_usd: float | None, alert: int, webhook: str, clear: bool) -> None:  # noqa: FBT001 - click's signature
    """Show or set the most that jobs may cost in a calendar month (UTC, grid time).

    A job that could exceed it is refused when it is submitted: what this month's jobs paid, what is in escrow and the
    job's own escrow count.
    """
    if clear and monthly_usd is not None:
        raise InputError(_("give an amount, or --clear, not both"), code="SW-600")
    with shell.client() as client:
        if clear or monthly_usd is not None:
            view = client.set_budget(BudgetRequest(monthly_usd=monthly_usd, alert_percent=alert, webhook=webhook))
        else:
            view = client.budget()
    if shell.json:
        show.json_line(view)
    else:
        show.pairs(_budget(view))


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
