"""Fixed pieces of work that depend on the machine only, so that figures of two machines can be compared."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import numpy as np

MATRIX = 768
SORTED = 1_000_000
ROUNDS = 5


def calibrate(rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of a fixed matrix product and of a fixed sort, each the best of some rounds."""
    draw = np.random.default_rng(0)
    matrix = draw.random((MATRIX, MATRIX))
    numbers = draw.random(SORTED).tolist()
    return {
        "calibration_matrix_s": best_s(lambda: matrix @ matrix, rounds),
        "calibration_sort_s": best_s(lambda: sorted(numbers), rounds),
    }


def best_s(work: Callable[[], object], rounds: int) -> float:
    """Least wall time of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def stay_on_one_core() -> bool:
    """Bind this process to one of its cores; false where the system has no way to."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return True


if __name__ == "__main__":
    print(json.dumps({"one_core": stay_on_one_core()} | calibrate()))
