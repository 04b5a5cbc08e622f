"""Work that the network set itself takes time and energy; less of either is a lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sunward.verification.work import KnownWork, Operations, peak_per_s, roofline_s, work_findings, work_least_j
from sunward.world import catalogue

GPUS = st.sampled_from([gpu.model for gpu in catalogue.load().gpus])
AMOUNT = st.integers(10**13, 10**17)
DAILY = 365


def work(operations: Operations, count: int, memory_bytes: int = 0) -> KnownWork:
    return KnownWork(operations=operations, count=count, memory_bytes=memory_bytes, tests_a_year=DAILY)


def found(gpu: str, amount: KnownWork, took_ms: float, energy_j: float, u_ppm: int = 50_000) -> list[str]:
    facts = catalogue.load().gpu(gpu)
    told = work_findings(facts, 1, amount, took_ms=int(took_ms), energy_j=int(energy_j), uncertainty_ppm=u_ppm)
    return [finding.key for finding in told]


@given(GPUS, st.sampled_from(Operations), AMOUNT, st.floats(0.05, 1.0), st.floats(0.45, 1.0), st.floats(-0.15, 0.15))
def test_an_honest_gpu_never_trips(
    gpu: str, kind: Operations, count: int, use: float, draw_frac: float, error: float
) -> None:
    """It reaches some part of its peak, at no better efficiency than was ever published."""
    facts = catalogue.load().gpu(gpu)
    took_s = count / peak_per_s(facts, kind) / use
    energy_j = facts.power_w_max * draw_frac * took_s * (1 + error)
    assert found(gpu, work(kind, count), took_s * 1000 + 1, energy_j + 1) == []


@given(GPUS, st.sampled_from(Operations), st.floats(0.01, 0.95))
def test_work_done_faster_than_the_roofline_is_found(gpu: str, kind: Operations, share: float) -> None:
    facts = catalogue.load().gpu(gpu)
    amount = work(kind, 10**17)
    took_ms = roofline_s(facts, 1, amount) * 1000 * share
    assert "rate_high" in found(gpu, amount, took_ms, 1e9)


@given(GPUS, st.sampled_from(Operations), st.floats(0.0, 0.95))
def test_work_done_with_less_than_the_least_energy_is_found(gpu: str, kind: Operations, share: float) -> None:
    amount = work(kind, 10**18)
    energy_j = work_least_j(catalogue.load().gpu(gpu), 1, amount) * 0.75 * share
    assert found(gpu, amount, 1e12, energy_j) == ["work_energy_low"]


def test_a_small_gpu_cannot_pass_for_a_large_one() -> None:
    """A 4090 at its full dense rate takes longer than any H100 needs, yet the reverse is possible and no proof."""
    small, large = catalogue.load().gpu("T4"), catalogue.load().gpu("H100-SXM")
    amount = work(Operations.FP16, 10**17)
    assert roofline_s(small, 1, amount) > 10 * roofline_s(large, 1, amount)


def test_bytes_bound_the_time_where_they_are_many() -> None:
    gpu = catalogue.load().gpu("A100-SXM-80GB")
    light, heavy = work(Operations.FP16, 10**12), work(Operations.FP16, 10**12, 10**13)
    assert roofline_s(gpu, 1, heavy) > 4.0 > roofline_s(gpu, 1, light)
    assert roofline_s(gpu, 4, heavy) * 4 == roofline_s(gpu, 1, heavy)
