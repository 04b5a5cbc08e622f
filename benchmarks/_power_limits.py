"""Measured power limits: what each training workload of the Zeus study did under each of them.

A workload is a GPU model, a data set, a network, a batch size and an optimizer. Data: `gpu/zeus_power_limit.parquet`
(ml-energy/zeus, NSDI 2023, Apache-2.0), the board's average power and the time of an epoch.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sunward.errors import InputError

MEASURED = Path(os.environ.get("SUNWARD_DATA", "../shared")) / "data" / "gpu" / "zeus_power_limit.parquet"
PUBLISHED = {"V100": 0.148, "A40": 0.143, "P100": 0.103, "RTX6000": 0.153}
"""Mean saving of the limit with least energy at most 10 % slower (BENCH B7)."""
SLOWDOWN = 0.1
WORKLOADS_MIN = 10
"""Fewer other workloads at a limit are no distribution."""
SURE = 0.1
"""As in the catalogue: nine workloads of ten are no slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One power limit, over the highest one."""

    limit_w: int
    rate: float
    power: float

    @property
    def energy(self) -> float:
        """Of the same work."""
        return self.power / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One workload under all limits that were measured."""

    gpu: str
    task: tuple[str, str]
    """Data set and network."""
    top_w: float
    """Board power at the highest limit."""
    points: tuple[Point, ...]
    """From the highest limit to the lowest."""

    def near(self, share: float) -> tuple[float, float] | None:
        """Rate and power at a share of the highest limit, between those measured; None outside of them."""
        rising = self.points[::-1]
        shares = [point.limit_w / self.points[0].limit_w for point in rising]
        if share < shares[0]:
            return None
        rate = np.interp(share, shares, [point.rate for point in rising])
        return float(rate), float(np.interp(share, shares, [point.power for point in rising]))

    def at(self, limit_w: int) -> Point:
        """What it does under a limit."""
        return next(point for point in self.points if point.limit_w == limit_w)


def workloads(path: Path = MEASURED) -> list[Workload]:
    """All that were measured, in order.

    Raises: InputError without the file.
    """
    if not path.exists():
        raise InputError(f"no {path}; set SUNWARD_DATA to the folder that holds data/")
    runs: dict[tuple[str, ...], dict[int, tuple[float, float]]] = defaultdict(dict)
    for row in pq.read_table(path).to_pylist():
        key = tuple(str(row[name]) for name in ("gpu_model", "dataset", "network", "batch_size", "optimizer"))
        runs[key][round(row["power_limit_w"])] = row["time_per_epoch_s"], row["average_power_w"]
    return [_workload(key, limits) for key, limits in sorted(runs.items())]


def _workload(key: Sequence[str], limits: Mapping[int, tuple[float, float]]) -> Workload:
    top_s, top_w = limits[max(limits)]
    points = (
        Point(limit_w=limit_w, rate=top_s / limits[limit_w][0], power=limits[limit_w][1] / top_w)
        for limit_w in sorted(limits, reverse=True)
    )
    return Workload(gpu=key[0], task=(key[1], key[2]), top_w=top_w, points=tuple(points))


def least(points: Sequence[Point], slowdown: float) -> Point:
    """The limit with least energy among those at most so much slower."""
    return min((one for one in points if 1.0 / one.rate <= 1.0 + slowdown), key=lambda one: one.energy)


def published(found: Sequence[Workload]) -> dict[str, float]:
    """Mean saving by GPU of the best limit at most 10 % slower, against the highest limit."""
    return {
        gpu: float(np.mean([1.0 - least(one.points, SLOWDOWN).energy for one in found if one.gpu == gpu]))
        for gpu in PUBLISHED
    }


def learnt(others: Sequence[Workload], limits_w: Sequence[int]) -> tuple[Point, ...]:
    """What the catalogue would say of limits, learnt on other workloads: sure rate and median power."""
    points: list[Point] = []
    rate = power = 1.0
    for limit_w in sorted(limits_w, reverse=True)[1:]:
        seen = (one.near(limit_w / max(limits_w)) for one in others)
        known = np.array([one for one in seen if one is not None]).reshape(-1, 2)
        if len(known) >= WORKLOADS_MIN:
            rate = min(rate, float(np.quantile(known[:, 0], SURE)))
            power = min(power, float(np.median(known[:, 1])))
            points.append(Point(limit_w=limit_w, rate=rate, power=power))
    return tuple(points)
