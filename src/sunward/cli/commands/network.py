"""Commands on the network itself: what plans are made by, and how sites are tried."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import Any

import click

from sunward.cli import show
from sunward.cli.commands.access import find_tenant
from sunward.cli.reasons import LEVELS, word
from sunward.cli.shell import Shell, Shown, group, option, pass_shell
from sunward.cli.text import _
from sunward.model.place import Anchor, PlaceRules
from sunward.model.plan import PolicyInputs
from sunward.model.rate import RateView
from sunward.model.records import PolicyRequest
from sunward.model.trust import Level
from sunward.units import DAY_MS, L_PER_M3, MICRO, MILLI_PER_UNIT, PPM, W_PER_KW

WEIGHT_MAX = 1_000_000
PRICE = click.FloatRange(0, 1_000)
RATE = click.FloatRange(0, 1_000)
PERCENT = 100


@group(cls=Shown)
def network() -> None:
    """Show what plans are made by, or change it."""


@network.command("show")
@pass_shell
def show_policy(shell: Shell) -> None:
    """Show what plans are made by."""
    with shell.client("operator") as client:
        _tell(shell, client.policy())


@network.command("share")
@click.argument("tenant")
@click.argument("weight", type=click.IntRange(0, WEIGHT_MAX))
@pass_shell
def share(shell: Shell, tenant: str, weight: int) -> None:
    """Weigh a tenant: where GPUs are scarce, time on them is shared by weight; 0 takes its weight back."""
    with shell.client("operator") as client:
        found = find_tenant(client.tenants(), tenant)
        _tell(shell, client.set_policy(PolicyRequest(shares={found: weight})))


@network.command("price")
@option("--water", type=PRICE, default=None, metavar="USD", help="Of a cubic metre of cooling water in scores.")
@option("--transfer", type=PRICE, default=None, metavar="USD", help="Of a gigabyte moved where no price is known.")
@option("--by-region/--flat", "by_region", default=None, help="Moved data at list prices by region, or at one price.")
@pass_shell
def price(shell: Shell, water: float | None, transfer: float | None, by_region: bool | None) -> None:  # noqa: FBT001 - click's signature
    """Change what water and moved data count in scores; no tenant pays it."""
    wanted = PolicyRequest(
        water_price_usd_micro_per_l=_micro(water, L_PER_M3),
        transfer_usd_micro_per_gb=_micro(transfer, 1),
        transfer_by_region=by_region,
    )
    with shell.client("operator") as client:
        _tell(shell, client.set_policy(wanted))


@network.command("challenges")
@option("--awake", type=RATE, default=None, help="Challenges of a pool with idle GPUs, an epoch on the average.")
@option("--asleep", type=RATE, default=None, help="The same of a pool whose GPUs sleep.")
@option("--fill", type=click.FloatRange(0, 100, min_open=True, max_open=True), help="% of GPU memory to fill.")
@option("--valid", type=click.IntRange(1, 366), default=None, metavar="DAYS", help="How long one that passed counts.")
@pass_shell
def challenges(shell: Shell, awake: float | None, asleep: float | None, fill: float | None, valid: int | None) -> None:
    """Show how often sites have to show that their GPUs are what they declared, or change it."""
    named: dict[str, Any] = {
        "awake_milli_per_epoch": None if awake is None else round(awake * MILLI_PER_UNIT),
        "asleep_milli_per_epoch": None if asleep is None else round(asleep * MILLI_PER_UNIT),
        "fill_ppm": None if fill is None else round(fill * PPM / PERCENT),
        "valid_ms": None if valid is None else valid * DAY_MS,
    }
    changes = {name: value for name, value in named.items() if value is not None}
    with shell.client("operator") as client:
        rules = client.challenge_rules()
        if changes:
            rules = client.set_challenge_rules(replace(rules, **changes))
    if shell.json:
        show.json_line(rules)
        return
    show.pairs(
        [
            (_("challenges an epoch, awake"), f"{rules.awake_milli_per_epoch / MILLI_PER_UNIT:g}"),
            (_("challenges an epoch, asleep"), f"{rules.asleep_milli_per_epoch / MILLI_PER_UNIT:g}"),
            (_("memory filled"), f"{rules.fill_ppm * PERCENT / PPM:g} %"),
            (_("counts for, days"), f"{rules.valid_ms / DAY_MS:g}"),
        ]
    )


@network.command("place")
@option("--asks", type=click.Choice([str(level) for level in Level]), help="How well a site's place is to be shown.")
@option("--anchor", "anchors", multiple=True, metavar="NAME=KEY@LAT,LON@HOST:PORT", help="Add one, or change it.")
@option("--drop", "dropped", multiple=True, metavar="NAME", help="Take an anchor out.")
@option("--valid", type=click.IntRange(1, 366), default=None, metavar="DAYS", help="How long a measurement counts.")
@pass_shell
def place(
    shell: Shell, asks: str | None, anchors: tuple[str, ...], dropped: tuple[str, ...], valid: int | None
) -> None:
    """Show what is asked of the place of sites, or change it: where less is shown, the dirtiest zone left counts."""
    with shell.client("operator") as client:
        was = client.place_rules()
        told = {one.name: one for one in was.anchors} | {one.name: one for one in map(_anchor, anchors)}
        rules = PlaceRules(
            level=was.level if asks is None else Level(asks),
            anchors=tuple(one for name, one in sorted(told.items()) if name not in dropped),
            valid_ms=was.valid_ms if valid is None else valid * DAY_MS,
        )
        if rules != was:
            rules = client.set_place_rules(rules)
    if shell.json:
        show.json_line(rules)
        return
    rows = [(one.name, f"{one.lat_udeg / MICRO:g},{one.lon_udeg / MICRO:g} {one.address}") for one in rules.anchors]
    asked = [(_("place asked"), word(LEVELS, rules.level)), (_("counts for, days"), f"{rules.valid_ms / DAY_MS:g}")]
    show.pairs([*asked, *((f"{_('anchor')} {name}", told) for name, told in rows)])


def _anchor(text: str) -> Anchor:
    name, _equals, rest = text.partition("=")
    try:
        key, place, address = rest.split("@")
        lat, lon = (round(float(part) * MICRO) for part in place.split(","))
    except ValueError:
        line = _("{text} is not NAME=KEY@LAT,LON@HOST:PORT").format(text=text)
        raise click.BadParameter(line) from None
    return Anchor(name=name, key=key, lat_udeg=lat, lon_udeg=lon, address=address)


@network.command("rate")
@option("--confirm", is_flag=True, help="Take the present price for right: new promises go on.")
@pass_shell
def rate(shell: Shell, confirm: bool) -> None:  # noqa: FBT001 - click's signature
    """Show what an ATH costs, who says so, and whether that is too old or moved too far."""
    with shell.client("operator") as client:
        found = client.rate()
        if confirm:
            found = client.confirm_rate(found.usd_micro_per_ath)
    if shell.json:
        show.json_line(found)
        return
    show.pairs([("USD/ATH", f"{found.usd_micro_per_ath / MICRO:.6f}"), (_("rate"), _standing(found))])
    if found.sources:
        rows = ((each.source, _price(each.usd_micro_per_ath), _when(each.told_ms)) for each in found.sources)
        show.table((_("SOURCE"), "USD/ATH", _("TOLD")), rows)


def _standing(found: RateView) -> str:
    if found.fixed:
        return _("fixed; no source of prices is named")
    words = [
        _("too old: nothing is quoted")
        if found.quotes_refused
        else _("stale: the last one stays")
        if found.stale
        else "",
        _("moved too far: no new promises") if found.promises_paused else "",
    ]
    return "; ".join(filter(None, words)) or _("what its sources tell")


def _price(usd_micro: int | None) -> str:
    return show.NOTHING if usd_micro is None else f"{usd_micro / MICRO:.6f}"


def _when(at_ms: int) -> str:
    return show.stamp(at_ms) if at_ms else show.NOTHING


def _tell(shell: Shell, policy: PolicyInputs) -> None:
    if shell.json:
        show.json_line(policy)
        return
    weights = [(f"{_('tenant')} {tenant}", str(weight)) for tenant, weight in policy.tenant_shares]
    water = policy.water_price_usd_micro_per_l * L_PER_M3 / MICRO
    transfer, kwh = policy.transfer_usd_micro_per_gb / MICRO, policy.transfer_wh_per_gb / W_PER_KW
    moved = f"{transfer:.4f} USD/GB, {kwh:.3f} kWh/GB"
    show.pairs([*weights, (_("water"), f"{water:.2f} USD/m³"), (_("transfer"), moved)])


def _micro(usd: float | None, parts: int) -> int | None:
    if usd is not None and isnan(usd):
        raise click.BadParameter(str(usd))
    return None if usd is None else round(usd * MICRO / parts)
