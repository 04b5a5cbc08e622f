"""One dated series of one zone: values with unit, source and quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sunward.errors import InputError
from sunward.model.datum import SeriesKind

if TYPE_CHECKING:
    from sunward.model.datum import Quality
    from sunward.model.identity import ZoneId

UNITS = {
    SeriesKind.CARBON_AVERAGE_LIFECYCLE: "mgCO2e/kWh",
    SeriesKind.CARBON_AVERAGE_DIRECT: "mgCO2e/kWh",
    SeriesKind.CARBON_MARGINAL: "mgCO2e/kWh",
    SeriesKind.PRICE: "micro-USD/kWh",
    SeriesKind.WET_BULB: "m°C",
}
"""The one unit each kind of series is held in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Equally spaced integers; value i holds on [start_ms + i*step_ms, start_ms + (i+1)*step_ms).

    Shapes: values int64 (steps,), at least one; made read-only.
    Raises: InputError for an empty or ill-shaped series or a step that is not positive.
    """

    zone: ZoneId
    kind: SeriesKind
    start_ms: int
    step_ms: int
    values: npt.NDArray[np.int64]
    unit: str
    source: str
    quality: Quality

    def __post_init__(self) -> None:
        """Refuse what no series can be."""
        if self.values.ndim != 1 or not len(self.values) or self.step_ms <= 0:
            raise InputError(f"series {self.kind} of {self.zone}: needs a row of values and a step above 0 ms")
        if self.unit != UNITS[self.kind]:
            raise InputError(f"series {self.kind} of {self.zone}: unit is {self.unit}, must be {UNITS[self.kind]}")
        held = np.array(self.values, dtype=np.int64)
        held.setflags(write=False)
        object.__setattr__(self, "values", held)

    @property
    def end_ms(self) -> int:
        """The first instant after the series."""
        return self.start_ms + len(self.values) * self.step_ms

    def at(self, t_ms: int) -> int:
        """The value that holds at an instant.

        Raises: InputError outside [start_ms, end_ms); a series is never extended.
        """
        if not self.start_ms <= t_ms < self.end_ms:
            raise InputError(f"{self._label()}: nothing known at {t_ms} ms")
        return int(self.values[(t_ms - self.start_ms) // self.step_ms])

    def window(self, start_ms: int, end_ms: int) -> Series:
        """The part that covers [start_ms, end_ms), widened to whole steps.

        Raises: InputError for an empty interval or one that leaves the series.
        """
        if not self.start_ms <= start_ms < end_ms <= self.end_ms:
            raise InputError(f"{self._label()}: does not hold [{start_ms}, {end_ms}) ms")
        first = (start_ms - self.start_ms) // self.step_ms
        last = -((self.start_ms - end_ms) // self.step_ms)
        return Series(
            zone=self.zone,
            kind=self.kind,
            start_ms=self.start_ms + first * self.step_ms,
            step_ms=self.step_ms,
            values=self.values[first:last],
            unit=self.unit,
            source=self.source,
            quality=self.quality,
        )

    def _label(self) -> str:
        return f"series {self.kind} of {self.zone} covers [{self.start_ms}, {self.end_ms}) ms"
