"""What a GPU's own sensor does not know, by model."""

from __future__ import annotations

import pytest

from sunward.model.datum import Quality
from sunward.world.catalogue import load
from sunward.world.sensors import _table, sensor, uncertainty_ppm


def test_every_row_is_a_gpu_of_the_catalogue_with_a_source() -> None:
    for model, row in _table().items():
        assert model == "*" or load().gpu(model).model == model
        assert 0 < row.sampled_frac <= 1
        assert row.provenance.source
        assert row.provenance.quality in (Quality.PUBLISHED, Quality.MODELLED)


def test_a_sensor_that_looks_all_the_time_errs_by_its_gain_alone() -> None:
    assert sensor("RTX4090").sampled_frac == 1
    assert uncertainty_ppm(load().gpu("RTX4090")) == 50_000


@pytest.mark.parametrize("model", ["A100-SXM-80GB", "H100-SXM"])
def test_a_sensor_that_looks_a_quarter_of_the_time_knows_less(model: str) -> None:
    gpu = load().gpu(model)
    unseen = 0.75 * (gpu.power_w_max - gpu.power_w_idle) / gpu.power_w_max / 2 / 60**0.5
    assert uncertainty_ppm(gpu) == pytest.approx((0.05**2 + unseen**2) ** 0.5 * 1e6, abs=1)
    assert 60_000 < uncertainty_ppm(gpu) < 70_000
