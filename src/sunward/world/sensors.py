"""How well a GPU's own sensor knows its energy: its gain, and the part of the run time in which it looks.

`data/sensors.csv` has the figures, `data/sources.md` where they come from and what is assumed.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import ceil, sqrt

from sunward.model.datum import Quality
from sunward.units import MINUTE_MS, PPM, SECOND_MS
from sunward.world.catalogue import ANY_GPU, GpuModel, Provenance

ALIKE_MS = SECOND_MS
"""Within a second all looks of a sensor are taken to err alike; seconds err on their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """What is known of the power sensor of a GPU model."""

    model: str
    sampled_frac: float
    """Share of the run time in which it looks; what the GPU draws in the rest it does not see."""
    gain_ppm: int
    provenance: Provenance


def sensor(model: str) -> Sensor:
    """The sensor of a model of the catalogue; one without a row of its own has that of most."""
    known = _table()
    return known.get(model, known[ANY_GPU])


def uncertainty_ppm(gpu: GpuModel) -> int:
    """Relative uncertainty of a minute of its counter, rounded up; gain and unseen time are independent.

    The unseen share of each second may have been anywhere between idle and the board's limit, half of that range to
    either side of what was seen.
    """
    known = sensor(gpu.model)
    swing_frac = (gpu.power_w_max - gpu.power_w_idle) / gpu.power_w_max / 2
    unseen_frac = (1 - known.sampled_frac) * swing_frac / sqrt(MINUTE_MS / ALIKE_MS)
    return ceil(sqrt(known.gain_ppm**2 + (unseen_frac * PPM) ** 2))


@cache
def _table() -> dict[str, Sensor]:
    text = (resources.files("sunward.world") / "data" / "sensors.csv").read_text(encoding="utf-8")
    return {
        row["model"]: Sensor(
            model=row["model"],
            sampled_frac=float(row["sampled_frac"]),
            gain_ppm=int(row["gain_ppm"]),
            provenance=Provenance(source=row["source"], quality=Quality(row["quality"])),
        )
        for row in csv.DictReader(text.splitlines())
    }
