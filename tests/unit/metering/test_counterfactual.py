from __future__ import annotations

import pytest

from sunward.errors import InvariantError
from sunward.metering.carbon import Intensity
from sunward.metering.counterfactual import (
    RUN_NOW_MEAN_SITE,
    RUN_NOW_ORIGIN,
    Capacity,
    Piece,
    RunNow,
    always_on_w,
    change_ppm,
    counterfactuals,
    mean_mg_per_kwh,
)
from sunward.model.datum import Quality

HOUR_MS = 3_600_000
SERIES = {"DE": (400_000, 300_000, 200_000), "NO": (30_000, 30_000, 30_000), "PL": (700_000, 650_000, 600_000)}
NETWORK = (Capacity(zone="NO", containers=4), Capacity(zone="PL", containers=2))


def intensity(zone, hour_ms):
    return Intensity(SERIES[zone][hour_ms // HOUR_MS], "test", Quality.MODELLED)


def run(*pieces, submitted_ms=HOUR_MS // 2, network=NETWORK):
    return RunNow(submitted_ms=submitted_ms, origin_zone="DE", network=network, pieces=pieces)


def piece(containers=2, run_ms=2 * HOUR_MS, idle_w=100.0, busy_w=500.0):
    return Piece(containers=containers, run_ms=run_ms, idle_w=idle_w, busy_w=busy_w)


def test_both_by_hand() -> None:
    # 100/0.5 + 500 − 100 = 600 W; 2 containers and overhead 1.25: 1.5 kW for 2 h = 3 kWh = 10.8 MJ,
    # half an hour in hour 0 (0.75 kWh), one hour in hour 1 (1.5), half an hour in hour 2 (0.75).
    # Origin: 0.75·400 + 1.5·300 + 0.75·200 = 900 g.
    # Mean site: (4·30 + 2·700)/6 = 253.333, 236.667, 220 g/kWh: 190 + 355.0005 + 165 g.
    origin, mean = counterfactuals(run(piece()), intensity, 450_000)
    assert (origin.name, origin.facility_j, origin.carbon_mg) == (f"{RUN_NOW_ORIGIN}/1", 10_800_000, 900_000)
    assert origin.change_ppm == -500_000
    assert (mean.name, mean.facility_j, mean.carbon_mg) == (
        f"{RUN_NOW_MEAN_SITE}/1",
        10_800_000,
        190_000 + 355_001 + 165_000,
    )
    assert mean.change_ppm == -366_198


def test_names_carry_the_version() -> None:
    assert (RUN_NOW_ORIGIN, RUN_NOW_MEAN_SITE) == ("run-now-origin", "run-now-mean-site")


def test_pieces_run_one_after_another_without_a_pause() -> None:
    halves = counterfactuals(run(piece(run_ms=HOUR_MS), piece(run_ms=HOUR_MS)), intensity, 1)
    assert halves == counterfactuals(run(piece()), intensity, 1)


def test_no_work_has_no_counterfactual_carbon_and_no_ratio() -> None:
    for found in counterfactuals(run(), intensity, 5):
        assert (found.facility_j, found.carbon_mg, found.change_ppm) == (0, 0, 0)


def test_worse_is_positive() -> None:
    assert change_ppm(150, 100) == 500_000
    assert change_ppm(0, 100) == -1_000_000


def test_use_counts_idle_hours_in_between() -> None:
    assert always_on_w(100.0, 500.0) == 600.0
    assert always_on_w(0.0, 500.0) == 500.0


def test_a_network_without_containers_has_no_mean_site() -> None:
    with pytest.raises(InvariantError, match="without containers"):
        mean_mg_per_kwh((Capacity(zone="NO", containers=0),), 0, intensity)
