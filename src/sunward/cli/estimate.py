"""`sunward estimate`: what a GPU could earn here less its power, and why; needs no account and no service."""

from __future__ import annotations

import os

import click

from sunward.cli import show
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import N_, _
from sunward.client.place import origin_zone
from sunward.placement import earnings
from sunward.placement.earnings import DEMANDS, Case, Estimate
from sunward.world import catalogue

NETWORKS = (N_("quiet"), N_("middling"), N_("busy"))
"""Names of the levels of demand, in their order."""


@command()
@option("--gpu", required=True, metavar="MODEL", help="GPU model; `sunward catalog gpus` lists them.")
@option("--zone", default="", metavar="ZONE", help="Grid zone; else from the time zone here.")
@option("--count", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="How many of them.")
@option(
    "--ask",
    type=click.FloatRange(min=0.0),
    default=None,
    metavar="USD",
    help="Price asked per GPU hour; else modelled.",
)
@option(
    "--power-price",
    type=click.FloatRange(min=0.0),
    default=None,
    metavar="USD",
    help="What you pay per kWh; else the zone's wholesale price.",
)
@option(
    "--overhead",
    type=click.FloatRange(min=1.0),
    default=1.0,
    show_default=True,
    metavar="RATIO",
    help="Facility energy over IT energy.",
)
@pass_shell
def estimate(
    shell: Shell, gpu: str, zone: str, count: int, ask: float | None, power_price: float | None, overhead: float
) -> None:
    """Estimate what GPUs earn in a month less their power, and say why.

    A modelled range, not a promise: it assumes that every zone offers the same GPU at the same ask, and that the
    network wakes the cheapest and cleanest ones first. Example: sunward estimate --gpu RTX4090 --zone KR
    """
    model = catalogue.load().gpu(gpu)
    found = earnings.estimate(
        model,
        zone or origin_zone(os.environ),
        ask_usd_per_gpu_h=earnings.suggested_ask(model) if ask is None else ask,
        overhead=overhead,
        price_usd_per_kwh=power_price,
    )
    if shell.json:
        show.json_line({"count": count, "per_gpu": found, "quality": "modelled"})
        return
    _show(found, count, own_ask=ask is not None)


def _show(found: Estimate, count: int, *, own_ask: bool) -> None:
    net = [case.net_usd * count for case in found.cases]
    text = _("{count} × {gpu} in {zone}: {low} to {high} USD a month after power (modelled)")
    figures = {"low": f"{round(min(net)):,}", "high": f"{round(max(net)):,}"}
    show.line(text.format(count=count, gpu=found.gpu, zone=found.zone, **figures), "bold")
    show.line()
    columns = (_("NETWORK"), _("GPUS AT WORK"), _("HOURS LEASED"), _("EARNED, USD"), _("POWER, USD"), _("LEFT, USD"))
    named = zip(NETWORKS, found.cases, strict=True)
    show.table(columns, (_row(_(name), case, count) for name, case in named))
    show.line()
    show.pairs(_reasons(found, own_ask=own_ask))


def _row(name: str, case: Case, count: int) -> show.Row:
    figures = (case.leased_h, case.earned_usd * count, case.power_usd * count, case.net_usd * count)
    return (name, _percent(case.demand_frac), f"{figures[0]:,.0f}", *(f"{figure:,.2f}" for figure in figures[1:]))


def _reasons(found: Estimate, *, own_ask: bool) -> list[tuple[str, str | show.Cell]]:
    """Why it is so, and what was assumed."""
    ask = f"{found.ask_usd_per_gpu_h:.2f} USD/h"
    price = f"{found.price_mean_usd_per_kwh:.3f} USD/kWh"
    rank = _("power and carbon together cost less in {percent} of the zones; carbon counts {price} USD/t")
    return [
        (_("ask"), ask if own_ask else _("{ask}, by its speed against an A100 (modelled)").format(ask=ask)),
        (_("breaks even"), _("at an ask of {usd} USD/h").format(usd=f"{found.break_even_usd_per_gpu_h:.3f}")),
        (
            _("draws"),
            _("{busy} W at work, {asleep} W asleep, at the meter").format(
                busy=f"{found.busy_w:.0f}", asleep=f"{found.asleep_w:.0f}"
            ),
        ),
        (
            _("power"),
            price if found.own_price else _("{price}, wholesale; your own: --power-price").format(price=price),
        ),
        (_("carbon"), _("{grams} g/kWh, average, life-cycle").format(grams=f"{found.carbon_mean_g_per_kwh:.0f}")),
        (_("rank"), rank.format(percent=_percent(found.rank_frac), price=f"{found.carbon_usd_per_t:.0f}")),
        (
            _("assumed"),
            _("{shares} of all GPUs at work; asleep between leases; no fault, no own use").format(
                shares=" / ".join(map(_percent, DEMANDS))
            ),
        ),
    ]


def _percent(share: float) -> str:
    return f"{share * show.PERCENT:.0f} %"
