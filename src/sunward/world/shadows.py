"""The shadow prices of the newest full plan, as columns, so that each look at the world reads them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sunward.model.plan import ShadowPrice
from sunward.world.snapshot import IntArray


@dataclass(slots=True)
class ShadowBook:
    """What one more container would save others; nothing where no pool is scarce."""

    prices: tuple[ShadowPrice, ...] = ()
    _names: tuple[str, ...] = ()
    _columns: IntArray = field(default_factory=lambda: np.zeros((4, 0), np.int64), compare=False)
    """(4, N) place in `_names`, start, end, price."""

    def take(self, prices: tuple[ShadowPrice, ...]) -> None:
        """Replace all of them."""
        self.prices = prices
        self._names = tuple(sorted({one.pool for one in prices}))
        place = {pool: at for at, pool in enumerate(self._names)}
        rows = [(place[one.pool], one.start_ms, one.end_ms, one.usd_micro_per_h) for one in prices]
        self._columns = np.array(rows, np.int64).reshape(len(rows), 4).T

    def over(self, pools: Sequence[str], start_ms: int, slot_ms: int, slots: int) -> IntArray | None:
        """(P, H) per container and hour; None where there are none."""
        if not self.prices:
            return None
        rows = {pool: row for row, pool in enumerate(pools)}
        # A pool that has left is priced in a row of its own, which nobody reads.
        row = np.array([rows.get(pool, len(pools)) for pool in self._names], np.int64)[self._columns[0]]
        first, last = (self._columns[1] - start_ms) // slot_ms, -(-(self._columns[2] - start_ms) // slot_ms)
        steps: IntArray = np.zeros((len(pools) + 1, slots + 1), np.int64)
        np.add.at(steps, (row, np.clip(first, 0, slots)), self._columns[3])
        np.subtract.at(steps, (row, np.clip(last, 0, slots)), self._columns[3])
        prices: IntArray = np.cumsum(steps[:-1, :slots], axis=1)
        return prices
