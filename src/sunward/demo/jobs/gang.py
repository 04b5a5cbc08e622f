"""Fits one model on several GPUs at once: each device holds a shard of the data and a replica of the weights.

Each unit is a step of synchronous data-parallel descent: every device finds the slope on its own shard, the
slopes are averaged over all devices, and every replica takes the same step. A number of devices other than
the one asked for, and replicas that differ at the end, are errors.
"""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
from numpy.typing import NDArray
from paced import Job, replace

Floats = NDArray[np.float64]

FEATURES = 16
ROWS_PER_DEVICE = 256
RATE = 0.01
NOISE = 0.01
SEED = 23


def devices() -> tuple[str, ...]:
    """The GPUs that this attempt was given.

    Raises: SystemExit when they are not as many as the job asked for.
    """
    seen = tuple(name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name)
    asked = int(os.environ.get("GANG_GPUS") or len(seen))
    if not seen or len(seen) != asked:
        sys.exit(f"gang asked for {asked} GPUs and was given {len(seen)}")
    return seen


def shards(count: int) -> tuple[Floats, Floats, Floats]:
    """One shard of the data a device, and the weights that made it.

    Shapes: -> (D, N, F) inputs, (D, N) outputs, (F,) truth.
    """
    random = np.random.default_rng(SEED)
    truth = random.normal(size=FEATURES)
    inputs = random.normal(size=(count, ROWS_PER_DEVICE, FEATURES))
    outputs = inputs @ truth + random.normal(0.0, NOISE, (count, ROWS_PER_DEVICE))
    return inputs, outputs, truth


def main() -> None:
    """Fit to the last unit, or to a checkpoint when asked to stop."""
    job = Job()
    names = devices()
    inputs, outputs, truth = shards(len(names))
    state = job.checkpoint / "state.npz"
    done, replicas = 0, np.zeros((len(names), FEATURES))
    if state.exists():
        with np.load(state, allow_pickle=False) as stored:
            done, replicas = int(stored["units"]), np.tile(stored["weights"], (len(names), 1))

    def miss() -> Floats:
        found: Floats = np.einsum("dnf,df->dn", inputs, replicas)
        return found - outputs

    def tell(event: str) -> None:
        print(f"{event} on {len(names)} GPUs, unit {done} error {np.abs(miss()).mean():.4f}", flush=True)

    def save() -> None:
        packed = io.BytesIO()
        np.savez(packed, units=done, weights=replicas[0])
        replace(state, packed.getvalue())
        tell("saved")

    tell("starts")
    for unit in job.work(done, save):
        slopes = np.einsum("dnf,dn->df", inputs, miss()) / ROWS_PER_DEVICE
        replicas = replicas - RATE * slopes.mean(axis=0)
        done = unit
    if not (replicas == replicas[0]).all():
        sys.exit("replicas on different GPUs differ")
    tell("done")
    result = {"gpus": len(names), "units": done, "distance": float(np.abs(replicas[0] - truth).max())}
    replace(job.output / "fit.json", json.dumps(result).encode())


if __name__ == "__main__":
    main()
