"""A zone looks at those others that tell of its next hours, and at nobody's future."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sunward.signals.forecast.learner import Learner
from sunward.signals.forecast.near import CHOSEN_H, NEAR, NOBODY, beside, choose, nobody, states
from sunward.signals.forecast.rows import DAY_H

FIRST = 447_072
LATER_H = 4
HORIZON = 24


def led(zones: int = 4, seed: int = 2) -> NDArray[np.float64]:
    """Weather of each zone on its own, but that of the last one is the first one's, some hours later."""
    draw = np.random.default_rng(seed)
    hours = CHOSEN_H + 60 * DAY_H
    made = np.zeros((zones, hours))
    pushes = draw.normal(0, 4, made.shape)
    for hour in range(1, hours):
        made[:, hour] = 0.95 * made[:, hour - 1] + pushes[:, hour]
    made[-1, LATER_H:] = made[0, :-LATER_H] + draw.normal(0, 1, hours - LATER_H)
    daily = 40 * np.cos(np.arange(hours) * 2 * np.pi / DAY_H)
    result: NDArray[np.float64] = 300.0 + daily + made
    return result


def test_the_zone_that_leads_is_looked_at_first() -> None:
    found = choose(led())
    assert found[-1, 0] == 0
    assert all(zone not in found[zone] for zone in range(4))
    assert (found[:, 3:] == NOBODY).all()


def test_zones_of_one_series_and_flat_ones_are_borne() -> None:
    values = led()
    values[1] = values[0]
    values[2] = np.nan
    found = choose(values)
    assert 2 not in found[[0, 1, 3]]
    assert (found[2] == NOBODY).all()


def test_states_are_of_the_past_alone() -> None:
    values = led()
    planted = values.copy()
    planted[:, 1_000:] = 1e6
    assert np.array_equal(states(values, 900, 1_001), states(planted, 900, 1_001))
    assert not np.array_equal(states(values, 900, 1_002), states(planted, 900, 1_002))


def test_a_part_of_the_hours_is_what_all_hours_hold_of_it() -> None:
    values = led()
    whole = states(values, 0, values.shape[1] + 1)
    assert np.allclose(whole[:, 2_000:2_100], states(values, 2_000, 2_100), atol=1e-4)


def test_nobody_tells_nothing() -> None:
    told = np.ones((2, 3, 2), dtype=np.float32)
    assert not beside(told, nobody(2)[0]).any()
    assert beside(told, np.array([1] + [NOBODY] * (NEAR - 1))).sum() == 6


def test_forecasts_gain_by_it_and_are_the_same_for_one_zone() -> None:
    values, cut = led(), CHOSEN_H + 30 * DAY_H
    issues = range(FIRST + cut, FIRST + cut + 20 * DAY_H)
    off = {}
    for name, of in (("alone", values[-1:]), ("beside", values)):
        learner = Learner(len(of), HORIZON)
        learner.learn(of[:, :cut], FIRST)
        made = learner.model().predict_many(of, FIRST, issues).p50[-1]
        true = np.lib.stride_tricks.sliding_window_view(values[-1], LATER_H)[cut : cut + 20 * DAY_H]
        off[name] = np.abs(made[:, :LATER_H] - true).mean()
    assert off["beside"] < 0.8 * off["alone"]
    model = learner.model()
    seen = values[[3, *model.beside(3)], :cut]
    one = model.of(3).predict(seen, FIRST, FIRST + cut)
    assert np.allclose(one.p50[0, 0], model.predict(values[:, :cut], FIRST, FIRST + cut).p50[3, 0], rtol=1e-4)
