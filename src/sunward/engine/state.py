"""The whole state: the world, the money, and what is due when."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from sunward.model.granular import GenerationDevice
from sunward.settlement.certificates import Registry
from sunward.settlement.credits import CreditBook
from sunward.settlement.ledger import Ledger
from sunward.settlement.rate import RateBook
from sunward.settlement.stakes import StakeBook
from sunward.settlement.wallets import ChainBook
from sunward.world.state import World


@dataclass(slots=True)
class State:
    """What `advance` changes in place; one writer only."""

    world: World = field(default_factory=World)
    ledger: Ledger = field(default_factory=Ledger)
    epoch: int = 0
    epoch_start_ms: int = 0
    epoch_end_ms: int = 0
    offset_share_bps: int = 0
    liability_mg: int = 0
    """Residual emissions of all closed epochs, less what retired credits cover; test credits cover none of it."""
    adjustments: int = 0
    """Entries posted in this epoch to final receipts."""
    adjusted_location_mg: int = 0
    adjusted_liability_mg: int = 0
    closing: list[str] = field(default_factory=list)
    """Jobs in a final state whose receipt is not final yet."""
    due: list[tuple[int, str, str]] = field(default_factory=list)
    """Heap of (grid time, kind, reference); an entry that no longer matters is found harmless when it comes up."""
    queued: set[tuple[int, str, str]] = field(default_factory=set)
    """The same entries, so that none stands in the heap twice."""
    blocked: dict[str, list[str]] = field(default_factory=dict)
    """Jobs that should run on a pool and found no free container."""
    slot_armed_ms: int = 0
    certificates: Registry = field(default_factory=Registry)
    rates: RateBook = field(default_factory=RateBook)
    """Prices of ATH; the rate that is settled by is the world's."""
    credits: CreditBook = field(default_factory=CreditBook)
    generation: dict[str, GenerationDevice] = field(default_factory=dict)
    """Devices that generate, as declared."""
    idle_hours: dict[str, dict[int, int]] = field(default_factory=dict)
    """Idle joules of this epoch by site and hour; their sums are the sites' `idle_j`."""
    stakes: StakeBook = field(default_factory=StakeBook)
    chain: ChainBook = field(default_factory=ChainBook)
    rotations: list[tuple[int, str]] = field(default_factory=list)
    """Records that changed the signing key, each with the key from there on."""

    def add_due(self, at_ms: int, kind: str, ref: str) -> None:
        """Remember to look at something at a moment."""
        item = (at_ms, kind, ref)
        if item not in self.queued:
            self.queued.add(item)
            heapq.heappush(self.due, item)

    def take_due(self, at_ms: int) -> list[tuple[int, str, str]]:
        """What has become due, in order."""
        taken: list[tuple[int, str, str]] = []
        while self.due and self.due[0][0] <= at_ms:
            taken.append(heapq.heappop(self.due))
        self.queued.difference_update(taken)
        return taken

    @property
    def next_due_ms(self) -> int | None:
        """When the shell should fire the next timer, grid time."""
        return self.due[0][0] if self.due else None
