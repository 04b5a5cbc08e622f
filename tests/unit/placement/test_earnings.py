from __future__ import annotations

import pytest

from sunward.errors import InputError
from sunward.placement.earnings import DEMANDS, HOURS_PER_MONTH, estimate, suggested_ask
from sunward.signals import zones
from sunward.world import catalogue

GPU = catalogue.load().gpu("RTX4090")


@pytest.mark.parametrize("zone", ["KR", "NO-NO1", "PL", "AU-SA"])
def test_money_and_hours_hold_together(zone: str) -> None:
    found = estimate(GPU, zone, ask_usd_per_gpu_h=0.5, overhead=1.2, price_usd_per_kwh=0.2)
    assert [case.demand_frac for case in found.cases] == list(DEMANDS)
    hours = [case.leased_h for case in found.cases]
    assert hours == sorted(hours)
    assert 0 <= hours[0] <= hours[-1] <= HOURS_PER_MONTH
    for case in found.cases:
        assert case.earned_usd == pytest.approx(case.leased_h * 0.5 * 0.99 * 0.8)
        slept_h = HOURS_PER_MONTH - case.leased_h
        kwh = (case.leased_h * found.busy_w + slept_h * found.asleep_w) / 1000
        assert case.power_usd == pytest.approx(kwh * 0.2)
        assert case.net_usd == case.earned_usd - case.power_usd


def test_at_the_breaking_even_ask_leased_hours_pay_their_power() -> None:
    ask = estimate(GPU, "KR", ask_usd_per_gpu_h=1.0, price_usd_per_kwh=0.3).break_even_usd_per_gpu_h
    case = estimate(GPU, "KR", ask_usd_per_gpu_h=ask, price_usd_per_kwh=0.3).cases[-1]
    asleep_usd = (HOURS_PER_MONTH - case.leased_h) * GPU.host_w_asleep / 1000 * 0.3
    assert case.leased_h > 0
    assert case.net_usd == pytest.approx(-asleep_usd)


def test_the_hours_leased_over_all_zones_are_what_was_assumed() -> None:
    """With the same GPU everywhere, each level of demand is met by just that share of all hours."""
    names = [zone.zone for zone in zones.load().zones]
    leased = [estimate(GPU, name, ask_usd_per_gpu_h=0.5).cases[1].leased_h for name in names]
    assert sum(leased) / len(names) / HOURS_PER_MONTH == pytest.approx(DEMANDS[1], abs=0.02)


def test_a_dirtier_grid_earns_less_when_carbon_counts() -> None:
    def middling(zone: str, carbon_usd_per_t: float) -> float:
        return estimate(GPU, zone, ask_usd_per_gpu_h=0.5, carbon_usd_per_t=carbon_usd_per_t).cases[1].leased_h

    assert middling("PL", 5_000) <= middling("PL", 0)
    assert middling("NO-NO1", 5_000) >= middling("NO-NO1", 0)


def test_an_ask_nobody_names_follows_the_speed() -> None:
    known = catalogue.load()
    assert suggested_ask(known.gpu("A100-SXM-80GB")) == pytest.approx(0.9)
    assert suggested_ask(known.gpu("H100-SXM")) > suggested_ask(GPU) > suggested_ask(known.gpu("T4"))


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(InputError, match="unknown grid zone"):
        estimate(GPU, "ZZ", ask_usd_per_gpu_h=1.0)
