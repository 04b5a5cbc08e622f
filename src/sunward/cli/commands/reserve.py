"""`sunward reserve`: the vault, promises of containers, calls, drills, and the stress test."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.reasons import CALL_KINDS, CALL_OUTCOMES, PROMISE_STATES, SHOCKS, word
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _, language
from sunward.cli.when import moment_or_span
from sunward.client import ApiClient
from sunward.client.jobfile import period_ms
from sunward.errors import InputError
from sunward.model.identity import PoolId
from sunward.model.reserve import Backing, CallEnded, ReserveRules
from sunward.model.reserve_views import (
    CallRequest,
    OfferRequest,
    PromiseLine,
    ReserveView,
    StressLine,
    StressTest,
    VaultDeposit,
    VaultExit,
)
from sunward.report.reserve_html import percent, render_stress
from sunward.units import MICRO, MILLI_PER_UNIT, PPM, SECOND_MS, WEI_PER_ATH

PERCENT = 100
ACCOUNT = option(
    "--account", type=click.Choice(["tenant", "provider"]), default="tenant", help="Which of your accounts it is for."
)
ROLE = option(
    "--as",
    "role",
    type=click.Choice(["tenant", "provider", "operator", "auditor"]),
    default="tenant",
    help="Whose token of the home folder speaks.",
)


@group(invoke_without_command=True)
@click.pass_context
@pass_shell
def reserve(shell: Shell, ctx: click.Context) -> None:
    """Show the reserve; below it are its vault, promises of containers, calls and drills."""
    if not ctx.invoked_subcommand:
        _show(shell, "tenant")


@reserve.command("show")
@ROLE
@pass_shell
def show_(shell: Shell, role: str) -> None:
    """Show what the vault holds, what it covers, and your part of it."""
    _show(shell, role)


def _show(shell: Shell, role: str) -> None:
    with shell.client(role) as client:
        found = client.reserve()
    if shell.json:
        show.json_line(found)
    elif found.rules is None:
        show.line(_("this network has no reserve"))
    else:
        _told(found, found.rules)


def _told(found: ReserveView, rules: ReserveRules) -> None:
    below = found.fell_ms > 0
    cover = percent(found.coverage_ppm, _("nothing owed"))
    show.pairs(
        [
            (_("vault"), f"{show.ath(found.held_wei)} + {show.usd(found.usd_held_micro)}"),
            (_("counts for"), show.usd(found.value_usd_micro)),
            (_("owed"), show.usd(found.liability_usd_micro)),
            (_("coverage"), show.Cell(cover, "red" if below else "green")),
            (_("floor"), percent(rules.floor_ppm, "")),
            (_("promised and sold"), str(found.sold)),
            (_("called now"), str(found.called)),
        ]
    )
    if below:
        show.line(_("below the floor since {at}: nothing is sold and exits wait").format(at=show.stamp(found.fell_ms)))
    if found.holders:
        show.line()
        rows = ((one.holder, str(one.shares), show.ath(one.worth_wei)) for one in found.holders)
        show.table((_("ACCOUNT"), _("SHARES"), _("WORTH")), rows)
    if found.requests:
        show.line()
        requests = (
            (
                str(one.number),
                one.holder,
                _("deposit of {amount}").format(amount=show.ath(one.wei))
                if one.wei
                else _("exit of {shares} shares").format(shares=one.shares),
                show.stamp(one.matures_ms),
            )
            for one in found.requests
        )
        show.table((_("REQUEST"), _("ACCOUNT"), _("WHAT"), _("NOT BEFORE")), requests)


@reserve.command()
@option("--floor", type=click.FloatRange(100, 10_000), help="Least coverage, percent.")
@option("--haircut", type=click.FloatRange(0, 100, min_open=True), help="Of its price, what ATH counts for, percent.")
@option("--drills", type=click.FloatRange(0, 1_000), help="Drills of an owner in an epoch, on the average.")
@option("--replacement", type=click.FloatRange(0, min_open=True), metavar="USD", help="To replace a container-hour.")
@pass_shell
def rules(
    shell: Shell, floor: float | None, haircut: float | None, drills: float | None, replacement: float | None
) -> None:
    """Show the rules, or set those named; the first time the others are as they come."""
    with shell.client("operator") as client:
        known = client.reserve().rules
        found = known
        if any(one is not None for one in (floor, haircut, drills, replacement)):
            base = known or ReserveRules()
            wanted = replace(
                base,
                floor_ppm=_scaled(floor, PPM // PERCENT, base.floor_ppm),
                haircut_ppm=_scaled(haircut, PPM // PERCENT, base.haircut_ppm),
                drill_milli_per_epoch=_scaled(drills, MILLI_PER_UNIT, base.drill_milli_per_epoch),
                replacement_usd_micro_per_h=_scaled(replacement, MICRO, base.replacement_usd_micro_per_h),
            )
            found = client.set_reserve_rules(wanted)
    if shell.json:
        show.json_line(found)
    elif found is None:
        show.line(_("this network has no reserve"))
    else:
        show.pairs(
            [
                (_("floor"), percent(found.floor_ppm, "")),
                (_("ATH counts for"), percent(found.haircut_ppm, "")),
                (_("exits wait"), show.span(found.exit_delay_ms)),
                (_("replacing a container-hour"), show.usd(found.replacement_usd_micro_per_h)),
                (_("drills an epoch"), f"{found.drill_milli_per_epoch / MILLI_PER_UNIT:g}"),
            ]
        )


def _scaled(asked: float | None, scale: int, known: int) -> int:
    return known if asked is None else round(asked * scale)


@reserve.command()
@click.argument("usd", type=click.FloatRange(0), metavar="USD")
@pass_shell
def usd(shell: Shell, usd: float) -> None:
    """Tell, as the operator, what the vault holds in USD beside its ATH."""
    with shell.client("operator") as client:
        found = client.tell_reserve_usd(round(usd * MICRO))
    _answer(shell, found)


@reserve.command()
@click.argument("amount", metavar="ATH")
@ACCOUNT
@pass_shell
def deposit(shell: Shell, amount: str, account: str) -> None:
    """Put ATH into the vault, at the close of the epoch."""
    with shell.client(account) as client:
        found = client.reserve_deposit(VaultDeposit(wei=_wei(amount), account=account))
    _answer(shell, found)


@reserve.command("exit")
@click.argument("shares", type=click.IntRange(1), metavar="SHARES")
@ACCOUNT
@pass_shell
def exit_(shell: Shell, shares: int, account: str) -> None:
    """Take shares out of the vault, once they have waited."""
    with shell.client(account) as client:
        found = client.reserve_exit(VaultExit(shares=shares, account=account))
    _answer(shell, found)


def _wei(text: str) -> int:
    try:
        wei = Fraction(text) * WEI_PER_ATH
    except (ValueError, ZeroDivisionError):
        wei = Fraction(0)
    if wei < 1:
        raise InputError(_("{text} is no amount of ATH; write one like 12.5").format(text=text[:80]), code="SW-600")
    return int(wei)


def _answer(shell: Shell, found: ReserveView) -> None:
    if shell.json:
        show.json_line(found)
    elif found.rules is not None:
        _told(found, found.rules)


@reserve.command()
@ROLE
@pass_shell
def promises(shell: Shell, role: str) -> None:
    """List what is for sale, and what you have promised or bought."""
    with shell.client(role) as client:
        found = client.promises()
    _list(shell, found)


def _list(shell: Shell, found: Sequence[PromiseLine]) -> None:
    if shell.json:
        show.json_line(found)
        return
    if not found:
        show.line(_("no promises"))
        return
    columns = (_("PROMISE"), "GPU", _("REGION"), _("FROM"), _("UNTIL"), _("NOTICE"), _("USD/h"), _("STATE"))
    show.table(columns, map(_cells, found))
    for one in found:
        _tell_calls(one)


def _cells(one: PromiseLine) -> show.Row:
    return (
        one.promise,
        f"{one.containers} {one.gpu_model}",
        " ".join(one.region),
        show.stamp(one.start_ms),
        show.stamp(one.end_ms),
        show.span(one.notice_ms),
        f"{one.premium_usd_micro_per_h / MICRO:g}",
        word(PROMISE_STATES, one.state),
    )


def _tell_calls(one: PromiseLine) -> None:
    for call in one.calls:
        line = _("{promise}: {kind} {call}, {ready} of {containers} ready, wanted at {at}, until {until}")
        show.line(
            line.format(
                promise=one.promise,
                kind=word(CALL_KINDS, call.kind),
                call=call.call,
                ready=call.ready,
                containers=call.containers,
                at=show.stamp(call.ready_ms),
                until=show.stamp(call.until_ms),
            )
        )
    if one.last is not None:
        show.line(_last(one.promise, one.last))


def _last(promise: str, last: CallEnded) -> str:
    return _("{promise}: last {kind}, {at}: {outcome}").format(
        promise=promise,
        kind=word(CALL_KINDS, last.call.kind),
        at=show.stamp(last.at_ms),
        outcome=word(CALL_OUTCOMES, last.outcome),
    )


@reserve.command()
@click.argument("backing", nargs=-1, required=True, metavar="POOL=COUNT...")
@option(
    "--until", required=True, metavar="TIME", help="End, UTC, as in 2026-06-11T18:00, or a length of time as in 7d."
)
@option("--from", "start", default="", metavar="TIME", help="Begin; else at once.")
@option("--notice", default="15m", metavar="SPAN", help="Within which they are ready, as in 15m.")
@option("--premium", type=click.FloatRange(0, min_open=True), required=True, metavar="USD", help="Per container-hour.")
@pass_shell
def sell(shell: Shell, backing: tuple[str, ...], until: str, start: str, notice: str, premium: float) -> None:
    """Promise containers of your sites, as in home/RTX-4090=1; they bind once someone buys."""
    with shell.client("provider") as client:
        wanted = OfferRequest(
            backing=tuple(sorted(map(_backing, backing), key=lambda one: one.pool)),
            start_ms=moment_or_span(start, lambda: _now_ms(client)) if start else 0,
            end_ms=moment_or_span(until, lambda: _now_ms(client)),
            notice_ms=period_ms(notice),
            premium_usd_micro_per_h=round(premium * MICRO),
        )
        found = client.offer_promise(wanted)
    _list(shell, (found,))


def _backing(text: str) -> Backing:
    pool, _equals, count = text.partition("=")
    if "/" not in pool or not count.isascii() or not count.isdigit():
        raise InputError(_("{text} is not SITE/GPU=COUNT").format(text=repr(text[:80])), code="SW-600")
    return Backing(pool=PoolId(pool), containers=int(count))


@reserve.command()
@click.argument("name", metavar="PROMISE")
@pass_shell
def withdraw(shell: Shell, name: str) -> None:
    """Take back a promise of yours that nobody bought."""
    with shell.client("provider") as client:
        found = client.withdraw_promise(name)
    _list(shell, found)


@reserve.command()
@click.argument("name", metavar="PROMISE")
@pass_shell
def buy(shell: Shell, name: str) -> None:
    """Buy a promise; its premium is due for what it serves, epoch by epoch."""
    with shell.client() as client:
        found = client.buy_promise(name)
    _list(shell, (found,))


@reserve.command()
@click.argument("name", metavar="PROMISE")
@option("--containers", type=click.IntRange(1), default=1, help="How many of them; else one.")
@option("--until", required=True, metavar="TIME", help="End, UTC, or a length of time as in 6h.")
@ROLE
@pass_shell
def call(shell: Shell, name: str, containers: int, until: str, role: str) -> None:
    """Have promised containers made ready; your waiting jobs run there."""
    with shell.client(role) as client:
        until_ms = moment_or_span(until, lambda: _now_ms(client))
        found = client.call_promise(name, CallRequest(containers=containers, until_ms=until_ms))
    _list(shell, (found,))


@reserve.command()
@click.argument("name", metavar="CALL")
@ROLE
@pass_shell
def release(shell: Shell, name: str, role: str) -> None:
    """Say that called containers are no longer needed."""
    with shell.client(role) as client:
        found = client.release_call(name)
    _list(shell, (found,))


@reserve.command()
@click.argument("owner", metavar="OWNER")
@pass_shell
def drill(shell: Shell, owner: str) -> None:
    """Drill every promise of a provider now, as the operator."""
    with shell.client("operator") as client:
        found = client.drill(owner)
    _list(shell, found)


@reserve.command()
@option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with a picture.")
@ROLE
@pass_shell
def stress(shell: Shell, html_file: Path | None, role: str) -> None:
    """Work out what the reserve would still hold if ATH fell, a region went dark, and demand rose."""
    with shell.client(role) as client:
        found = client.stress()
    if html_file is not None:
        html_file.write_text(render_stress(found, language(), _shock, _), encoding="utf-8")
    if shell.json:
        show.json_line(found)
    else:
        _tell_stress(found)
        if html_file is not None:
            show.line(_("written to {file}").format(file=html_file))


def _shock(name: str) -> str:
    return word(SHOCKS, name)


def _tell_stress(found: StressTest) -> None:
    columns = (_("SHOCK"), _("VAULT"), _("OWED"), _("COVERAGE"), _("CALLED"), _("READY"), _("FIRST TO BREAK"))
    show.table(columns, (_stress_cells(one, found.floor_ppm) for one in found.lines))


def _stress_cells(one: StressLine, floor_ppm: int) -> show.Row:
    below = one.coverage_ppm is not None and one.coverage_ppm < floor_ppm
    return (
        _shock(one.shock) + (f" ({one.dark})" if one.dark else ""),
        show.usd(one.value_usd_micro),
        show.usd(one.liability_usd_micro),
        show.Cell(percent(one.coverage_ppm, _("nothing owed")), "red" if below else "green"),
        str(one.asked),
        str(one.delivered),
        one.first_broken or _("none"),
    )


def _now_ms(client: ApiClient) -> int:
    """Grid time: on a network that runs faster than the clock on the wall, that is not now."""
    return client.clock().grid(time.time_ns() * SECOND_MS // 10**9)
