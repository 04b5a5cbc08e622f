"""Trains a small network with numpy: two layers, minibatches, momentum, a learning rate that falls.

One unit is one step. A run that is stopped and resumed, on any site and any number of times, takes exactly
the steps of a run that was never stopped: the checkpoint holds the weights, the momentum, the state of the
random generator and every loss so far.
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from paced import Job, replace

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

CLASSES = 3
PER_CLASS = 200
HIDDEN = 64
BATCH = 64
NOISE_RAD = 0.4
TURN_RAD = 7.0
RATE_FIRST = 0.02
RATE_LAST = 0.001
MOMENTUM = 0.9
DATA_SEED = 7
TRAIN_SEED = 11

LAYERS = ("weight_in", "bias_in", "weight_out", "bias_out")


@dataclass
class Run:
    """Everything that the next step depends on."""

    layers: dict[str, Floats]
    speeds: dict[str, Floats]
    random: np.random.Generator
    losses: list[float]


def spirals() -> tuple[Floats, Labels]:
    """The data set: three noisy spiral arms, the same in every attempt.

    Shapes: -> (N, 2) points, (N,) class numbers.
    """
    random = np.random.default_rng(DATA_SEED)
    along = np.tile(np.linspace(0.1, 1.0, PER_CLASS), CLASSES)
    label = np.repeat(np.arange(CLASSES), PER_CLASS)
    angle = TURN_RAD * along + label * (2 * math.pi / CLASSES) + random.normal(0.0, NOISE_RAD, along.size)
    return np.stack([along * np.cos(angle), along * np.sin(angle)], axis=1), label


def fresh() -> Run:
    """A run before its first step."""
    random = np.random.default_rng(TRAIN_SEED)
    layers = {
        "weight_in": random.normal(0.0, 1.0, (2, HIDDEN)),
        "bias_in": np.zeros(HIDDEN),
        "weight_out": random.normal(0.0, 1.0 / math.sqrt(HIDDEN), (HIDDEN, CLASSES)),
        "bias_out": np.zeros(CLASSES),
    }
    return Run(layers, {name: np.zeros_like(layers[name]) for name in LAYERS}, random, [])


def forward(layers: dict[str, Floats], points: Floats, label: Labels) -> tuple[Floats, Floats, float]:
    """Hidden values, class probabilities and the mean cross-entropy."""
    hidden = np.tanh(points @ layers["weight_in"] + layers["bias_in"])
    scores = hidden @ layers["weight_out"] + layers["bias_out"]
    scores -= scores.max(axis=1, keepdims=True)
    likely = np.exp(scores)
    likely /= likely.sum(axis=1, keepdims=True)
    return hidden, likely, float(-np.log(likely[np.arange(label.size), label]).mean())


def step(run: Run, points: Floats, label: Labels, progress_frac: float) -> None:
    """One minibatch step; the rate falls along half a cosine."""
    chosen = run.random.integers(0, label.size, BATCH)
    points, label = points[chosen], label[chosen]
    hidden, error, loss = forward(run.layers, points, label)
    error[np.arange(BATCH), label] -= 1.0
    error /= BATCH
    back = (error @ run.layers["weight_out"].T) * (1.0 - hidden * hidden)
    slopes = {
        "weight_in": points.T @ back,
        "bias_in": back.sum(axis=0),
        "weight_out": hidden.T @ error,
        "bias_out": error.sum(axis=0),
    }
    rate = RATE_LAST + (RATE_FIRST - RATE_LAST) * (1.0 + math.cos(math.pi * progress_frac)) / 2.0
    for name in LAYERS:
        run.speeds[name] = MOMENTUM * run.speeds[name] - rate * slopes[name]
        run.layers[name] = run.layers[name] + run.speeds[name]
    run.losses.append(loss)


def save(run: Run, path: Path, loss: float) -> None:
    """Write the run whole or not at all."""
    packed = io.BytesIO()
    arrays = {f"layer_{name}": run.layers[name] for name in LAYERS}
    arrays |= {f"speed_{name}": run.speeds[name] for name in LAYERS}
    # The plain numbers stand beside the arrays for people who look into the file.
    np.savez(
        packed,
        allow_pickle=False,
        step=np.array(len(run.losses)),
        loss=np.array(loss),
        losses=np.array(run.losses),
        random=np.array(json.dumps(run.random.bit_generator.state)),
        **arrays,
    )
    replace(path, packed.getvalue())


def restore(path: Path) -> Run:
    """Read what `save` wrote."""
    run = fresh()
    with np.load(path, allow_pickle=False) as stored:
        run.layers = {name: stored[f"layer_{name}"] for name in LAYERS}
        run.speeds = {name: stored[f"speed_{name}"] for name in LAYERS}
        run.random.bit_generator.state = json.loads(str(stored["random"]))
        run.losses = stored["losses"].tolist()
    return run


def main() -> None:
    """Train to the last unit, or to a checkpoint when asked to stop."""
    job = Job()
    points, label = spirals()
    state = job.checkpoint / "state.npz"
    run = restore(state) if state.exists() else fresh()

    def tell() -> float:
        loss = forward(run.layers, points, label)[2]
        print(f"step {len(run.losses)} loss {loss:.3f}", flush=True)
        return loss

    tell()
    for unit in job.work(len(run.losses), lambda: save(run, state, tell())):
        step(run, points, label, (unit - 1) / job.units)
    tell()
    with (job.output / "losses.csv").open("w", encoding="utf-8") as table:
        table.write("step,loss\n")
        table.writelines(f"{number},{loss!r}\n" for number, loss in enumerate(run.losses, start=1))
    np.savez(job.output / "model.npz", allow_pickle=False, **run.layers)


if __name__ == "__main__":
    main()
