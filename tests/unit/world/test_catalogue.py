"""The hardware catalogue: complete, sourced, and found by the names people use."""

from __future__ import annotations

import pytest

from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.model.hardware import WorkClass
from sunward.world.catalogue import REFERENCE_GPU, load


def test_there_are_enough_models_and_every_figure_is_sane():
    gpus = load().gpus
    assert len(gpus) >= 30
    assert len({gpu.model for gpu in gpus}) == len(gpus)
    for gpu in gpus:
        assert 0 < gpu.power_w_idle < 0.25 * gpu.power_w_max
        assert gpu.host_w_asleep < gpu.host_w_idle < gpu.host_w_full
        assert gpu.fp16_tensor_tflops > 0
        assert gpu.bandwidth_gb_per_s > 100
        assert 100 < gpu.embodied_kgco2e < 600
        assert set(gpu.draws) == set(WorkClass)
        for draw in gpu.draws.values():
            assert gpu.power_w_idle < draw.draw_frac * gpu.power_w_max <= gpu.power_w_max


def test_every_group_of_figures_has_a_source():
    for gpu in load().gpus:
        for group in (gpu.spec, gpu.tensor, gpu.idle, gpu.host, gpu.embodied, gpu.cap_curve.provenance):
            assert group.source
            assert group.quality in Quality
    assert all(cooling.provenance.quality is Quality.MODELLED for cooling in load().coolings)


def test_tensor_rates_are_dense():
    catalogue = load()
    assert catalogue.gpu("H100").fp16_tensor_tflops == 989
    assert catalogue.gpu("A100").fp16_tensor_tflops == 312
    assert catalogue.gpu("L4").fp16_tensor_tflops == 121


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("H100", "H100-SXM"),
        ("A100", REFERENCE_GPU),
        ("NVIDIA A100-SXM4-80GB", REFERENCE_GPU),
        ("NVIDIA A100 80GB PCIe", "A100-PCIE-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM"),
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("rtx-4090", "RTX4090"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-32GB", "V100-SXM2-32GB"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX6000-ADA"),
        ("Quadro RTX 6000", "RTX6000"),
        ("AMD Instinct MI300X", "MI300X"),
    ],
)
def test_names_as_drivers_and_people_write_them(name, model):
    assert load().gpu(name).model == model


def test_every_key_and_alias_finds_its_own_entry():
    catalogue = load()
    for gpu in catalogue.gpus:
        for name in (gpu.model, gpu.model.lower(), *gpu.aliases):
            assert catalogue.gpu(name) is gpu


def test_measured_draws_win_over_the_class():
    catalogue = load()
    assert catalogue.gpu("H100").draws[WorkClass.BATCH_INFERENCE].provenance.quality is Quality.MEASURED
    assert catalogue.gpu("H100").draws[WorkClass.RENDERING].provenance.quality is Quality.MODELLED


@pytest.mark.parametrize(("name", "near"), [("H10O", "H100"), ("RTX409", "RTX4090"), ("L4OS", "L40S")])
def test_near_misses_are_named(name, near):
    with pytest.raises(InputError, match=f"unknown GPU '{name}'; did you mean .*{near}"):
        load().gpu(name)


def test_coolings_are_found_and_unknown_ones_refused():
    catalogue = load()
    assert catalogue.cooling("direct-to-chip").cooling == "direct_to_chip"
    assert catalogue.cooling("Liquid").cooling == "direct_to_chip"
    with pytest.raises(InputError, match=r"use one of .*immersion"):
        catalogue.cooling("imersion")
