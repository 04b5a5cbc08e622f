from dataclasses import replace

from sunward.model.events import NetworkStarted
from sunward.model.plan import PolicyInputs
from sunward.settlement.offset import next_share_bps

RULES = NetworkStarted(network="n", policy=PolicyInputs(), epoch_ms=1)


def share(rules, present, liability, held, flow, rate=1):
    return next_share_bps(
        rules,
        present,
        liability_mg=liability,
        held_wei=held,
        forecast_flow_wei=flow,
        wei_per_usd_micro=rate,
    )


def test_share_by_hand():
    # 2 t at 100 USD/t and 10 % margin = 220 USD = 220,000,000 µUSD; rate 5 → 1.1e9 wei; 0.1e9 held → 1e9 missing.
    # Flow 5e10 wei → 2 % = 200 bps; from 170 that is one step of at most 50.
    assert share(RULES, 170, 2 * 10**9, 100_000_000, 50_000_000_000, 5) == 200


def test_share_rounds_up_in_favour_of_cover():
    # 1 mg: 100 USD/t · 1.1 = 1.1e-7 USD = 0.11 µUSD → 1 wei at rate 1; over a flow of 9,999 wei → 2 bps.
    rules = replace(RULES, offset_floor_bps=0)
    assert share(rules, 0, 1, 0, 9_999) == 2


def test_steps_bound_every_move():
    assert share(RULES, 100, 10**12, 0, 1) == 150
    assert share(RULES, 480, 10**12, 0, 1) == 500
    assert share(RULES, 300, 0, 0, 1) == 250
    assert share(RULES, 60, 0, 0, 1) == 50


def test_no_flow_means_ceiling_with_a_deficit_and_floor_without():
    assert share(RULES, 470, 1, 0, 0) == 500
    assert share(RULES, 70, 1, 1, 0) == 50


def test_a_share_outside_the_bounds_comes_back_by_steps():
    assert share(RULES, 900, 0, 0, 1) == 850
    assert share(RULES, 0, 0, 0, 1) == 50
