"""`sunward stake` and `sunward rewards`: bond, ask back, claim, and see what follows from what."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from uuid import uuid4

import click

from sunward.cli import show
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _
from sunward.errors import InputError
from sunward.model.codec import decode
from sunward.model.staking import ClaimRequest, RewardLine, SiteShare, StakeRequest, StakeView, StakingRules
from sunward.units import BPS, DAY_MS, J_PER_WH, PPM, WEI_PER_ATH, WH_PER_KWH

BPS_PERCENT = BPS // 100
PPM_PERCENT = PPM // 100

ROLE = option(
    "--as",
    "role",
    type=click.Choice(["provider", "operator", "auditor"]),
    default="provider",
    help="Whose token of the home folder speaks; operator and auditor see all.",
)
AMOUNT = click.argument("amount", metavar="ATH")


@group()
def stake() -> None:
    """Bond what your sites earned, ask it back, and see where it stands."""


@stake.command("add")
@AMOUNT
@pass_shell
def add(shell: Shell, amount: str) -> None:
    """Bond so many ATH of what you earned; it counts from the next epoch on."""
    with shell.client("provider") as client:
        _tell(shell, client.stake(StakeRequest(amount_wei=wei(amount)), uuid4().hex))


@stake.command("exit")
@AMOUNT
@pass_shell
def exit_(shell: Shell, amount: str) -> None:
    """Ask so many ATH back; they earn nothing any more and are paid when the delay is over."""
    with shell.client("provider") as client:
        _tell(shell, client.unstake(StakeRequest(amount_wei=wei(amount)), uuid4().hex))


@stake.command("show")
@ROLE
@pass_shell
def show_(shell: Shell, role: str) -> None:
    """Show what is bonded, what is on its way out and when it is paid, and what is earned."""
    with shell.client(role) as client:
        found = client.stakes()
    if shell.json:
        show.json_line(found)
    elif role == "provider":
        _pairs(found[0])
    else:
        columns = (_("OWNER"), _("STAKE"), _("EARNING"), _("LEAVING"), _("REWARDS"), _("EVER"), _("TAKEN"))
        show.table(columns, map(_row, found))


@stake.command("rules")
@option("--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="New rules, whole: JSON.")
@pass_shell
def rules_(shell: Shell, file: Path | None) -> None:
    """Show how stake is paid and taken; --file takes rules as `--json` writes them."""
    with shell.client("operator" if file else "provider") as client:
        rules = client.set_staking_rules(decode(file.read_bytes(), StakingRules)) if file else client.staking_rules()
    if shell.json:
        show.json_line(rules)
        return
    taken = [
        (
            _("a verdict takes, {fault}").format(fault=one.fault) if one.fault else _("a verdict takes"),
            _("{share}, at least {floor}").format(share=show.percent(one.ppm), floor=show.ath(one.floor_wei)),
        )
        for one in rules.slash
    ]
    backed = rules.stake_wei_per_wh * WH_PER_KWH
    show.pairs(
        [
            (_("for stake, an epoch"), show.ath(rules.staking_budget_wei)),
            (_("of it for stake that renewable work backs"), show.percent(rules.green_ppm)),
            (_("for energy saved, an epoch"), show.ath(rules.bonus_budget_wei)),
            (_("a kWh backs"), show.ath(backed)),
            (_("most for work, of the stake"), f"{rules.answer_ppm / PPM_PERCENT:g} %"),
            (_("least load"), show.percent(rules.load_min_ppm)),
            (_("of movements to credits"), f"{rules.movement_bps / BPS_PERCENT:g} %"),
            (_("an exit takes, days"), f"{rules.exit_delay_ms / DAY_MS:g}"),
            *taken,
        ]
    )


@group()
def rewards() -> None:
    """See what an epoch gave to stake, and claim it."""


@rewards.command("show")
@option("--epoch", type=click.IntRange(1), default=None, help="Which; else the last closed one.")
@ROLE
@pass_shell
def rewards_show(shell: Shell, epoch: int | None, role: str) -> None:
    """Show what an epoch gave, and the figures it follows from."""
    with shell.client(role) as client:
        page = client.rewards(epoch or 0)
    if shell.json:
        show.json_line(page)
        return
    if not page.lines:
        show.line(_("nothing was given in epoch {epoch}: nobody had stake all through it").format(epoch=page.epoch))
        return
    columns = (_("OWNER"), _("STAKE"), _("BACKED"), _("BASE"), _("GREEN"), _("BONUS"), _("CUT"), _("FEES"))
    show.table(columns, map(_line, page.lines))
    sites = [one for line in page.lines for one in line.sites]
    if sites:
        show.line()
        headings = (_("SITE"), _("LEASED"), _("ALL ENERGY"), _("RENEWABLE"), _("LOAD"), _("COUNTS"), "q")
        show.table(headings, map(_site, sites))


@rewards.command("claim")
@click.argument("amount", metavar="[ATH]", default="")
@pass_shell
def claim(shell: Shell, amount: str) -> None:
    """Take so many ATH of what your stake earned; all of it, where you name no amount."""
    with shell.client("provider") as client:
        _tell(shell, client.claim(ClaimRequest(amount_wei=wei(amount) if amount else 0), uuid4().hex))


def wei(text: str) -> int:
    """An amount of ATH, exact to the wei.

    Raises: InputError.
    """
    try:
        amount = Decimal(text) * WEI_PER_ATH
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0 or amount != amount.to_integral_value():
        raise InputError(_("{amount} is no amount of ATH, such as 12.5").format(amount=text[:40]), code="SW-600")
    return int(amount)


def _tell(shell: Shell, view: StakeView) -> None:
    if shell.json:
        show.json_line(view)
    else:
        _pairs(view)


def _pairs(view: StakeView) -> None:
    show.pairs(
        [
            (_("owner"), view.owner),
            (_("stake"), show.ath(view.stake_wei)),
            (_("of it earning in this epoch"), show.ath(view.earning_wei)),
            (_("on its way out"), show.ath(view.exit_wei)),
            (_("rewards not claimed"), show.ath(view.rewards_wei)),
            (_("rewards ever"), show.ath(view.earned_wei)),
            (_("taken by verdicts"), show.ath(view.slashed_wei)),
        ]
    )
    if view.exits:
        show.line()
        columns = (_("EXIT"), _("AMOUNT"), _("PAID FROM"))
        show.table(columns, ((one.request, show.ath(one.amount_wei), show.stamp(one.due_ms)) for one in view.exits))


def _row(view: StakeView) -> show.Row:
    amounts = (view.stake_wei, view.earning_wei, view.exit_wei, view.rewards_wei, view.earned_wei, view.slashed_wei)
    return (view.owner, *map(show.ath, amounts))


def _line(line: RewardLine) -> show.Row:
    parts = (
        line.stake_wei,
        line.backed_wei,
        line.base_wei,
        line.green_wei,
        line.bonus_wei,
        line.cut_wei,
        line.fees_wei,
    )
    return (line.owner, *map(show.ath, parts))


def _site(one: SiteShare) -> show.Row:
    energies = (one.leased_wh, one.facility_wh, one.renewable_wh)
    load = show.percent(one.leased_ms * PPM // one.present_ms) if one.present_ms else show.NOTHING
    return (
        one.site,
        *(show.energy(wh * J_PER_WH) for wh in energies),
        load,
        show.energy(one.energy_wh * J_PER_WH),
        show.percent(one.q_ppm),
    )
