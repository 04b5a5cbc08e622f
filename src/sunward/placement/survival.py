"""How much of a planned stretch a job will use whose length is not known exactly.

The only thing ever seen of such a job is that it has not ended yet. So a plan for it is one path through time, and what
happens on it counts by the probability that the job still runs then. The figures are float64; what a plan reports is
rounded once, where it is priced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sunward import units
from sunward.world.outlook import HELD_PPM
from sunward.world.snapshot import FloatArray, IntArray, Lengths


@dataclass(frozen=True, slots=True, eq=False)
class Survival:
    """Probability that a job still runs after more run time on the reference GPU."""

    ends_ms: FloatArray
    """(N + 1,) zero, then the possible run times."""
    alive: FloatArray
    """(N + 1,) probability of running longer than each."""
    mean_ms: FloatArray
    """(N + 1,) mean run time up to each: the integral of the probability."""

    def alive_after(self, run_ms: FloatArray) -> FloatArray:
        """Probability that the job runs longer."""
        after: FloatArray = self.alive[np.searchsorted(self.ends_ms, run_ms, side="right") - 1]
        return after

    def mean_until(self, run_ms: FloatArray) -> FloatArray:
        """Mean run time of the job up to a limit."""
        mean: FloatArray = np.interp(run_ms, self.ends_ms, self.mean_ms)
        return mean

    def held_ms(self, done_ms: float, lost_ms: IntArray | int, rate_ppm: int, time_ms: IntArray) -> FloatArray:
        """Mean time that a run holds its containers within `time_ms` of its start.

        The run begins after `done_ms` of work and first loses `lost_ms`, in which no job ends.
        """
        rate = rate_ppm / units.PPM
        done = np.asarray(done_ms, np.float64)
        lost = np.clip(time_ms, 0, lost_ms)
        worked = np.maximum(time_ms - lost_ms, 0) * rate
        held: FloatArray = (
            self.alive_after(done) * lost + (self.mean_until(done + worked) - self.mean_until(done)) / rate
        )
        return held


def survival_of(lengths: Lengths | None) -> Survival | None:
    """None where the length is known, or certain."""
    if lengths is None or len(lengths.remaining_ms) == 1:
        return None
    ends = np.array((0, *lengths.remaining_ms), dtype=np.float64)
    ended_ppm = np.cumsum(np.array((0, *lengths.weight_ppm), dtype=np.int64))
    alive = (units.PPM - ended_ppm) / units.PPM
    mean = np.concatenate(([0.0], np.cumsum(alive[:-1] * np.diff(ends))))
    return Survival(ends, alive, mean)


def promised_ms(lengths: Lengths) -> int:
    """The shortest run time that the job exceeds with no more than the probability its promise leaves.

    Where no promise is stated, room is held as for one that others get by default.
    """
    ended_ppm = np.cumsum(np.array(lengths.weight_ppm, dtype=np.int64))
    wanted_ppm = min(lengths.promise_ppm or HELD_PPM, int(ended_ppm[-1]))
    return lengths.remaining_ms[int(np.searchsorted(ended_ppm, wanted_ppm))]
