"""What is learnt comes from the past alone, and says where nothing could be learnt."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sunward.errors import InputError
from sunward.signals.forecast.learner import CHUNK_H, Learner, rolling
from sunward.signals.forecast.rows import DAY_H, without_holes

FIRST = 447_072
HORIZON = 48
DAYS = 90


def series(zones: int = 3, days: int = DAYS, seed: int = 1) -> NDArray[np.float64]:
    """Days with a shape of their own in each zone, and weather that lasts a day or so."""
    draw = np.random.default_rng(seed)
    hours = np.arange(days * DAY_H)
    made = []
    for zone in range(zones):
        noise = np.zeros(len(hours))
        for hour in range(1, len(hours)):
            noise[hour] = 0.95 * noise[hour - 1] + draw.normal(0, 4)
        made.append(300.0 + 60 * np.cos((hours + 5 * zone) * 2 * np.pi / DAY_H) + noise)
    return np.array(made)


def last_forecast(values: NDArray[np.float64]) -> NDArray[np.float32]:
    learner = Learner(len(values), HORIZON)
    learner.learn(values, FIRST)
    issue = FIRST + values.shape[1]
    return learner.model().predict(values, FIRST, issue).p50[:, 0]


def test_a_history_that_holds_the_issue_hour_is_refused() -> None:
    values = series()
    learner = Learner(3, HORIZON)
    learner.learn(values[:, :-1], FIRST)
    with pytest.raises(InputError, match="1 h of its own future"):
        learner.model().predict(values, FIRST, FIRST + values.shape[1] - 1)


def test_a_model_that_has_learnt_of_an_hour_does_not_forecast_it() -> None:
    values = series()
    learner = Learner(3, HORIZON)
    learner.learn(values, FIRST)
    early = FIRST + values.shape[1] - 24
    with pytest.raises(InputError, match="has learnt up to"):
        learner.model().predict_many(values, FIRST, range(early, early + 24))


def test_values_planted_in_the_future_change_no_forecast() -> None:
    values = series()
    begin = FIRST + (DAYS - 20) * DAY_H
    issues = range(begin, begin + 15 * DAY_H)
    planted = values.copy()
    told = begin + 6 * DAY_H
    planted[:, told - FIRST :] = -1e6
    true = list(rolling(values, FIRST, issues, horizon=HORIZON, refit_h=5 * DAY_H))
    false = list(rolling(planted, FIRST, issues, horizon=HORIZON, refit_h=5 * DAY_H))
    seen = [np.concatenate([block.p50 for block in blocks], axis=1) for blocks in (true, false)]
    until = told - begin + 1
    assert np.array_equal(seen[0][:, :until], seen[1][:, :until])
    assert not np.array_equal(seen[0][:, until], seen[1][:, until])


def test_one_issue_is_what_many_issues_hold_of_it() -> None:
    values = series()
    learner = Learner(3, HORIZON)
    cut = values.shape[1] - 72
    learner.learn(values[:, :cut], FIRST)
    model = learner.model()
    many = model.predict_many(values, FIRST, range(FIRST + cut, FIRST + cut + 72))
    one = model.predict(values[:, : cut + 30], FIRST, FIRST + cut + 30)
    for name in ("p10", "p50", "p90"):
        assert np.allclose(getattr(many, name)[:, 30], getattr(one, name)[:, 0], rtol=1e-5, atol=1e-3)


def test_learning_in_parts_is_learning_at_once() -> None:
    values = series()
    parts, whole = Learner(3, HORIZON), Learner(3, HORIZON)
    stretches = [count * CHUNK_H + HORIZON - 1 for count in (1, 2, 3)]
    for hours in stretches:
        parts.learn(values[:, :hours], FIRST)
    whole.learn(values[:, : stretches[-1]], FIRST)
    issue = FIRST + values.shape[1]
    found = [one.model().predict(values, FIRST, issue).p50 for one in (parts, whole)]
    assert np.allclose(*found, rtol=1e-3)


def test_it_is_nearer_than_yesterday_and_its_bands_hold_eight_of_ten() -> None:
    values = series(days=200)
    begin = FIRST + 120 * DAY_H
    off, naive, held = [], [], []
    for block in rolling(values, FIRST, range(begin, begin + 70 * DAY_H), horizon=HORIZON):
        for issue in range(block.p50.shape[1]):
            at = block.first_issue - FIRST + issue
            true = values[:, at : at + HORIZON]
            off.append(np.abs(block.p50[:, issue] - true))
            naive.append(np.abs(np.tile(values[:, at - DAY_H : at], 2) - true))
            held.append((block.p10[:, issue] <= true) & (true <= block.p90[:, issue]))
    assert np.mean(off) < 0.8 * np.mean(naive)
    assert 0.72 < np.mean(held) < 0.88


def test_a_flat_zone_stays_flat_and_an_unknown_one_says_so() -> None:
    values = series()
    values[1] = 42.0
    values[2] = np.nan
    learner = Learner(3, HORIZON)
    learner.learn(values, FIRST)
    bands = learner.model().predict(values, FIRST, FIRST + values.shape[1])
    assert np.allclose(bands.p50[1], 42.0, atol=0.5)
    assert bands.learnt[:, 0].tolist() == [True, True, False]
    assert not bands.p50[2].any()


def test_a_zone_of_three_days_repeats_their_mean_day() -> None:
    values = series()
    values[0, : -3 * DAY_H] = np.nan
    learner = Learner(3, HORIZON)
    learner.learn(values, FIRST)
    bands = learner.model().predict(values, FIRST, FIRST + values.shape[1])
    assert not bands.learnt[0, 0]
    assert np.allclose(bands.p50[0, 0, :DAY_H], values[0, -3 * DAY_H :].reshape(3, DAY_H).mean(axis=0), rtol=1e-4)


def test_an_hour_of_the_day_not_seen_yet_is_expected_to_be_as_those_seen() -> None:
    values = series()
    values[0, :-5] = np.nan
    learner = Learner(3, HORIZON)
    learner.learn(values, FIRST)
    expected = learner.model().predict(values, FIRST, FIRST + values.shape[1]).p50[0, 0]
    assert np.allclose(expected[: DAY_H - 5], values[0, -5:].mean(), rtol=1e-4)
    assert np.allclose(expected[DAY_H - 5 : DAY_H], values[0, -5:], rtol=1e-4)


def test_holes_are_filled_from_the_past() -> None:
    values = series(1)[0]
    values[[100, 101, 130]] = np.nan
    known = without_holes(values)
    assert known.values[[100, 101]].tolist() == values[[76, 77]].tolist()
    assert known.missing.sum() == 3
    holed = values[None]
    assert np.isfinite(last_forecast(holed)).all()


def test_late_hours_are_bridged() -> None:
    values = series()
    learner = Learner(3, HORIZON)
    learner.learn(values, FIRST)
    issue = FIRST + values.shape[1] + 3
    assert learner.model().predict(values, FIRST, issue).p50.shape == (3, 1, HORIZON)


def test_other_zones_are_refused() -> None:
    with pytest.raises(InputError, match="3 zones are learnt"):
        Learner(3, HORIZON).learn(series(2), FIRST)


def test_a_short_past_is_not_trusted_beyond_the_mean_day() -> None:
    values = series(1, days=30)
    learner = Learner(1, HORIZON)
    learner.learn(values, FIRST)
    told = learner.model().predict(values, FIRST, FIRST + values.shape[1]).p50[0, 0]
    mean_day = values[0, -7 * DAY_H :].reshape(7, DAY_H).mean(axis=0)
    assert np.allclose(told, np.tile(mean_day, 2), rtol=1e-4)
