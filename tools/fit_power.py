"""Fit what the power model takes from measurements: power-cap curves and draw by GPU and class of work.

Run: SUNWARD_DATA=../shared python tools/fit_power.py
Writes cap_curve.csv, cap_points.csv and class_power.csv next to the hardware catalogue.

- Cap curve, from the power-limit runs of the Zeus study: with x = cap / uncapped draw and d = max(0, 1 - x), the rate
  is 1 - linear*d - cubic*d^3, least squares over all runs of a GPU model, weighted alike; `*` pools all models.
- Cap points, from the same runs, by GPU model and limit: of all workloads the 10th percentile and the median of the
  rate and the median of the board power, over those at the highest limit. A lower limit is given no more of any than
  the next higher one: what the runs differ by there is noise.
- Draw: median of the measured board power at full load over its power limit, by GPU model and class.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.parquet as pq

Record: TypeAlias = dict[str, Any]
Runs: TypeAlias = dict[tuple[object, ...], dict[float, list[tuple[float, float]]]]

CATALOGUE_KEYS = {"V100": "V100-PCIE-16GB", "A40": "A40", "P100": "P100-PCIE-16GB", "RTX6000": "RTX6000"}
"""The study's GPUs; its V100s and P100s have a limit of 250 W, so they are the PCIe cards."""
SERVED_KEYS = {"H100": ("H100-SXM", 700.0), "B200": ("B200-SXM", 1000.0)}
"""ML.ENERGY's GPUs and their board power."""
DEPTH_NEEDED, RUNS_NEEDED = 0.3, 40
"""A model gets a curve of its own when so many of its runs were capped so far below their draw."""
FEW_SEQUENCES_MAX = 32
"""Up to so many sequences at once count as online, more as batch."""
WORKLOADS_MIN = 10
"""Fewer workloads at a limit are no distribution."""
SURE = 0.1
"""Nine workloads of ten run at least as fast as planned."""
ZEUS = "Zeus power-limit study (NSDI 2023)"
ML_ENERGY = "ML.ENERGY benchmark v3"


def capped_runs(rows: list[Record]) -> Runs:
    """(time per epoch, average power) of each workload by power limit."""
    runs: Runs = defaultdict(lambda: defaultdict(list))
    for row in rows:
        workload = (row["gpu_model"], row["dataset"], row["network"], row["batch_size"], row["optimizer"])
        runs[workload][row["power_limit_w"]].append((row["time_per_epoch_s"], row["average_power_w"]))
    return runs


def relative(runs: Runs) -> dict[str, list[tuple[float, float, float]]]:
    """By GPU model: (cap over uncapped draw, cap over highest limit, rate over uncapped rate)."""
    highest = {str(model): max(max(limits) for key, limits in runs.items() if key[0] == model) for model, *_ in runs}
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for (model, *_), limits in runs.items():
        top = highest[str(model)]
        if top not in limits:
            continue
        time_s, draw_w = (float(np.mean(column)) for column in zip(*limits[top], strict=True))
        for cap_w, repeats in limits.items():
            capped_s = float(np.mean([seconds for seconds, _ in repeats]))
            found[str(model)].append((cap_w / draw_w, cap_w / top, time_s / capped_s))
    return found


def cap_points(rows: list[Record]) -> list[Record]:
    """Lines of cap_points.csv."""
    shares: dict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
    runs = capped_runs(rows)
    for (model, *_), limits in runs.items():
        top = max(max(other) for key, other in runs.items() if key[0] == model)
        if top in limits:
            top_s, top_w = np.mean(limits[top], axis=0)
            for cap_w, repeats in limits.items():
                capped_s, draw_w = np.mean(repeats, axis=0)
                shares[str(model), cap_w / top].append((top_s / capped_s, draw_w / top_w))
    lines: list[Record] = []
    above = (1.0, 1.0, 1.0)
    for model, cap_frac in sorted(shares, key=lambda key: (key[0], -key[1])):
        rate, power = np.array(shares[model, cap_frac]).T
        if len(rate) < WORKLOADS_MIN:
            continue
        above = (1.0, 1.0, 1.0) if cap_frac == 1 else above
        found = (float(np.quantile(rate, SURE)), float(np.median(rate)), float(np.median(power)))
        above = (min(above[0], found[0]), min(above[1], found[1]), min(above[2], found[2]))
        names = ("rate_p10", "rate_p50", "power_p50")
        lines.append(
            {
                "model": CATALOGUE_KEYS[model],
                "work_class": "training",
                "cap_frac": f"{cap_frac:.4f}",
                **{name: f"{value:.3f}" for name, value in zip(names, above, strict=True)},
                "workloads": len(rate),
                "source": ZEUS,
                "quality": "measured",
            }
        )
    return lines


def fit(points: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Coefficients (linear, cubic) of the loss of rate."""
    depth = np.maximum(0.0, 1.0 - np.array([point[0] for point in points]))
    loss = 1.0 - np.array([point[2] for point in points])
    linear, cubic = np.linalg.lstsq(np.stack([depth, depth**3], axis=1), loss, rcond=None)[0]
    return float(linear), float(cubic)


def cap_rows(rows: list[Record]) -> list[Record]:
    """Lines of cap_curve.csv."""
    by_model = relative(capped_runs(rows))
    groups = {"*": [point for points in by_model.values() for point in points]}
    for model, points in sorted(by_model.items()):
        if sum(1.0 - point[0] >= DEPTH_NEEDED for point in points) >= RUNS_NEEDED:
            groups[CATALOGUE_KEYS[model]] = points
    lines = []
    for model, points in groups.items():
        linear, cubic = fit(points)
        lines.append(
            {
                "model": model,
                "linear": f"{linear:.3f}",
                "cubic": f"{cubic:.3f}",
                "cap_frac_min": f"{min(point[1] for point in points):.3f}",
                "runs": len(points),
                "source": ZEUS,
                "quality": "modelled" if model == "*" else "measured",
            }
        )
    return lines


def draw_rows(zeus: list[Record], served: list[Record]) -> list[Record]:
    """Lines of class_power.csv."""
    shares: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    runs = capped_runs(zeus)
    for (model, *_), limits in runs.items():
        top = max(max(other) for key, other in runs.items() if key[0] == model)
        for _, draw_w in limits.get(top, []):
            shares[CATALOGUE_KEYS[str(model)], "training", ZEUS].append(draw_w / top)
    for row in served:
        key, board_w = SERVED_KEYS[row["gpu_model"]]
        if row["max_num_seqs"]:
            work = "online_inference" if row["max_num_seqs"] <= FEW_SEQUENCES_MAX else "batch_inference"
            shares[key, work, ML_ENERGY].append(row["avg_power_watts"] / row["num_gpus"] / board_w)
    return [
        {
            "model": model,
            "work_class": work,
            "draw_frac": f"{np.median(values):.2f}",
            "runs": len(values),
            "source": source,
            "quality": "measured",
        }
        for (model, work, source), values in sorted(shares.items())
    ]


def write(path: Path, rows: list[Record]) -> None:
    """Write lines as CSV."""
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Command line."""
    packaged = Path(__file__).resolve().parents[1] / "src" / "sunward" / "world" / "data"
    parser = argparse.ArgumentParser(description="Fit power-cap curves and draw by class of work.")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SUNWARD_DATA", "../shared")) / "data")
    parser.add_argument("--out", type=Path, default=packaged)
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no data folder at {options.data}; set SUNWARD_DATA")
    zeus = pq.read_table(options.data / "gpu" / "zeus_power_limit.parquet").to_pylist()
    served = pq.read_table(options.data / "gpu" / "mlenergy_v3.parquet").to_pylist()
    write(options.out / "cap_curve.csv", cap_rows(zeus))
    write(options.out / "cap_points.csv", cap_points(zeus))
    write(options.out / "class_power.csv", draw_rows(zeus, served))


if __name__ == "__main__":
    main()
