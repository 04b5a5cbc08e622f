"""The one writer: checks an event, advances the state, appends to the journal, hands on the commands.

Several events are appended at once (group commit): none of them is acknowledged before all are durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sunward.engine.advance import advance, check
from sunward.engine.state import State
from sunward.errors import InputError, InvariantError
from sunward.model.commands import Command
from sunward.model.events import Event, Payload
from sunward.model.wire import JournalHead
from sunward.ports import Journal, Recorded

SealedBatches = Sequence[tuple[str, int, int]]
"""(site, first counter, last counter) of the stored batches that a seal takes in."""


@dataclass(slots=True)
class Outcome:
    """What became of one proposed event: its sequence and commands, or why it was refused."""

    sequence: int
    commands: tuple[Command, ...]
    refused: InputError | None = None


class Writer:
    """Owns the state. After any error from `commit` other than a refusal the state is to be loaded anew."""

    def __init__(self, state: State, journal: Journal) -> None:
        self.state = state
        self.journal = journal
        self.head: JournalHead = journal.head()
        if self.head.sequence != state.world.sequence:
            raise InvariantError(f"state at {state.world.sequence} and journal at {self.head.sequence} do not meet")

    def commit(self, at_ms: int, payloads: Sequence[Payload], sealed: SealedBatches = ()) -> list[Outcome]:
        """Record payloads at one grid time; refused ones leave no trace.

        A moment before the last event counts as that event's: grid time never runs back.
        Raises: ConflictError when another writer leads; InvariantError when an earlier commit failed half-way.
        """
        if self.head.sequence != self.state.world.sequence:
            raise InvariantError("an earlier commit failed: the state runs ahead of the journal; load it anew")
        moment = max(at_ms, self.state.world.at_ms)
        outcomes: list[Outcome] = []
        events: list[Event] = []
        for payload in payloads:
            event = Event(moment, payload)
            try:
                check(self.state, event)
            except InputError as reason:
                outcomes.append(Outcome(0, (), reason))
                continue
            commands = advance(self.state, event)
            events.append(event)
            outcomes.append(Outcome(self.state.world.sequence, commands))
        if events:
            done = [outcome.commands for outcome in outcomes if outcome.refused is None]
            self.head = self.journal.append(self.head, events, done, sealed=sealed)
        return outcomes


def replay(
    records: Iterator[Recorded], state: State | None = None, each: Callable[[Recorded, State], None] | None = None
) -> State:
    """The state after recorded events; `each` sees the state right after every one of them."""
    state = State() if state is None else state
    for record in records:
        if record.sequence != state.world.sequence + 1:
            raise InvariantError(f"journal record {record.sequence} follows {state.world.sequence}")
        advance(state, record.event)
        if each is not None:
            each(record, state)
    return state
