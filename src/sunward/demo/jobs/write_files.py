"""Makes result files to be fetched: samples are drawn and counted, then written with their hashes.

`report.txt` names each file as `sha256sum --check` reads it, so the one who fetches them can check that
nothing was lost or changed on the way.
"""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from paced import Job, replace

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

SEED = 31
DRAWS = 2_000
BINS = 40
SPAN = 4.0


def draw(unit: int) -> Floats:
    """The samples of one unit: they depend on its number only, so an attempt may start anywhere.

    Shapes: -> (N,).
    """
    return np.random.default_rng([SEED, unit]).normal(size=DRAWS)


def pack(array: Counts) -> bytes:
    """An array as the bytes of an `.npy` file."""
    packed = io.BytesIO()
    np.save(packed, array)
    return packed.getvalue()


def results(counts: Counts, edges: Floats, done: int) -> dict[str, bytes]:
    """The result files by name."""
    rows = "".join(
        f"{low:.2f},{high:.2f},{count}\n" for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )
    middle = (edges[:-1] + edges[1:]) / 2
    mean = float((middle * counts).sum() / counts.sum())
    summary = f"units {done}\nsamples inside {counts.sum()} of {done * DRAWS}\nmean {mean:.4f}\n"
    return {
        "histogram.csv": f"from,to,count\n{rows}".encode(),
        "histogram.npy": pack(counts),
        "summary.txt": summary.encode(),
    }


def main() -> None:
    """Count to the last unit, or to a checkpoint when asked to stop; then write the files."""
    job = Job()
    edges = np.linspace(-SPAN, SPAN, BINS + 1)
    state = job.checkpoint / "state.npy"
    # The number of units stands in the last cell, beside the counts it belongs to.
    cells = np.load(state, allow_pickle=False) if state.exists() else np.zeros(BINS + 1, dtype=np.int64)

    def save() -> None:
        replace(state, pack(cells))
        print(f"unit {cells[-1]} of {job.units}", flush=True)

    for unit in job.work(int(cells[-1]), save):
        cells[:-1] += np.histogram(draw(unit), edges)[0]
        cells[-1] = unit
    files = results(cells[:-1], edges, int(cells[-1]))
    for name, content in files.items():
        replace(job.output / name, content)
    hashes = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    replace(job.output / "report.txt", hashes.encode())
    print(f"wrote {len(files)} files and report.txt", flush=True)


if __name__ == "__main__":
    main()
