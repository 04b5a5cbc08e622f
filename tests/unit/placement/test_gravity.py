"""Data weighs: it stays where bringing it would cost more than clean power saves, and moves where it would not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sunward.model.hardware import WorkClass
from sunward.model.plan import Assignment, PolicyInputs
from sunward.placement.planner import plan, quote
from sunward.signals import zones
from sunward.units import MG_PER_G
from sunward.world.snapshot import WORK_CLASSES, JobView, Snapshot
from tests.support.crowds import Asked, crowd
from tests.support.snapshots import Pool, job, segment, snapshot, spec

HOURS, POWER_KW, CARBON_USD_PER_T = 10, 0.4, 1_000
DIRTY, CLEAN = 700.0, 20.0
KWH_PER_GB = 0.06
FREE = PolicyInputs(delay_ppm_per_h=0, hysteresis_ppm=0)


def world(*jobs: JobView, policy: PolicyInputs = FREE, clean: str = "SE") -> Snapshot:
    pools = [Pool(id="coal", zone="PL", awake=1), Pool(id="hydro", zone=clean, awake=1)]
    return snapshot(pools, jobs, slots=96, carbon={"PL": [DIRTY], clean: [CLEAN]}, policy=policy)


def asked(gigabytes: float, **changes: object) -> JobView:
    plain = {"origin_zone": "PL", "carbon_price_usd_per_t": CARBON_USD_PER_T, "interruptible": True}
    return job(hours=HOURS, due_h=24, data_bytes=round(gigabytes * 1e9), **(plain | changes))  # type: ignore[arg-type]


def weight_usd(usd_per_gb: float) -> float:
    """USD of moving a gigabyte between the two: tariff, and 0.06 kWh at the mean of both."""
    return usd_per_gb + KWH_PER_GB * (DIRTY + CLEAN) / 2 / 1e6 * CARBON_USD_PER_T


def gain_usd(hours: float = HOURS) -> float:
    return hours * POWER_KW * (DIRTY - CLEAN) / 1e6 * CARBON_USD_PER_T


@pytest.mark.parametrize("clean", ["KR", "AU-TAS"])
def test_a_job_stays_with_data_that_is_too_heavy_to_move(clean: str) -> None:
    """To a site of its own zone the data comes for 0.02 USD/GB, to another continent for 0.08."""
    near_usd = 0.02 + KWH_PER_GB * DIRTY / 1e6 * CARBON_USD_PER_T
    even = gain_usd() / (weight_usd(0.08) - near_usd)
    assert pool_of(quote(world(clean=clean), asked(even * 0.99).spec)) == "hydro"
    assert pool_of(quote(world(clean=clean), asked(even * 1.01).spec)) == "coal"


def test_data_that_must_be_brought_anyway_comes_to_the_clean_site_of_its_region() -> None:
    assert pool_of(quote(world(clean="SE"), asked(10**6).spec)) == "hydro"


def pool_of(made: object) -> str:
    assert isinstance(made, Assignment)
    return made.segments[0].pool


@pytest.mark.parametrize("state", ["running", "suspended"])
def test_after_a_run_the_data_lies_at_its_site(state: str) -> None:
    left_h = 8
    even = (gain_usd(left_h) - (0 if state == "suspended" else restart_usd())) / weight_usd(0.02)
    for gigabytes, moves in ((even * 0.98, True), (even * 1.02, False)):
        one = asked(gigabytes, units=HOURS, units_done=HOURS - left_h, origin_zone="SE")
        one = replace(one, data_site="coal")
        if state == "running":
            one = replace(one, pool="coal", elapsed_ms=10**7, segments=(segment("coal", 0, left_h),))
        made = plan(world(one)).assignments
        assert (pool_of(made[0]) if made else "coal") == ("hydro" if moves else "coal")
        if made and not moves:
            assert made[0].terms.transfer == 0


def restart_usd() -> float:
    """Five minutes of a container and its power at the clean site."""
    return 5 / 60 * (1.0 + POWER_KW * (0.10 + CLEAN / 1e6 * CARBON_USD_PER_T))


def test_light_data_moves_and_moves_on_and_heavy_data_does_not() -> None:
    turns = {"PL": [CLEAN] * 16 + [DIRTY] * 32, "SE": [DIRTY] * 16 + [CLEAN] * 32}
    pools = [Pool(id="a", zone="PL", awake=1), Pool(id="b", zone="SE", awake=1)]
    for gigabytes, sites in ((1.0, 2), (300.0, 1)):
        one = asked(gigabytes, carbon_price_usd_per_t=5_000, origin_zone="SE", units=1_000)
        made = plan(snapshot(pools, [one], slots=48, carbon=turns, policy=FREE)).assignments[0]
        assert len({part.pool for part in made.segments}) == sites


def test_nothing_is_charged_inside_one_site() -> None:
    pools = [Pool(id="s/a", site="s", zone="PL", awake=1), Pool(id="s/b", site="s", zone="PL", awake=1, ask=0.5)]
    one = asked(10**6, units=HOURS, units_done=1)
    one = replace(one, pool="s/a", elapsed_ms=10**7, segments=(segment("s/a", 0, 9),), data_site="s")
    made = plan(snapshot(pools, [one], slots=96, policy=FREE)).assignments[0]
    assert (made.segments[0].pool, made.terms.transfer) == ("s/b", 0)


def test_without_a_list_price_the_networks_own_counts() -> None:
    flat = replace(FREE, transfer_usd_micro_per_gb=30_000, transfer_wh_per_gb=0)
    for policy, zone, usd_micro in (
        (flat, "KR", 80_000),
        (replace(flat, transfer_by_region=False), "KR", 30_000),
        (flat, "nowhere", 30_000),
    ):
        made = quote(snapshot([Pool(id="x", zone=zone)], policy=policy), spec(data_bytes=10**9, origin_zone="PL"))
        assert isinstance(made, Assignment)
        assert made.terms.transfer == usd_micro


@pytest.mark.parametrize("origin", ["SE", "nowhere"])
def test_where_no_site_is_the_typical_mean_stands_in_and_else_the_other_end(origin: str) -> None:
    series = np.array([300.0] * 16)
    flat = replace(FREE, transfer_by_region=False, transfer_usd_micro_per_gb=0)
    alone = snapshot([Pool(id="x", zone="PL")], carbon={"PL": series.tolist()}, policy=flat)
    made = quote(alone, spec(data_bytes=10**12, origin_zone=origin, carbon_price_usd_per_t=100))
    assert isinstance(made, Assignment)
    known = zones.load()
    here = known.zone(origin).carbon_mean_mgco2e_per_kwh / MG_PER_G if origin in known.rows else 300.0
    assert made.terms.transfer == round(60 * (here + 300.0) / 2 * 100)


@pytest.mark.parametrize("clean", ["KR", "AU-TAS"])
def test_a_crowd_stays_with_heavy_data_too(clean: str) -> None:
    near_usd = 0.02 + KWH_PER_GB * DIRTY / 1e6 * CARBON_USD_PER_T
    even = gain_usd() / (weight_usd(0.08) - near_usd)
    for gigabytes, pool in ((even * 0.99, "hydro"), (even * 1.01, "coal")):
        many = Asked(
            id="c",
            hours=HOURS,
            due_h=24,
            carbon_price=CARBON_USD_PER_T,
            data_bytes=round(gigabytes * 1e9),
            origin="PL",
            work_class=WORK_CLASSES.index(WorkClass.GENERIC),
        )
        (made,) = plan(replace(world(clean=clean), crowd=crowd([many]))).assignments
        alone = quote(world(clean=clean), asked(gigabytes, interruptible=False).spec)
        assert isinstance(alone, Assignment)
        assert (made.segments[0].pool, made.segments[0].pool) == (pool, alone.segments[0].pool)
        assert made.terms.transfer == alone.terms.transfer
