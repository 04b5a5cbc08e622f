"""`sunward catalog`: the hardware, cooling and grid zones that are known, each figure with its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

import click

from sunward.cli import show
from sunward.cli.reasons import QUALITIES, word
from sunward.cli.shell import Shell, command, pass_shell
from sunward.cli.text import N_, _
from sunward.signals import zones
from sunward.signals.zones import Zone
from sunward.units import MICRO
from sunward.world import catalogue
from sunward.world.catalogue import Cooling, GpuModel

Lister: TypeAlias = Callable[[], tuple[tuple[str, ...], list[show.Row], list[Any]]]


@command()
@click.argument("kind", type=click.Choice(["gpus", "zones", "cooling"]), required=False, metavar="[gpus|zones|cooling]")
@click.argument("name", required=False)
@pass_shell
def catalog(shell: Shell, kind: str | None, name: str | None) -> None:
    """List known GPUs, grid zones and kinds of cooling, or all figures of one.

    Works without a service: the figures are packaged.
    """
    if kind and name:
        record = FINDERS[kind](name)
        if shell.json:
            show.json_line(record)
        else:
            show.pairs((field, _figure(value)) for field, value in _flat(asdict(record)))
        return
    listed = {each: LISTERS[each]() for each in ([kind] if kind else LISTERS)}
    if shell.json:
        show.json_line({each: records for each, (_columns, _rows, records) in listed.items()})
        return
    for each, (columns, rows, _records) in listed.items():
        if not kind:
            show.line(_(TITLES[each]), "bold")
        show.table(columns, rows)


def _gpus() -> tuple[tuple[str, ...], list[show.Row], list[Any]]:
    found = catalogue.load().gpus
    columns = ("GPU", _("YEAR"), "GiB", _("W IDLE"), _("W MOST"), "TFLOP/s", "GB/s", _("EMBODIED, kg"), _("QUALITY"))
    return columns, [_gpu_row(each) for each in found], list(found)


def _gpu_row(each: GpuModel) -> show.Row:
    figures = (
        each.power_w_idle,
        each.power_w_max,
        each.fp16_tensor_tflops,
        each.bandwidth_gb_per_s,
        each.embodied_kgco2e,
    )
    shown = (f"{figure:,.0f}" for figure in figures)
    return (each.model, str(each.year), str(each.memory_gib), *shown, word(QUALITIES, each.spec.quality))


def _zones() -> tuple[tuple[str, ...], list[show.Row], list[Any]]:
    found = zones.load().zones
    columns = (_("ZONE"), _("NAME"), _("COUNTRY"), "g/kWh", "USD/kWh", _("LOW-CARBON"), _("QUALITY"))
    return columns, [_zone_row(each) for each in found], list(found)


def _zone_row(each: Zone) -> show.Row:
    price = f"{each.price_mean_usd_micro_per_kwh / MICRO:.3f}"
    share = f"{each.low_carbon_share * show.PERCENT:.0f} %"
    carbon = show.intensity(each.carbon_mean_mgco2e_per_kwh)
    return (each.zone, each.name, each.country, carbon, price, share, word(QUALITIES, each.carbon_quality))


def _coolings() -> tuple[tuple[str, ...], list[show.Row], list[Any]]:
    found = catalogue.load().coolings
    columns = (_("COOLING"), _("NAME"), _("BASE"), _("FIXED"), _("PER °C"), _("WATER, l/kWh"), _("QUALITY"))
    return columns, [_cooling_row(each) for each in found], list(found)


def _cooling_row(each: Cooling) -> show.Row:
    figures = (each.base_frac, each.fixed_frac, each.slope_per_c, each.water_l_per_kwh)
    return (each.cooling, each.name, *(f"{figure:g}" for figure in figures), word(QUALITIES, each.provenance.quality))


def _flat(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """A record's fields in order, those of records within it named by a path."""
    fields: list[tuple[str, Any]] = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            fields.extend(_flat(value, f"{prefix}{name}."))
        else:
            fields.append((f"{prefix}{name}", value))
    return fields


def _figure(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value) or show.NOTHING
    return f"{value:g}" if isinstance(value, float) else str(value)


LISTERS: dict[str, Lister] = {"gpus": _gpus, "zones": _zones, "cooling": _coolings}
FINDERS: dict[str, Callable[[str], Any]] = {
    "gpus": lambda name: catalogue.load().gpu(name),
    "zones": lambda name: zones.load().zone(name),
    "cooling": lambda name: catalogue.load().cooling(name),
}
TITLES = {"gpus": N_("GPU models"), "zones": N_("Grid zones, typical year"), "cooling": N_("Kinds of cooling")}
