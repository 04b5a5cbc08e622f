"""A recorded journal through the simulator's wiring: the same plans, receipts and ledger, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sunward.engine.inputs import sealed_ranges, solve_again
from sunward.engine.state import State
from sunward.engine.writer import Writer
from sunward.model.codec import encode
from sunward.model.commands import CloseEpoch, Command, IssueReceipt, PostEntries
from sunward.model.events import PlanProposed, ReadingsSealed
from sunward.model.plan import Plan
from sunward.ports import Recorded
from sunward.sim.memory import MemoryJournal


@dataclass(slots=True)
class Parity:
    """What a second run of a journal gave."""

    events: int = 0
    plans: int = 0
    plans_differing: list[int] = field(default_factory=list)
    """Sequences of plans that solving again does not reproduce."""
    head_hash: str = ""
    receipts: dict[str, bytes] = field(default_factory=dict)
    """Canonical bytes by job."""
    statements: dict[int, bytes] = field(default_factory=dict)
    entries: dict[str, bytes] = field(default_factory=dict)


def run_again(records: Sequence[Recorded], *, replan: bool = True) -> Parity:
    """Feed recorded events through the simulator's writer; solve every plan again on the state it names.

    Raises: ConflictError or InvariantError when the records are not one journal.
    """
    parity = Parity()
    journal = MemoryJournal()
    writer = Writer(State(), journal)
    wanted = _plans_by_base(records) if replan else {}
    for record in records:
        while journal.head().term < record.term:
            writer.head = journal.claim_leadership()
        payload = record.event.payload
        sealed = sealed_ranges(payload) if isinstance(payload, ReadingsSealed) else []
        outcome = writer.commit(record.event.at_ms, [payload], sealed)[0]
        if outcome.refused is not None:
            raise outcome.refused
        _collect(parity, outcome.commands)
        parity.events += 1
        for sequence, plan, raw in wanted.pop(record.sequence, ()):
            parity.plans += 1
            if encode(solve_again(writer.state.world, plan)) != raw:
                parity.plans_differing.append(sequence)
    # A plan that names a state which never was cannot be made again.
    parity.plans_differing += sorted(sequence for items in wanted.values() for sequence, _, _ in items)
    parity.head_hash = journal.head().hash
    return parity


def _plans_by_base(records: Iterable[Recorded]) -> dict[int, list[tuple[int, Plan, bytes]]]:
    """Recorded plans by the sequence of the state they were solved on."""
    wanted: dict[int, list[tuple[int, Plan, bytes]]] = {}
    for record in records:
        payload = record.event.payload
        if isinstance(payload, PlanProposed):
            item = (record.sequence, payload.plan, record.event.body())
            wanted.setdefault(payload.plan.based_on, []).append(item)
    return wanted


def _collect(parity: Parity, commands: Iterable[Command]) -> None:
    for command in commands:
        if isinstance(command, IssueReceipt):
            parity.receipts[command.receipt.job] = encode(command.receipt)
        elif isinstance(command, CloseEpoch):
            parity.statements[command.statement.epoch] = encode(command.statement)
        elif isinstance(command, PostEntries):
            parity.entries.update((entry.entry, encode(entry)) for entry in command.entries)
