"""Bounds on work whose amount the network itself knows: what it set as a challenge, or had done twice.

A tenant's units are the tenant's word and bound nobody. Work is counted in operations of one kind and in bytes that
must pass the GPU's memory once at the least.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sunward.verification.bounds import kind_of
from sunward.verification.coefficients import value
from sunward.verification.exact import MILLION, MS_IN_SECOND
from sunward.verification.tolerance import factor
from sunward.verification.verdict import Finding
from sunward.world.catalogue import GpuModel

TERA = 1e12
GIGA = 1e9

TOO_FAST = "{gpus} x {gpu} did in {found_ms} ms what takes them {limit_ms} ms at the least"
TOO_LITTLE = "{gpus} x {gpu} did with {found_j} J what takes them {limit_j} J at the least"


class Operations(StrEnum):
    """Kinds of arithmetic with a peak rate of their own."""

    FP32 = "fp32"
    FP16 = "fp16"
    """On matrix units, dense, where there are any."""
    INT8 = "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWork:
    """An amount of work that is known, done by some GPUs of one model."""

    operations: Operations
    count: int
    """Operations; a multiplication with its addition counts two."""
    memory_bytes: int = 0
    """That pass memory at the least."""
    tests_a_year: int = 0
    """How often the site's energy is tested so; the rarer, the narrower the tolerance."""


def roofline_s(gpu: GpuModel, gpus: int, work: KnownWork) -> float:
    """The least time of the work: at peak arithmetic and at full memory bandwidth, whichever takes longer."""
    margin = value("clock_margin")
    compute_s = work.count / (peak_per_s(gpu, work.operations) * margin * gpus)
    memory_s = work.memory_bytes / (gpu.bandwidth_gb_per_s * GIGA * margin * gpus)
    return max(compute_s, memory_s)


def peak_per_s(gpu: GpuModel, operations: Operations) -> float:
    """Operations a second by the datasheet, dense."""
    if operations is Operations.FP32:
        return gpu.fp32_tflops * TERA
    dense = gpu.fp16_tensor_tflops * TERA
    return dense * value("int8_over_fp16", gpu.model, kind_of(gpu)) if operations is Operations.INT8 else dense


def work_least_j(gpu: GpuModel, gpus: int, work: KnownWork) -> float:
    """The least board energy of the work: at the best efficiency published, and never below the GPUs' rest."""
    lasted_s = roofline_s(gpu, gpus, work)
    busy_w = gpu.power_w_max * value("work_energy_frac", gpu.model)
    rest_w = gpu.power_w_idle * value("idle_frac", gpu.model, gpu.idle.quality)
    return max(busy_w, rest_w) * lasted_s * gpus


def rate_findings(gpu: GpuModel, gpus: int, work: KnownWork, *, took_ms: int) -> Iterator[Finding]:
    """What cannot be of the time that work took, as the network's clock has it.

    `took_ms`: from when the work was told until its result was here, so that it is never too short.
    """
    least_ms = roofline_s(gpu, gpus, work) * MS_IN_SECOND
    if took_ms < least_ms:
        figures: dict[str, str | int] = {"gpus": gpus, "gpu": gpu.model, "found_ms": took_ms}
        yield Finding(key="rate_high", sentence=TOO_FAST, figures=figures | {"limit_ms": round(least_ms)})


def work_findings(
    gpu: GpuModel, gpus: int, work: KnownWork, *, took_ms: int, energy_j: int, uncertainty_ppm: int
) -> Iterator[Finding]:
    """What cannot be of work done in a time with an energy, as the network's clock and the site's counters have it."""
    of: dict[str, str | int] = {"gpus": gpus, "gpu": gpu.model}
    yield from rate_findings(gpu, gpus, work, took_ms=took_ms)
    tolerance = factor(work.tests_a_year) * uncertainty_ppm / MILLION
    least_j = work_least_j(gpu, gpus, work) * (1.0 - tolerance) - value("span_j") * gpus
    if energy_j < least_j:
        yield Finding(
            key="work_energy_low", sentence=TOO_LITTLE, figures={**of, "found_j": energy_j, "limit_j": round(least_j)}
        )
