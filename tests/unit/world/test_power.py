"""Power and rate: bounds, monotony, and the few ratios everyone knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InputError
from sunward.model.hardware import WorkClass
from sunward.world.catalogue import REFERENCE_GPU, load
from sunward.world.power import (
    capped_rate,
    device_power_w,
    host_power_w,
    overhead_ratio,
    power_cap_w_min,
    relative_rate,
)

gpus = st.sampled_from(load().gpus)
classes = st.sampled_from(list(WorkClass))
shares = st.floats(min_value=0, max_value=1)


@given(gpus, classes, shares, shares)
def test_power_rises_with_use_and_stays_on_the_board(gpu, work_class, one, other):
    low, high = sorted((one, other))
    power_w = device_power_w(gpu, work_class, high)
    assert gpu.power_w_idle <= device_power_w(gpu, work_class, low) <= power_w <= gpu.power_w_max


@given(gpus, classes, shares, shares)
def test_a_lower_cap_is_slower_and_never_draws_more(gpu, work_class, one, other):
    floor_w, span_w = power_cap_w_min(gpu), gpu.power_w_max - power_cap_w_min(gpu)
    low_w, high_w = sorted(min(floor_w + share * span_w, gpu.power_w_max) for share in (one, other))
    assert 0 < capped_rate(gpu, work_class, low_w) <= capped_rate(gpu, work_class, high_w) <= 1
    assert device_power_w(gpu, work_class, 1, low_w) <= low_w + 1e-9
    assert relative_rate(gpu, work_class, high_w) <= relative_rate(gpu, work_class)


@given(st.sampled_from(load().coolings), st.floats(min_value=-20, max_value=35), st.floats(min_value=0.01, max_value=1))
def test_overhead_is_at_least_one_and_grows_with_heat_and_idleness(cooling, wet_bulb_c, load_frac):
    ratio = overhead_ratio(cooling, wet_bulb_c, load_frac)
    assert ratio >= 1
    assert overhead_ratio(cooling, wet_bulb_c + 5, load_frac) >= ratio
    assert overhead_ratio(cooling, wet_bulb_c, load_frac / 2) >= ratio


@pytest.mark.parametrize("work_class", list(WorkClass))
def test_the_reference_has_rate_one(work_class):
    assert relative_rate(load().gpu(REFERENCE_GPU), work_class) == pytest.approx(1)


def test_newer_is_faster_by_what_its_figures_allow():
    catalogue = load()
    assert relative_rate(catalogue.gpu("H100"), WorkClass.TRAINING) == pytest.approx(2.3, abs=0.1)
    ada, ampere = catalogue.gpu("RTX4090"), catalogue.gpu("A100")
    assert relative_rate(ada, WorkClass.ONLINE_INFERENCE) < relative_rate(ampere, WorkClass.ONLINE_INFERENCE)
    assert relative_rate(ada, WorkClass.RENDERING) > relative_rate(ampere, WorkClass.RENDERING)


def test_a_moderate_cap_saves_energy_per_unit_of_work():
    gpu = load().gpu("H100")
    cap_w = 0.7 * gpu.power_w_max
    capped_j = device_power_w(gpu, WorkClass.TRAINING, 1, cap_w) / capped_rate(gpu, WorkClass.TRAINING, cap_w)
    assert capped_j < device_power_w(gpu, WorkClass.TRAINING, 1)
    assert capped_rate(gpu, WorkClass.TRAINING, cap_w) > 0.8


def test_a_cap_above_the_draw_costs_nothing():
    gpu = load().gpu("H100")
    assert relative_rate(gpu, WorkClass.ONLINE_INFERENCE, 690) == relative_rate(gpu, WorkClass.ONLINE_INFERENCE)


def test_hosts_as_measured_for_eight_a100():
    gpu = load().gpu("A100")
    assert 8 * (host_power_w(gpu, 0) + gpu.power_w_idle) == pytest.approx(1_421, rel=0.01)


def test_sites_rank_as_published():
    catalogue = load()
    ratios = [overhead_ratio(catalogue.cooling(name), 14, 0.4) for name in ("air", "evaporative", "immersion", "room")]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] == pytest.approx(1.51)
    assert ratios[-1] == 1
    assert catalogue.cooling("evaporative").water_l_per_kwh == pytest.approx(1.8)


@pytest.mark.parametrize("cap_w", [0, 100, 701, float("nan")])
def test_caps_no_board_accepts_are_refused(cap_w):
    with pytest.raises(InputError, match="H100-SXM takes 233 to 700 W"):
        device_power_w(load().gpu("H100"), WorkClass.TRAINING, 1, cap_w)
    with pytest.raises(InputError, match="H100-SXM takes 233 to 700 W"):
        relative_rate(load().gpu("H100"), WorkClass.TRAINING, cap_w)


def test_shares_outside_zero_to_one_are_refused():
    gpu, cooling = load().gpu("L4"), load().cooling("air")
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="must lie in"):
            device_power_w(gpu, WorkClass.GENERIC, share)
        with pytest.raises(InputError, match="must lie in"):
            host_power_w(gpu, share)
        with pytest.raises(InputError, match="must be above 0"):
            overhead_ratio(cooling, 10, share)
    with pytest.raises(InputError, match="wet bulb"):
        overhead_ratio(cooling, 60, 0.5)
