"""Energy of final receipts by zone and hour, kept for as long as the hour's intensity may be revised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sunward.model.receipt import Receipt
from sunward.world.signalbook import REVISABLE_MS

LINES_MAX = 1_000_000
"""Beyond so many lines the oldest hours are let go first: their receipts stand as they are."""


@dataclass(slots=True)
class ClosedLine:
    """One line of a final receipt, and the intensity it counts at by now."""

    job: str
    epoch: int
    facility_j: int
    mg_per_kwh: int


@dataclass(slots=True)
class ClosedLines:
    """Lines of final receipts, by (start of the hour, zone); and what each epoch's receipts amount to by now."""

    lines: dict[tuple[int, str], list[ClosedLine]] = field(default_factory=dict)
    epochs: dict[int, list[int]] = field(default_factory=dict)
    """End, location-based and market-based mg of each epoch that may still be adjusted."""
    count: int = 0

    def keep(self, receipt: Receipt, at_ms: int) -> None:
        """Remember the lines of a receipt that has become final."""
        for line in receipt.lines:
            if line.hour_ms >= at_ms - REVISABLE_MS:
                facility_j = line.gpu_j + line.host_j + line.overhead_j
                closed = ClosedLine(receipt.job, receipt.epoch, facility_j, line.carbon_mg_per_kwh)
                self.lines.setdefault((line.hour_ms, line.zone), []).append(closed)
                self.count += 1

    def close(self, epoch: int, end_ms: int, location_mg: int, market_mg: int) -> None:
        """Remember an epoch's totals, and let go of what is too old to be revised or too much."""
        self.epochs[epoch] = [end_ms, location_mg, market_mg]
        for old in [number for number, (ended_ms, _, _) in self.epochs.items() if ended_ms < end_ms - REVISABLE_MS]:
            del self.epochs[old]
        for key in sorted(self.lines):
            if key[0] >= end_ms - REVISABLE_MS and self.count <= LINES_MAX:
                break
            self.count -= len(self.lines.pop(key))

    def of(self, zone: str, hour_ms: int) -> Iterator[ClosedLine]:
        """Lines of a zone's hour whose epoch may still be adjusted."""
        return (line for line in self.lines.get((hour_ms, zone), ()) if line.epoch in self.epochs)

    def dump(self) -> dict[str, Any]:
        """Plain values, sorted; sums may exceed 64 bits and travel as text."""
        return {
            "lines": [
                [hour_ms, zone, [[one.job, one.epoch, str(one.facility_j), one.mg_per_kwh] for one in lines]]
                for (hour_ms, zone), lines in sorted(self.lines.items())
            ],
            "epochs": [[epoch, *map(str, sums)] for epoch, sums in sorted(self.epochs.items())],
        }

    def load(self, record: Any) -> None:  # noqa: ANN401
        """Take the content of a dump."""
        self.lines = {
            (hour_ms, zone): [ClosedLine(job, epoch, int(joules), value) for job, epoch, joules, value in lines]
            for hour_ms, zone, lines in record["lines"]
        }
        self.epochs = {epoch: [int(one) for one in sums] for epoch, *sums in record["epochs"]}
        self.count = sum(map(len, self.lines.values()))
