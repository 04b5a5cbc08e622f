"""`sunward offset`: what is set aside for carbon credits, what was ordered and retired, and what that covers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import click

from sunward.cli import show
from sunward.cli.shell import Shell, Shown, group, option, pass_shell
from sunward.cli.text import _
from sunward.model.credits import CreditRules, EpochOffset, OffsetView, RetiredCredits, coverage_percent
from sunward.units import BPS, MICRO, WH_PER_KWH

PERCENT = 100
USD = click.FloatRange(0, 100_000)
ANY = "any"


@group(cls=Shown)
def offset() -> None:
    """Show what is set aside for carbon credits, and what became of it."""


@offset.command("show")
@pass_shell
def show_(shell: Shell) -> None:
    """Show the account, what was retired, and how far that covers."""
    with shell.client("tenant") as client:
        found = client.offset()
    if shell.json:
        show.json_line(found)
        return
    show.pairs(
        [
            (_("share of payments"), f"{found.share_bps * PERCENT / BPS:.2f} %"),
            (_("balance"), show.ath(int(found.account_wei))),
            (_("held for orders"), show.ath(int(found.held_wei))),
            (_("spent on credits"), show.ath(int(found.spent_wei))),
            (_("left to answer for"), show.carbon(found.liability_mg)),
            (_("retired"), f"{found.retired_to_date_kg:,} kg"),
            (_("test credits, counted 0"), f"{found.test_to_date_kg:,} kg"),
            (_("bought at"), found.rules.registry if found.rules else show.NOTHING),
        ]
    )
    show.line(_sentence(found.coverage_ppm))


@offset.command("orders")
@pass_shell
def orders(shell: Shell) -> None:
    """List open orders, and every range of serials that was retired."""
    with shell.client("tenant") as client:
        found = client.offset()
    if shell.json:
        show.json_line((found.open, found.filled, found.refused))
        return
    columns = (_("ORDER"), _("EPOCH"), _("REGISTRY"), "kg", _("AT MOST"), _("STATE"))
    show.table(columns, _order_rows(found))
    retired = [each for one in found.filled for each in one.credits]
    if retired:
        show.table((_("SERIALS"), "kg", _("VINTAGE"), _("METHOD"), _("PROJECT"), _("COUNTS")), map(_serials, retired))


@offset.command("statement")
@option("--epoch", type=click.IntRange(1), default=None, help="Of this epoch; else of the last closed one.")
@pass_shell
def statement(shell: Shell, epoch: int | None) -> None:
    """Show what an epoch emitted by both methods, what was matched and retired, and how far that covers."""
    with shell.client("tenant") as client:
        closed = client.epochs()
    found = [each for each in closed if each.offset is not None and epoch in (None, each.epoch)]
    if shell.json:
        show.json_line({"epoch": found[-1].epoch, "offset": found[-1].offset} if found else None)
    elif not found or found[-1].offset is None:
        show.line(_("no statement of credits"))
    else:
        show.pairs([(_("epoch"), str(found[-1].epoch)), *_lines(found[-1].offset)])
        show.line(_sentence(found[-1].offset.coverage_ppm))


@offset.command("rules")
@option("--registry", default=None, help="Where credits are bought, as credits.toml names it; `test` is none.")
@option("--method", "methods", multiple=True, help="A method that counts; `any` for all.")
@option("--country", "countries", multiple=True, metavar="XX", help="Where projects may stand; `any` for anywhere.")
@option("--years", type=click.IntRange(0, 20), default=None, help="How old a vintage may be.")
@option("--slippage", type=click.FloatRange(0, 100), default=None, metavar="PERCENT", help="Above the forecast price.")
@option("--price", type=USD, default=None, metavar="USD", help="Forecast price of a tonne; 0: the network's own.")
@pass_shell
def rules(
    shell: Shell,
    registry: str | None,
    methods: tuple[str, ...],
    countries: tuple[str, ...],
    years: int | None,
    slippage: float | None,
    price: float | None,
) -> None:
    """Show how credits are bought, or change it from the next close of an epoch on."""
    named: dict[str, Any] = {
        "registry": registry,
        "methods": _all_of(methods),
        "countries": _all_of(tuple(one.upper() if one != ANY else one for one in countries)),
        "vintage_years_max": years,
        "slippage_bps": None if slippage is None else round(slippage * BPS / PERCENT),
        "price_usd_micro_per_t": None if price is None else round(price * MICRO),
    }
    changes = {name: value for name, value in named.items() if value is not None}
    with shell.client("operator") as client:
        found = client.offset().rules or CreditRules()
        if changes:
            found = client.set_credit_rules(replace(found, **changes))
    if shell.json:
        show.json_line(found)
        return
    price_text = f"{found.price_usd_micro_per_t / MICRO:.2f} USD/t" if found.price_usd_micro_per_t else show.NOTHING
    show.pairs(
        [
            (_("bought at"), found.registry),
            (_("methods"), ", ".join(found.methods) or _("any")),
            (_("country"), ", ".join(found.countries) or _("any")),
            (_("vintage, years at most"), str(found.vintage_years_max)),
            (_("slippage"), f"{found.slippage_bps * PERCENT / BPS:.2f} %"),
            (_("forecast price"), price_text),
        ]
    )


def _all_of(named: tuple[str, ...]) -> tuple[str, ...] | None:
    """What is named; nothing named leaves it as it is, and `any` drops the filter."""
    return None if not named else tuple(one for one in named if one != ANY)


def _order_rows(found: OffsetView) -> Iterable[tuple[str, ...]]:
    for one in found.open:
        state = _("asked after") if one.sent_ms else _("waits")
        yield one.order, str(one.epoch), one.registry, str(one.kg), show.usd(one.limit_usd_micro), state
    for done in found.filled:
        order = done.order
        kg = sum(each.kg for each in done.credits)
        yield order.order, str(order.epoch), order.registry, str(kg), show.usd(done.paid_usd_micro), _("retired")
    for gone in found.refused:
        yield gone.order, show.NOTHING, show.NOTHING, show.NOTHING, show.NOTHING, gone.reason


def _serials(one: RetiredCredits) -> tuple[str, ...]:
    counts = _("test: 0") if one.test else show.NOTHING
    return f"{one.registry} {one.first}–{one.last}", str(one.kg), str(one.vintage), one.method, one.project, counts


def _lines(told: EpochOffset) -> list[tuple[str, str]]:
    return [
        (_("location-based"), show.carbon(told.location_mg)),
        (_("market-based"), show.carbon(told.market_mg)),
        (_("embodied"), show.carbon(told.embodied_mg)),
        (_("matched by certificates"), f"{told.matched_wh / WH_PER_KWH:,.3f} kWh"),
        (_("residual"), show.carbon(told.residual_mg)),
        (_("retired"), f"{told.retired_kg:,} kg"),
        (_("test credits, counted 0"), f"{told.test_kg:,} kg"),
        (_("residual to date"), show.carbon(told.residual_to_date_mg)),
        (_("retired to date"), f"{told.retired_to_date_kg:,} kg"),
    ]


def _sentence(coverage_ppm: int) -> str:
    return _("Retired credits cover {percent} % of measured residual.").format(percent=coverage_percent(coverage_ppm))
