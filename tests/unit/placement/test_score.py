from __future__ import annotations

from sunward.model.plan import Assignment, PolicyInputs
from sunward.placement.planner import quote
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.snapshots import NOW_MS, Pool, job, segment, snapshot, spec


def placed(world: object, **asked: object) -> Assignment:
    result = quote(world, spec(**asked))  # type: ignore[arg-type]
    assert isinstance(result, Assignment)
    return result


def test_every_term_by_hand() -> None:
    pool = Pool(id="es", zone="ES", overhead=1.25, water=2.0, ask=1.5, wake_j=72_000.0)
    world = snapshot([pool], carbon={"ES": [200.0]}, spread={"ES": [50.0]}, price={"ES": [0.08]})
    made = placed(world, hours=2.0, gpus=2, data_bytes=5 * 10**9, origin_zone="ES", carbon_price_usd_per_t=100)
    # 2 x 400 W x 2 h = 1.6 kWh IT, 2.0 kWh at the meter.
    assert made.terms.energy == 160_000
    assert made.terms.carbon == 40_000  # 400 g at 100 USD/t
    assert made.terms.water == 6_400  # 3.2 l at 0.002 USD
    assert made.terms.ask == 6_000_000  # 4 container-hours
    assert made.terms.risk == 1_000  # a tenth of 100 g at 100 USD/t
    assert made.terms.transfer == 106_000  # 5 x 0.02 USD, and 0.3 kWh x 200 g at 100 USD/t
    assert made.terms.wake == 5_000  # 2 x 0.02 kWh x 1.25 at 0.08 + 0.02 USD/kWh
    assert made.terms.shadow == 0
    assert made.energy_j == 7_200_000
    assert made.carbon_mg == 400_000


def test_idle_awake_containers_need_no_wake_now() -> None:
    pool = Pool(id="es", count=3, awake=2, wake_j=36_000.0)
    assert placed(snapshot([pool]), gpus=2).terms.wake == 0
    one_busy = job("other", fixed=True, pool="es", segments=(segment("es", 0, 1),))
    world = snapshot([pool], [one_busy])
    assert placed(world, gpus=2).terms.wake == 1_100  # one of two, 0.01 kWh at 0.10 + 0.01 USD/kWh


def test_a_cold_start_now_waits_for_the_wake() -> None:
    pool = Pool(id="es", wake_ms=2 * MINUTE_MS)
    made = placed(snapshot([pool]), hours=1.0)
    assert made.segments[0].start_ms == NOW_MS + 2 * MINUTE_MS
    assert made.segments[0].end_ms == NOW_MS + 2 * MINUTE_MS + HOUR_MS
    assert made.reason == "now"
    warm = placed(snapshot([Pool(id="es", wake_ms=2 * MINUTE_MS, awake=1)]), hours=1.0)
    assert warm.segments[0].start_ms == NOW_MS


def test_carbon_price_decides_between_clean_and_cheap() -> None:
    pools = [Pool(id="clean", zone="NO", ask=1.2), Pool(id="cheap", zone="PL", ask=1.0)]
    world = snapshot(pools, carbon={"NO": [30.0], "PL": [650.0]})
    assert placed(world, carbon_price_usd_per_t=0).segments[0].pool == "cheap"
    assert placed(world, carbon_price_usd_per_t=5_000).segments[0].pool == "clean"


def test_greenness_decides_only_within_one_percent() -> None:
    green = PolicyInputs(greenness_ppm=(("green", 900_000),), delay_ppm_per_h=0)
    near = snapshot([Pool(id="best", ask=1.0), Pool(id="green", ask=1.005)], policy=green)
    far = snapshot([Pool(id="best", ask=1.0), Pool(id="green", ask=1.05)], policy=green)
    neutral = snapshot([Pool(id="best", ask=1.0), Pool(id="green", ask=1.005)])
    assert placed(near).segments[0].pool == "green"
    assert placed(far).segments[0].pool == "best"
    assert placed(neutral).segments[0].pool == "best"
