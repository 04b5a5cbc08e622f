"""What hardware draws and how fast it works: pure functions of catalogue entries, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from sunward.errors import InputError
from sunward.units import Watt
from sunward.world.catalogue import REFERENCE_GPU, load
from sunward.world.snapshot import WORK_CLASSES

if TYPE_CHECKING:
    from sunward.model.hardware import WorkClass
    from sunward.world.catalogue import CapPoint, Cooling, GpuModel, WorkProfile

RATE_MIN = 0.05
"""A capped GPU is never modelled slower than this share of its own speed; the fit says nothing so far down."""
CAP_STEP = 0.97
"""A cap is worth planning with where it takes at most this share of the energy that the next higher one takes."""
WET_BULB_C_MIN, WET_BULB_C_MAX = -60.0, 40.0
"""Wet bulbs outside these do not occur in weather records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapChoice:
    """A power cap that plans choose from, and what it does to one container."""

    cap_w: int
    """Board watts, the limit to set."""
    device_w: float
    """Board watts drawn at full load."""
    rate: float
    """Throughput against the reference GPU."""


def device_power_w(gpu: GpuModel, work_class: WorkClass, utilisation: float, cap_w: float | None = None) -> Watt:
    """Board power at a utilisation: idle + (full - idle)*u, with full as measured for the class and cap.

    Where no cap was measured for the class, full is at most the cap.

    Raises: InputError for a utilisation outside 0..1 or a cap the board does not accept.
    """
    _require_share("utilisation", utilisation)
    full_w = _uncapped_w(gpu, work_class)
    if cap_w is not None:
        _require_cap(gpu, cap_w)
        full_w = min(full_w * _measured(gpu, work_class, cap_w, "power_frac", 1.0), cap_w)
    return Watt(gpu.power_w_idle + (full_w - gpu.power_w_idle) * utilisation)


def relative_rate(gpu: GpuModel, work_class: WorkClass, cap_w: float | None = None) -> float:
    """Throughput at full load over that of the reference GPU without a cap.

    The time of one unit of work is a fixed mix, by class, of time bound by FLOP/s (dense tensor, or shader for
    rendering) and of time bound by memory bandwidth: a two-term roofline. A cap slows it along the GPU's cap curve.
    Raises: InputError for a cap the board does not accept.
    """
    catalogue = load()
    reference = catalogue.gpu(REFERENCE_GPU)
    profile = catalogue.work[work_class]
    compute_time = profile.compute_share * _tflops(reference, profile) / _tflops(gpu, profile)
    memory_time = (1.0 - profile.compute_share) * reference.bandwidth_gb_per_s / gpu.bandwidth_gb_per_s
    return capped_rate(gpu, work_class, cap_w) / (compute_time + memory_time)


@cache
def rates(gpu_model: str) -> tuple[float, ...]:
    """Throughput of one container of a model per work class against the reference GPU."""
    gpu = load().gpu(gpu_model)
    return tuple(relative_rate(gpu, work_class) for work_class in WORK_CLASSES)


@cache
def lease_rate(gpu_model: str, work_class: WorkClass, cap_w: int) -> float:
    """Throughput of one container of a model under a power limit, 0 = none, against the reference GPU."""
    return relative_rate(load().gpu(gpu_model), work_class, cap_w or None)


def capped_rate(gpu: GpuModel, work_class: WorkClass, cap_w: float | None) -> float:
    """Throughput under a cap over the same GPU's throughput without one, in (0, 1].

    As measured for the class, with nine workloads of ten no slower; else by the GPU's curve.
    Raises: InputError for a cap the board does not accept.
    """
    if cap_w is None:
        return 1.0
    _require_cap(gpu, cap_w)
    if gpu.cap_points.get(work_class):
        return _measured(gpu, work_class, cap_w, "rate_frac", 1.0)
    depth = max(0.0, 1.0 - cap_w / _uncapped_w(gpu, work_class))
    curve = gpu.cap_curve
    return max(RATE_MIN, 1.0 - curve.linear * depth - curve.cubic * depth**3)


@cache
def cap_choices(gpu_model: str, work_class: WorkClass) -> tuple[CapChoice, ...]:
    """The caps that plans choose from, highest first: measured limits, each of which saves energy over the one before.

    None where the class was not measured on this model: how much slower it would be is not known.
    """
    gpu = load().gpu(gpu_model)
    choices: list[CapChoice] = []
    least = _uncapped_w(gpu, work_class)
    for point in reversed(gpu.cap_points.get(work_class, ())):
        cap_w = round(point.cap_frac * gpu.power_w_max)
        if cap_w < power_cap_w_min(gpu):
            break
        device_w = device_power_w(gpu, work_class, 1.0, cap_w)
        if device_w / point.rate_frac <= CAP_STEP * least:
            choices.append(
                CapChoice(cap_w=cap_w, device_w=device_w, rate=relative_rate(gpu, work_class, cap_w)),
            )
            least = device_w / point.rate_frac
    return tuple(choices)


def power_cap_w_min(gpu: GpuModel) -> Watt:
    """The lowest cap the model covers: the lowest measured share of the board's limit, and never below idle."""
    return Watt(max(gpu.cap_curve.cap_frac_min * gpu.power_w_max, gpu.power_w_idle))


def host_power_w(gpu: GpuModel, utilisation: float) -> Watt:
    """One GPU's share of its awake server: processors, memory, fans, network and losses, without GPUs.

    Raises: InputError for a utilisation outside 0..1.
    """
    _require_share("utilisation", utilisation)
    return Watt(gpu.host_w_idle + (gpu.host_w_full - gpu.host_w_idle) * utilisation)


def overhead_ratio(cooling: Cooling, wet_bulb_c: float, load_frac: float) -> float:
    """Facility energy over IT energy at one moment, >= 1; modelled, and not a PUE.

    Fixed losses weigh more at low load; above the free-cooling wet bulb each degree adds its slope.
    Raises: InputError for a load outside (0, 1] or a wet bulb no weather has.
    """
    if not 0.0 < load_frac <= 1.0:
        raise InputError(f"load {load_frac} of the facility must be above 0 and at most 1")
    if not WET_BULB_C_MIN <= wet_bulb_c <= WET_BULB_C_MAX:
        raise InputError(
            f"wet bulb {wet_bulb_c} C must lie in {WET_BULB_C_MIN}..{WET_BULB_C_MAX}; give degrees Celsius"
        )
    warm_c = max(0.0, wet_bulb_c - cooling.free_wet_bulb_c)
    return 1.0 + cooling.base_frac + cooling.fixed_frac / load_frac + cooling.slope_per_c * warm_c


def _measured(gpu: GpuModel, work_class: WorkClass, cap_w: float, name: str, otherwise: float) -> float:
    """A share between the measured limits; above the highest and below the lowest as there."""
    points: tuple[CapPoint, ...] = gpu.cap_points.get(work_class, ())
    if not points:
        return otherwise
    limits = [point.cap_frac for point in points]
    return float(np.interp(cap_w / gpu.power_w_max, limits, [getattr(point, name) for point in points]))


def _uncapped_w(gpu: GpuModel, work_class: WorkClass) -> float:
    return gpu.draws[work_class].draw_frac * gpu.power_w_max


def _tflops(gpu: GpuModel, profile: WorkProfile) -> float:
    return gpu.fp32_tflops if profile.on_shaders else gpu.fp16_tensor_tflops


def _require_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} {value} must lie in 0..1")


def _require_cap(gpu: GpuModel, cap_w: float) -> None:
    low_w = power_cap_w_min(gpu)
    if not low_w <= cap_w <= gpu.power_w_max:
        raise InputError(f"power cap {cap_w:g} W: {gpu.model} takes {low_w:.0f} to {gpu.power_w_max:.0f} W")
