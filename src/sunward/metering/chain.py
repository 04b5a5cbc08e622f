"""How one batch follows another: which breaks of the chain are refused, and which are accepted and named.

Nothing is repaired in silence: a batch is stored as signed, acknowledged as already stored, or refused
with what was expected. docs/readings.md says what an agent does then.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from sunward.errors import ConflictError
from sunward.model.reading import ReadingBatch
from sunward.units import MINUTE_MS

SKEW_MS = 5 * MINUTE_MS
"""How far ahead of the ingest's grid clock a batch may end: one sealing interval."""
REFUSED = "SW-310"


class Fault(StrEnum):
    """What can be wrong with a batch in its chain, or with its counters."""

    REPLAY = "replay"
    """The store already holds these very bytes: acknowledged again, stored once."""
    GAP = "gap"
    """Batches between the last one and this one are missing: refused with the expected number."""
    CHAIN_BROKEN = "chain_broken"
    """The number was used for another batch, or `previous` names another one: refused."""
    OVERLAP = "overlap"
    """It begins before the last batch ended: refused, for container time would count twice."""
    CLOCK_BACKWARDS = "clock_backwards"
    """It ends no later than the last batch: refused."""
    COUNTER_BACKWARDS = "counter_backwards"
    """A counter of the same boot fell: refused."""
    SKEW = "skew"
    """It ends in the ingest's future: refused until that time has come."""
    RESET = "reset"
    """A new boot began: accepted and named; time between the boots is a gap of the site's metering."""
    UNMETERED = "unmetered"
    """A counter of one boot gained joules outside every span: accepted and named."""
    MISSING = "missing"
    """A counter that the batch before had is absent from this one of the same boot: accepted and named."""
    METER_LOW = "meter_low"
    """The site meter counted less than the equipment behind it: accepted with overhead 0, and named."""


ACCEPTED = frozenset({Fault.RESET, Fault.UNMETERED, Fault.MISSING, Fault.METER_LOW})
"""Faults that a stored batch can have; its seal names them."""


def check_next(
    previous: ReadingBatch | None,
    previous_hash: str,
    batch: ReadingBatch,
    *,
    seen: bool,
    received_ms: int,
) -> tuple[Fault, ...]:
    """Every fault of a batch against the last one accepted from its site.

    `seen`: the store already holds a batch of this site with this number and this hash.
    `received_ms`: grid time at the ingest. A replay, a gap and a broken chain are each told alone.
    """
    if seen:
        return (Fault.REPLAY,)
    if batch.counter > expected_counter(previous):
        return (Fault.GAP,)
    if batch.counter < expected_counter(previous) or batch.previous != previous_hash:
        return (Fault.CHAIN_BROKEN,)
    found = _times(previous, batch)
    if batch.t1_ms > received_ms + SKEW_MS:
        found.append(Fault.SKEW)
    if any(step < 0 for step in _counter_steps(previous, batch)):
        found.append(Fault.COUNTER_BACKWARDS)
    return (*found, *named_faults(previous, batch))


def named_faults(previous: ReadingBatch | None, batch: ReadingBatch) -> tuple[Fault, ...]:
    """Faults that an accepted batch has and its seal names; a function of signed data alone."""
    found = []
    if previous is not None and previous.boot != batch.boot:
        found.append(Fault.RESET)
    if any(step > 0 for step in _counter_steps(previous, batch)):
        found.append(Fault.UNMETERED)
    if previous is not None and previous.boot == batch.boot and _counters(previous) - _counters(batch):
        found.append(Fault.MISSING)
    return tuple(found)


def expected_counter(previous: ReadingBatch | None) -> int:
    """The number that the next batch of a site must have."""
    return 1 if previous is None else previous.counter + 1


def refused(faults: Sequence[Fault]) -> bool:
    """Whether the batch must be refused; a replay is neither stored nor refused."""
    return any(fault not in ACCEPTED and fault is not Fault.REPLAY for fault in faults)


def refusal(faults: Sequence[Fault], previous: ReadingBatch | None, previous_hash: str) -> ConflictError:
    """What a refused agent is told: the faults, and what would be accepted."""
    names = ", ".join(fault for fault in faults if fault not in ACCEPTED)
    after_ms = previous.t1_ms if previous else 0
    expected = f"batch {expected_counter(previous)}, previous {previous_hash or 'empty'}, from {after_ms} ms on"
    return ConflictError(f"reading refused ({names}); expected {expected}", code=REFUSED)


def _times(previous: ReadingBatch | None, batch: ReadingBatch) -> list[Fault]:
    if previous is None or batch.t0_ms >= previous.t1_ms:
        return []
    return [Fault.CLOCK_BACKWARDS if batch.t1_ms <= previous.t1_ms else Fault.OVERLAP]


def _counters(batch: ReadingBatch) -> set[str]:
    return {span.device for span in batch.spans}


def _counter_steps(previous: ReadingBatch | None, batch: ReadingBatch) -> list[int]:
    """Joules each counter moved between two spans that follow each other within one boot."""
    same_boot = previous is not None and previous.boot == batch.boot
    ends = {span.device: span.end_j for span in previous.spans} if previous and same_boot else {}
    steps = []
    for span in batch.spans:
        steps.append(span.start_j - ends.get(span.device, span.start_j))
        ends[span.device] = span.end_j
    return steps
