from __future__ import annotations

from sunward.metering.carbon import Intensity, LeaseHour, PoolFacts, embodied_mg, hour_lines, water_ml
from sunward.model.datum import Quality

HOUR_MS = 3_600_000
POOL = PoolFacts(
    site="s-1",
    zone="ES",
    gpu_model="A100-SXM-80GB",
    embodied_mg=438_000_000,
    service_life_ms=43_800 * HOUR_MS,
    water_ml_per_kwh=1_800,
)


def intensity(zone, hour_ms):
    return Intensity({("ES", 0): 170_000, ("ES", HOUR_MS): 100_001}[zone, hour_ms], "typical year", Quality.MODELLED)


def fossil(zone):
    return {"ES": 600_000}[zone]


def row(hour_ms=0, gpu_ms=HOUR_MS, gpu_j=1_200_000, host_j=600_000, overhead_j=360_000, pool=POOL):
    return LeaseHour(pool=pool, hour_ms=hour_ms, gpu_ms=gpu_ms, gpu_j=gpu_j, host_j=host_j, overhead_j=overhead_j)


def test_one_hour_by_hand() -> None:
    # 2.16 MJ = 0.6 kWh: 0.6 · 170 g = 102 g; at the fossil factor 0.6 · 600 g = 360 g; IT 0.5 kWh · 1.8 l = 0.9 l.
    # Embodied: 438 kg over 43,800 h = 10 g an hour.
    (line,) = hour_lines([row()], intensity, fossil)
    assert (line.location_mg, line.market_mg, line.embodied_mg, line.water_ml) == (102_000, 360_000, 10_000, 900)
    assert (line.carbon_mg_per_kwh, line.market_mg_per_kwh) == (170_000, 600_000)
    assert (line.carbon_source, line.carbon_quality) == ("typical year", Quality.MODELLED)


def test_rows_of_one_line_are_summed_before_rounding() -> None:
    # Each row alone is 1 J · 170,000 mg/kWh = 0.047 mg, eleven of them 0.52 mg.
    rows = [row(gpu_ms=0, gpu_j=1, host_j=0, overhead_j=0)] * 11
    (line,) = hour_lines(rows, intensity, fossil)
    assert (line.gpu_j, line.location_mg) == (11, 1)


def test_lines_are_ordered_by_hour_site_and_model_whatever_comes_first() -> None:
    other = PoolFacts(
        site="s-0", zone="ES", gpu_model="L40S", embodied_mg=1, service_life_ms=HOUR_MS, water_ml_per_kwh=0
    )
    rows = [row(HOUR_MS), row(0), row(0, pool=other)]
    lines = hour_lines(rows, intensity, fossil)
    assert [(line.hour_ms, line.site) for line in lines] == [(0, "s-0"), (0, "s-1"), (HOUR_MS, "s-1")]
    assert hour_lines(rows[::-1], intensity, fossil) == lines
    # 0.6 kWh · 100.001 g/kWh = 60,000.6 mg.
    assert lines[2].location_mg == 60_001


def test_halves_round_up() -> None:
    assert water_ml(1_800_000, 1) == 1
    assert water_ml(1_799_999, 1) == 0
    assert embodied_mg(1, 1, 2) == 1
    assert embodied_mg(1, 1, 3) == 0
