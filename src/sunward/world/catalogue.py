"""The hardware catalogue: GPU models, kinds of cooling and classes of work, each figure with its source.

The tables lie in `data/`; `data/sources.md` explains their columns, formulas and sources.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, TypeVar

from sunward.errors import InputError, InvariantError
from sunward.model.datum import Quality
from sunward.model.hardware import WorkClass
from sunward.signals.zones import near_miss

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

REFERENCE_GPU = "A100-SXM-80GB"
"""The GPU whose throughput is 1 in every class of work."""
ANY_GPU = "*"
MAKERS = re.compile(r"nvidia|geforce|tesla|quadro|amd|radeon|instinct|[\s_\-]+")
"""Maker's words and separators, which drivers and people write or leave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a group of figures comes from."""

    source: str
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class CapCurve:
    """How throughput falls under a power cap: 1 - linear*d - cubic*d**3 with d = max(0, 1 - cap/uncapped draw)."""

    linear: float
    cubic: float
    cap_frac_min: float
    """Lowest cap that was measured, over the board's own limit; below it nothing is known."""
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class CapPoint:
    """What work of one class did under one power limit, over the same work at the highest limit."""

    cap_frac: float
    """The limit over the highest one."""
    rate_frac: float
    """Throughput that nine workloads of ten reached."""
    power_frac: float
    """Board power, median of the workloads."""
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Board power at full load in one class of work, over the board's limit."""

    draw_frac: float
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkProfile:
    """How one class of work splits its time on the reference GPU, and what it draws where nothing is measured."""

    work_class: WorkClass
    compute_share: float
    """Share of the time bound by FLOP/s; the rest is bound by memory bandwidth."""
    on_shaders: bool
    """Whether those FLOP/s are the shaders' FP32 rather than dense tensor FP16."""
    share_provenance: Provenance
    draw: Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """One GPU model; power is that of the board, host figures are one GPU's share of its server."""

    model: str
    aliases: tuple[str, ...]
    vendor: str
    year: int
    memory_gib: int
    power_w_max: float
    power_w_idle: float
    """Awake without a context."""
    fp16_tensor_tflops: float
    """Dense FP16 on the matrix units; the plain rate where a GPU has none."""
    fp32_tflops: float
    """FP32 on the shader units, which rendering runs on."""
    bandwidth_gb_per_s: float
    host_w_idle: float
    host_w_full: float
    host_w_asleep: float
    embodied_kgco2e: float
    """Card and host share, cradle to gate."""
    service_life_h: int
    spec: Provenance
    tensor: Provenance
    idle: Provenance
    host: Provenance
    embodied: Provenance
    draws: Mapping[WorkClass, Draw]
    """Measured where a benchmark has this GPU and class, else the class's own."""
    cap_curve: CapCurve
    cap_points: Mapping[WorkClass, tuple[CapPoint, ...]]
    """Measured, from the lowest limit to the highest; a class that was not measured is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooling:
    """One kind of cooling: overhead ratio 1 + base + fixed/load + slope*max(0, wet bulb - free)."""

    cooling: str
    name: str
    aliases: tuple[str, ...]
    base_frac: float
    fixed_frac: float
    slope_per_c: float
    free_wet_bulb_c: float
    water_l_per_kwh: float
    """Water used on site per kWh of IT energy."""
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All hardware known by name; keys of the lookup tables are simplified names."""

    gpus: tuple[GpuModel, ...]
    coolings: tuple[Cooling, ...]
    work: Mapping[WorkClass, WorkProfile]
    gpu_keys: Mapping[str, GpuModel]
    cooling_keys: Mapping[str, Cooling]

    def gpu(self, name: str) -> GpuModel:
        """A GPU by key, alias or the name its driver reports.

        Raises: InputError for an unknown GPU, naming the nearest spellings.
        """
        found = self.gpu_keys.get(simplified(name))
        if found is None:
            raise InputError(f"unknown GPU '{name}'{near_miss(name, self._gpu_names())}")
        return found

    def _gpu_names(self) -> list[str]:
        return [name for gpu in self.gpus for name in (gpu.model, *gpu.aliases)]

    def cooling(self, name: str) -> Cooling:
        """A kind of cooling by key or alias.

        Raises: InputError for an unknown kind, naming the nearest spellings.
        """
        found = self.cooling_keys.get(simplified(name))
        if found is None:
            known = ", ".join(cooling.cooling for cooling in self.coolings)
            raise InputError(f"unknown cooling '{name}'; use one of {known}")
        return found


def simplified(name: str) -> str:
    """A name without maker, case and separators: what two spellings of one thing share."""
    return MAKERS.sub("", name.casefold())


@cache
def load() -> Catalogue:
    """The packaged catalogue; read once."""
    work = {WorkClass(row["work_class"]): _work(row) for row in _rows("work_classes.csv")}
    if set(work) != set(WorkClass):
        raise InvariantError("work_classes.csv does not name every class of work once")
    curves = {row["model"]: _curve(row) for row in _rows("cap_curve.csv")}
    measured = {(row["model"], row["work_class"]): _draw(row) for row in _rows("class_power.csv")}
    gpus = tuple(_gpu(row, work, curves, measured, _cap_points()) for row in _rows("gpus.csv"))
    coolings = tuple(_cooling(row) for row in _rows("cooling.csv"))
    return Catalogue(
        gpus=gpus,
        coolings=coolings,
        work=work,
        gpu_keys=_keys({gpu.model: (gpu, gpu.aliases) for gpu in gpus}),
        cooling_keys=_keys({cooling.cooling: (cooling, cooling.aliases) for cooling in coolings}),
    )


def _keys(named: Mapping[str, tuple[T, tuple[str, ...]]]) -> dict[str, T]:
    """Every simplified spelling; one that means two things is our fault."""
    keys: dict[str, T] = {}
    for name, (thing, aliases) in named.items():
        for spelling in (name, *aliases):
            if keys.setdefault(simplified(spelling), thing) is not thing:
                raise InvariantError(f"catalogue: '{spelling}' names two things")
    return keys


def _rows(name: str) -> list[dict[str, str]]:
    text = (resources.files("sunward.world") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _provenance(row: Mapping[str, str], group: str = "") -> Provenance:
    return Provenance(source=row[f"{group}source"], quality=Quality(row[f"{group}quality"]))


def _aliases(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(alias for alias in row["aliases"].split(";") if alias)


def _work(row: Mapping[str, str]) -> WorkProfile:
    return WorkProfile(
        work_class=WorkClass(row["work_class"]),
        compute_share=float(row["compute_share"]),
        on_shaders=row["units"] == "shader",
        share_provenance=_provenance(row, "share_"),
        draw=Draw(draw_frac=float(row["draw_frac"]), provenance=_provenance(row, "draw_")),
    )


def _draw(row: Mapping[str, str]) -> Draw:
    return Draw(draw_frac=float(row["draw_frac"]), provenance=_provenance(row))


def _curve(row: Mapping[str, str]) -> CapCurve:
    return CapCurve(
        linear=float(row["linear"]),
        cubic=float(row["cubic"]),
        cap_frac_min=float(row["cap_frac_min"]),
        provenance=_provenance(row),
    )


@cache
def _cap_points() -> dict[str, dict[WorkClass, tuple[CapPoint, ...]]]:
    """By model and class of work, from the lowest limit to the highest."""
    found: dict[str, dict[WorkClass, tuple[CapPoint, ...]]] = {}
    for row in sorted(_rows("cap_points.csv"), key=lambda one: float(one["cap_frac"])):
        of_model, work_class = found.setdefault(row["model"], {}), WorkClass(row["work_class"])
        point = CapPoint(
            cap_frac=float(row["cap_frac"]),
            rate_frac=float(row["rate_p10"]),
            power_frac=float(row["power_p50"]),
            provenance=_provenance(row),
        )
        of_model[work_class] = (*of_model.get(work_class, ()), point)
    return found


def _gpu(
    row: Mapping[str, str],
    work: Mapping[WorkClass, WorkProfile],
    curves: Mapping[str, CapCurve],
    measured: Mapping[tuple[str, str], Draw],
    points: Mapping[str, Mapping[WorkClass, tuple[CapPoint, ...]]],
) -> GpuModel:
    model = row["model"]
    return GpuModel(
        model=model,
        aliases=_aliases(row),
        vendor=row["vendor"],
        year=int(row["year"]),
        memory_gib=int(row["memory_gib"]),
        power_w_max=float(row["power_w_max"]),
        power_w_idle=float(row["power_w_idle"]),
        fp16_tensor_tflops=float(row["fp16_tensor_tflops"]),
        fp32_tflops=float(row["fp32_tflops"]),
        bandwidth_gb_per_s=float(row["bandwidth_gb_per_s"]),
        host_w_idle=float(row["host_w_idle"]),
        host_w_full=float(row["host_w_full"]),
        host_w_asleep=float(row["host_w_asleep"]),
        embodied_kgco2e=float(row["embodied_kgco2e"]),
        service_life_h=int(row["service_life_h"]),
        spec=_provenance(row, "spec_"),
        tensor=_provenance(row, "tensor_"),
        idle=_provenance(row, "idle_"),
        host=_provenance(row, "host_"),
        embodied=_provenance(row, "embodied_"),
        draws={name: measured.get((model, name), profile.draw) for name, profile in work.items()},
        cap_curve=curves.get(model, curves[ANY_GPU]),
        cap_points=points.get(model, {}),
    )


def _cooling(row: Mapping[str, str]) -> Cooling:
    return Cooling(
        cooling=row["cooling"],
        name=row["name"],
        aliases=_aliases(row),
        base_frac=float(row["base_frac"]),
        fixed_frac=float(row["fixed_frac"]),
        slope_per_c=float(row["slope_per_c"]),
        free_wet_bulb_c=float(row["free_wet_bulb_c"]),
        water_l_per_kwh=float(row["water_l_per_kwh"]),
        provenance=_provenance(row),
    )
