"""Learns, from the past alone, how hours ahead follow from hours gone; many zones at once.

For every zone and every hour of the horizon a ridge regression, whose coefficients are drawn towards those that fit all
zones together, and those towards repeating the mean day of the last week. Sums of products are kept, so learning a
further week costs that week alone. How far forecasts were off, and how far they are to be trusted over that mean day,
is taken from issues whose hours the coefficients of their time had not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sunward.errors import InputError
from sunward.signals.forecast.near import CHOSEN_H, FIGURES, NOBODY, IntArray, beside, choose, nobody, states
from sunward.signals.forecast.rows import (
    CLIP,
    COLUMNS,
    DAY_H,
    SHARED,
    Float32Array,
    Float64Array,
    Known,
    Rows,
    rows,
    teaches,
    without_holes,
)
from sunward.signals.forecast.spread import Misses, Trust, Widths

HORIZON_H = 192
"""A week, and a day more: a job of a day that may wait a week."""
CHUNK_H = 28 * DAY_H
"""Rows learnt at once, between two looks at how far forecasts were off."""
SHARE = 0.2
"""Weight of the rows of a mean zone in every zone's own coefficients."""
RIDGE = 30.0
OWN_RIDGE = 300.0
"""Of the calendar and of other zones, which no two zones share."""
ALL_COLUMNS = COLUMNS + FIGURES
ROWS_LEAST = 14 * DAY_H
"""Of all zones together, before which nothing is learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Forecasts of many zones, one for every issue hour.

    Shapes: p10, p50, p90 float32 (zones, issues, horizon), learnt bool (zones, issues); hours count from 1970 UTC, and
    figure h of issue i is of the hour `first_issue + i + h`. Where nothing was learnt the figures are the mean of the
    zone's last days, and 0 where nothing is known at all.
    """

    first_issue: int
    p10: Float32Array
    p50: Float32Array
    p90: Float32Array
    learnt: np.typing.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What was learnt up to a moment; applying it is a matrix product a zone.

    Shapes: weights float32 (zones, columns, horizon), near int (zones, NEAR), shifts_h (zones,).
    """

    learnt_to: int
    """The first hour that nothing was learnt from."""
    weights: Float32Array | None
    near: IntArray
    """Rows of the series of other zones that each zone's forecast looks at."""
    widths: Widths
    shifts_h: tuple[int, ...]
    horizon: int
    lowest: float

    def of(self, zone: int) -> Model:
        """The part that is about one zone: it is handed the series of the zone, then those of `beside(zone)`."""
        weights = None if self.weights is None else self.weights[zone : zone + 1]
        near = self.near[zone : zone + 1]
        near = np.where(near >= 0, np.cumsum(near >= 0, axis=1), NOBODY)
        widths, shifts_h = self.widths.of(zone), self.shifts_h[zone : zone + 1]
        return replace(self, weights=weights, near=near, widths=widths, shifts_h=shifts_h)

    def beside(self, zone: int) -> tuple[int, ...]:
        """The other zones that a zone's forecast looks at."""
        return tuple(int(one) for one in self.near[zone] if one >= 0)

    def predict(self, history: Float64Array, first_hour: int, issue_hour: int) -> Bands:
        """The forecast that begins with `issue_hour`, from hours before it; late hours may be missing.

        Shapes: (zones, hours), NaN where unknown. Raises: InputError for a history that holds the issue hour or later.
        """
        late = issue_hour - first_hour - history.shape[1]
        if late < 0:
            raise InputError(f"a forecast of hour {issue_hour} was handed {-late} h of its own future; cut them off")
        padded = np.pad(history, ((0, 0), (0, late)), constant_values=np.nan)
        return self.predict_many(padded, first_hour, range(issue_hour, issue_hour + 1))

    def predict_many(self, values: Float64Array, first_hour: int, issues: range) -> Bands:
        """Forecasts that begin with each hour of `issues`, each from hours before it alone.

        Shapes: values (zones or more, hours) from `first_hour`, at least up to the last issue; the last issue and what
        follows are not looked at, and rows beyond the zones of the model only where a zone looks at others.
        Raises: InputError where the values end too soon or the model has learnt of an issue's hours.
        """
        if self.learnt_to > issues.start:
            raise InputError(f"the model has learnt up to hour {self.learnt_to} and may not forecast {issues.start}")
        end = issues.stop - 1 - first_hour
        if (
            values.shape[1] < end
            or len(values) <= max(len(self.shifts_h) - 1, self.near.max())
            or issues.start < first_hour
        ):
            raise InputError("forecasts need a series of every zone up to the last issue; hand in all of it")
        shape = (len(self.shifts_h), len(issues), self.horizon)
        p10, p50, p90 = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        learnt = np.zeros(shape[:2], dtype=np.bool_)
        told = states(values, issues.start - first_hour, issues.stop - first_hour)
        for zone in range(len(self.shifts_h)):
            known = without_holes(values[zone, :end])
            found = rows(known, first_hour, self.shifts_h[zone], issues.start - first_hour, issues.stop - first_hour)
            learnt[zone] = found.ready & (self.weights is not None)
            figures = np.concatenate([clipped(found.x), beside(told, self.near[zone])], axis=1)
            p50[zone] = np.maximum(self._centre(zone, found, figures, learnt[zone]), self.lowest)
            below, above = self.widths.around(zone, issues, self.shifts_h[zone])
            spread = found.spread[:, None].astype(np.float32)
            p10[zone] = np.maximum(p50[zone] - spread * below, self.lowest)
            p90[zone] = p50[zone] + spread * above
        return Bands(first_issue=issues.start, p10=p10, p50=p50, p90=p90, learnt=learnt)

    def _centre(
        self, zone: int, found: Rows, figures: Float32Array, learnt: np.typing.NDArray[np.bool_]
    ) -> Float64Array:
        """What is expected; the mean of the last days where nothing is learnt."""
        days = np.tile(found.x[:, DAY_H : 2 * DAY_H], (1, -(-self.horizon // DAY_H)))[:, : self.horizon]
        if self.weights is not None:
            days = np.where(learnt[:, None], figures @ self.weights[zone], days)
        result: Float64Array = days * found.spread[:, None] + found.level[:, None]
        return result


def clipped(figures: Float32Array) -> Float32Array:
    """Figures no further out than `CLIP`."""
    return np.clip(figures, -CLIP, CLIP)


class Learner:
    """Keeps what models are made of. Zones that have no history yet are learnt once they have."""

    def __init__(
        self, zones: int, horizon: int = HORIZON_H, shifts_h: Sequence[int] = (), lowest: float = -np.inf
    ) -> None:
        self.horizon = horizon
        self.lowest = lowest
        self.shifts_h = tuple(shifts_h) or (0,) * zones
        self._gram = np.zeros((zones, ALL_COLUMNS, ALL_COLUMNS))
        self._cross = np.zeros((zones, ALL_COLUMNS, horizon))
        self._count = np.zeros(zones, dtype=np.int64)
        self._near = nobody(zones)
        self._plain = _mean_day(horizon).astype(np.float32)
        self._misses = Misses(zones, horizon)
        self._trust = Trust(zones, horizon)
        self._next: int | None = None
        self._learnt_to = 0

    def learn(self, history: Float64Array, first_hour: int) -> None:
        """Take in what a history tells beyond what was taken in before; all of it counts as past.

        Shapes: (zones, hours) from `first_hour` (hours since 1970 UTC), NaN where unknown. A later call may leave off
        the beginning, as long as it keeps what rows not yet learnt look back at. Whom a zone looks at is chosen once,
        from the first history that is long enough.
        Raises: InputError for a history of other zones.
        """
        if history.shape[0] != len(self.shifts_h):
            raise InputError(f"{len(self.shifts_h)} zones are learnt, and a history of {history.shape[0]} came")
        if history.shape[1] >= CHOSEN_H and (self._near == NOBODY).all():
            self._near = choose(history)
        start = first_hour if self._next is None else self._next
        stop = first_hour + history.shape[1] - self.horizon + 1
        for begin in range(start, stop, CHUNK_H):
            self._take(history, first_hour, range(begin, min(begin + CHUNK_H, stop)))
        self._next = max(start, stop)
        self._learnt_to = first_hour + history.shape[1]

    def model(self) -> Model:
        """What is known by now, ready to be applied."""
        return Model(
            learnt_to=self._learnt_to,
            weights=self._trusted(),
            near=self._near,
            widths=self._misses.widths(),
            shifts_h=self.shifts_h,
            horizon=self.horizon,
            lowest=self.lowest,
        )

    def _take(self, history: Float64Array, first_hour: int, hours: range) -> None:
        weights, trust = self._weights() if len(hours) > self.horizon else None, self._trust.shares()
        start, stop = hours.start - first_hour, hours.stop - first_hour
        told = states(history[:, : stop - 1], start, stop)
        for zone, shift_h in enumerate(self.shifts_h):
            known = without_holes(history[zone, : stop + self.horizon - 1])
            good = teaches(known, start, stop, self.horizon)
            if not good.any():
                continue
            found = rows(known, first_hour, shift_h, start, stop)
            x = np.concatenate([clipped(found.x), beside(told, self._near[zone])], axis=1)
            y = _targets(known, found, start, stop, self.horizon)
            if weights is not None:
                # The coefficients have seen hours up to a horizon into this stretch.
                fresh = np.flatnonzero(good[self.horizon :])[:: Misses.STEP] + self.horizon
                learnt, plain = x[fresh] @ weights[zone], x[fresh, :SHARED] @ self._plain
                self._misses.add(
                    zone, y[fresh] - (plain + trust[zone] * (learnt - plain)), hours.start + fresh + shift_h
                )
                self._trust.add(zone, learnt - plain, y[fresh] - plain)
            x, y = x[good], y[good]
            self._gram[zone] += x.T @ x
            self._cross[zone] += x.T @ y
            self._count[zone] += len(x)

    def _trusted(self) -> Float32Array | None:
        """Coefficients, as far as they have proved better than repeating the mean day of the last week."""
        weights = self._weights()
        if weights is None:
            return None
        share = self._trust.shares()[:, None, :]
        weights *= share
        weights[:, :SHARED] += (1 - share) * self._plain
        return weights

    def _weights(self) -> Float32Array | None:
        """Coefficients of every zone; None while there is too little to learn from."""
        taught = int(np.count_nonzero(self._count))
        if self._count.sum() < ROWS_LEAST:
            return None
        gram = self._gram[:, :SHARED, :SHARED].sum(axis=0) / taught
        cross = self._cross[:, :SHARED].sum(axis=0) / taught + RIDGE * self._plain
        common = np.linalg.solve(gram + RIDGE * np.eye(SHARED), cross)
        pull = np.diag(np.where(np.arange(ALL_COLUMNS) < SHARED, RIDGE, OWN_RIDGE))
        pull[:SHARED, :SHARED] += SHARE * gram
        towards = pull[:, :SHARED] @ common
        solved = [
            np.linalg.solve(one + pull, other + towards) for one, other in zip(self._gram, self._cross, strict=True)
        ]
        return np.stack(solved).astype(np.float32)


def rolling(
    values: Float64Array,
    first_hour: int,
    issues: range,
    *,
    horizon: int = HORIZON_H,
    refit_h: int = CHUNK_H,
    shifts_h: Sequence[int] = (),
    lowest: float = -np.inf,
) -> Iterator[Bands]:
    """Forecasts issued at every hour of `issues`, in blocks of `refit_h`, learnt anew before each block from its past.

    Shapes: values (zones, hours) from `first_hour`, NaN where unknown; hours count from 1970 UTC.
    """
    learner = Learner(len(values), horizon, shifts_h, lowest)
    for start in range(issues.start, issues.stop, refit_h):
        learner.learn(values[:, : start - first_hour], first_hour)
        stop = min(start + refit_h, issues.stop)
        yield learner.model().predict_many(values[:, : stop - 1 - first_hour], first_hour, range(start, stop))


def _mean_day(horizon: int) -> Float64Array:
    """The coefficients that repeat the mean day of the last week: what little data is drawn to.

    Shapes: (shared columns, horizon).
    """
    ahead = np.arange(horizon)
    weights = np.zeros((SHARED, horizon))
    weights[DAY_H + ahead % DAY_H, ahead] = 1.0
    return weights


def _targets(known: Known, found: Rows, start: int, stop: int, horizon: int) -> Float32Array:
    """The hours that followed each row, relative as the row is.

    Shapes: (rows, horizon).
    """
    ahead = np.lib.stride_tricks.sliding_window_view(known.values, horizon)[start:stop]
    return clipped(((ahead - found.level[:, None]) / found.spread[:, None]).astype(np.float32))
