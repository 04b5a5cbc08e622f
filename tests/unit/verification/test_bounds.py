"""Honest sites never trip a bound, whatever the noise; each planted lie does, once it is larger than the tolerance."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.model.datum import Quality
from sunward.model.hardware import Admission, PowerState
from sunward.model.identity import PoolId, SiteId, TenantId, ZoneId
from sunward.model.reading import ReadingBatch, Span
from sunward.model.site import PoolSpec, SiteSpec
from sunward.verification.bounds import declared_findings, kind_of, overhead_least, reading_findings
from sunward.verification.coefficients import load as coefficients
from sunward.verification.coefficients import value
from sunward.verification.tolerance import factor, spread
from sunward.world import catalogue

MINUTE_MS = 60_000
GPUS = tuple(gpu.model for gpu in catalogue.load().gpus)
SMART_METER_PPM = 5_000


def a_site(gpu: str = "A100-SXM-80GB", count: int = 2, **changes: object) -> SiteSpec:
    site = SiteSpec(
        site=SiteId("s-1"),
        owner=TenantId("owner"),
        zone=ZoneId("SE-SE3"),
        country="SE",
        cooling="air",
        overhead_ppm=1_200_000,
        overhead_quality=Quality.PUBLISHED,
        water_ml_per_kwh=0,
        ask_usd_micro_per_gpu_h=0,
        admission=Admission.OWN,
        pools=(
            PoolSpec(
                pool=PoolId(f"s-1/{gpu}"), gpu_model=gpu, count=count, devices=tuple(f"d{n}" for n in range(count))
            ),
        ),
        public_key="00" * 32,
    )
    return replace(site, **changes)


def batches(watts: dict[str, list[tuple[float, str]]], u_ppm: int = 50_000) -> list[ReadingBatch]:
    """One batch a minute; each counter's watts and state by minute."""
    minutes = len(next(iter(watts.values())))
    at_j = dict.fromkeys(watts, 0.0)
    made = []
    for minute in range(minutes):
        spans = []
        for device, course in watts.items():
            power_w, state = course[minute]
            start_j, at_j[device] = at_j[device], at_j[device] + power_w * 60
            spans.append(
                Span(
                    device=device,
                    lease="",
                    state=state,
                    t0_ms=minute * MINUTE_MS,
                    t1_ms=(minute + 1) * MINUTE_MS,
                    start_j=int(start_j),
                    end_j=int(at_j[device]),
                )
            )
        made.append(
            ReadingBatch(
                site="s-1",
                boot="b",
                counter=minute + 1,
                t0_ms=minute * MINUTE_MS,
                t1_ms=(minute + 1) * MINUTE_MS,
                previous="",
                uncertainty_ppm=u_ppm,
                quality=Quality.MEASURED,
                spans=tuple(spans),
            )
        )
    return made


def keys(spec: SiteSpec, watts: dict[str, list[tuple[float, str]]], u_ppm: int = 50_000) -> set[str]:
    return {finding.key for finding in reading_findings(spec, batches(watts, u_ppm))}


def busy(power_w: float, minutes: int = 5) -> list[tuple[float, str]]:
    return [(power_w, PowerState.BUSY)] * minutes


@st.composite
def honest_sites(draw: st.DrawFn) -> tuple[SiteSpec, list[ReadingBatch]]:
    """What a site may truly draw, each counter off by anything that its tolerance covers."""
    u_ppm = draw(st.sampled_from([0, 5_000, 20_000, 50_000, 100_000, 200_000]))
    gpu = catalogue.load().gpu(draw(st.sampled_from(GPUS)))
    count, minutes = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    cooling = draw(st.sampled_from(["air", "evaporative", "direct_to_chip", "immersion", "room"]))
    rng = draw(st.randoms(use_true_random=False))
    true: dict[str, list[tuple[float, str]]] = {f"d{n}": [] for n in range(count)} | {"host": [], "meter": []}
    floor = overhead_least(cooling)
    for _ in range(minutes):
        it_w, host_w = 0.0, 2.0
        for n in range(count):
            state = rng.choice([PowerState.ASLEEP, PowerState.IDLE, PowerState.BUSY, PowerState.WAKING])
            awake = state != PowerState.ASLEEP
            low = value("idle_frac", gpu.model, gpu.idle.quality) * gpu.power_w_idle
            most = gpu.power_w_max * value("board_margin", gpu.model, kind_of(gpu))
            power_w = rng.uniform(low, most) if awake else rng.uniform(0, 5)
            true[f"d{n}"].append((power_w, state))
            it_w += power_w
            host_w += rng.uniform(value("host_frac") * gpu.host_w_idle, gpu.host_w_full) if awake else 0.0
        true["host"].append((host_w, PowerState.BUSY))
        true["meter"].append(((it_w + host_w) * rng.uniform(floor, 2.0), PowerState.BUSY))
    reach = spread(u_ppm, count)
    off = {name: max(0.0, 1.0 + rng.uniform(-reach, reach)) for name in true}
    told = {name: [(power_w * off[name], state) for power_w, state in course] for name, course in true.items()}
    if rng.random() < 0.5:
        del told["meter"]
    most_w = max(power_w for power_w, _ in true["meter"])
    site = a_site(gpu.model, count, cooling=cooling, power_ceiling_w=int(most_w) + 1)
    return site, batches(told, u_ppm)


@given(honest_sites())
def test_honest_sites_never_trip(case: tuple[SiteSpec, list[ReadingBatch]]) -> None:
    site, told = case
    assert reading_findings(replace(site, overhead_ppm=1_000_000), told) == ()


def test_a_thousand_site_years_of_noise_trip_less_than_once() -> None:
    """The chance of one test times the tests of a year is the bar, and random noise bears it out where it is shown."""
    assert factor(1) < factor(525_960 * 22)
    assert 6.3 < factor(525_960 * 22) < 6.5
    rng = random.Random(6)
    site = a_site(count=2)
    for _ in range(2_000):
        errors = [1 + rng.gauss(0, 0.05) for _ in range(3)]
        told = {
            "d0": busy(420 * errors[0]),
            "d1": [(36 * errors[1], PowerState.IDLE)] * 5,
            "host": busy(20 * errors[2]),
        }
        assert keys(site, told) == set()


@given(st.sampled_from(GPUS), st.sampled_from([0, 5_000, 50_000]), st.floats(1.05, 5.0))
def test_more_than_the_board_can_draw_is_found(gpu: str, u_ppm: int, beyond: float) -> None:
    facts = catalogue.load().gpu(gpu)
    reach = 1.0 + spread(u_ppm, 1)
    power_w = facts.power_w_max * value("board_margin", gpu, kind_of(facts)) * reach * beyond
    told = {"d0": busy(power_w, 60), "host": busy(facts.host_w_full, 60)}
    assert keys(a_site(gpu, 1), told, u_ppm) == {"energy_high"}


@given(st.sampled_from(GPUS), st.floats(0.0, 0.9))
def test_awake_without_power_is_found(gpu: str, share: float) -> None:
    facts = catalogue.load().gpu(gpu)
    least_w = facts.power_w_idle * value("idle_frac", gpu, facts.idle.quality) * (1 - spread(20_000, 1))
    told = {"d0": busy(least_w * share, 60), "host": busy(facts.host_w_full, 60)}
    assert keys(a_site(gpu, 1), told, 20_000) == {"idle_low"}


def test_a_host_without_counter_is_found() -> None:
    assert keys(a_site(count=1), {"d0": busy(300)}) == {"host_low"}


def test_more_than_the_connection_carries_is_found() -> None:
    told = {"d0": busy(390, 10), "d1": busy(390, 10), "host": busy(300, 10)}
    assert keys(a_site(power_ceiling_w=1_400), told, SMART_METER_PPM) == set()
    assert keys(a_site(power_ceiling_w=900), told, SMART_METER_PPM) == {"site_high"}
    assert keys(a_site(power_ceiling_w=0), told, SMART_METER_PPM) == set()


def test_a_meter_that_counts_less_than_the_equipment_is_found() -> None:
    told = {"d0": busy(300, 30), "host": busy(200, 30), "meter": busy(460, 30)}
    assert keys(a_site(count=1), told, SMART_METER_PPM) == {"overhead_low"}
    honest = told | {"meter": busy(525, 30)}
    assert keys(a_site(count=1), honest, SMART_METER_PPM) == set()


def test_a_wide_claim_of_uncertainty_loosens_the_bounds_and_no_more_than_that() -> None:
    told = {"d0": busy(5, 30), "host": busy(200, 30)}
    assert keys(a_site(count=1), told, 20_000) == {"idle_low"}
    assert keys(a_site(count=1), told, 200_000) == set()


def test_a_declared_overhead_below_what_its_cooling_can_do_is_found() -> None:
    low = declared_findings(a_site(overhead_ppm=1_010_000))
    assert [finding.key for finding in low] == ["overhead_declared_low"]
    assert low[0].text == "s-1 declares an overhead of 1010000 ppm; cooling of kind air needs 1040000 ppm"
    assert declared_findings(a_site(overhead_ppm=1_080_000)) == ()
    assert declared_findings(a_site(cooling="room", overhead_ppm=1_000_000), wet_bulb_c=40.0) == ()


@given(st.sampled_from(["air", "evaporative", "direct_to_chip", "immersion", "room"]), st.floats(-40, 40))
def test_heat_makes_the_least_overhead_larger_never_smaller(cooling: str, wet_bulb_c: float) -> None:
    assert 1.0 <= overhead_least(cooling) <= overhead_least(cooling, wet_bulb_c) < 1.1


def test_every_coefficient_says_where_it_comes_from() -> None:
    for one in coefficients().values():
        assert one.source
        assert one.why
        assert one.unit
        assert 1970 < one.dated <= 2026
        assert one.quality in set(Quality)


def test_nothing_is_found_in_nothing() -> None:
    assert reading_findings(a_site(), []) == ()


@pytest.mark.parametrize("device", ["d0", "host"])
def test_findings_say_what_and_how_much(device: str) -> None:
    told = {"d0": busy(300), "host": busy(100)} | {device: busy(0)}
    found = reading_findings(a_site(count=1), batches(told, 20_000))
    assert [finding.figures["site"] for finding in found] == ["s-1"]
    assert "300 s and counted 0 J" in found[0].text
