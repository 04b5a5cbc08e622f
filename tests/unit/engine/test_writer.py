"""The writer, timers and snapshots: refusals leave no trace, a lost lead is noticed, a loaded state goes on."""

from __future__ import annotations

import zlib
from functools import cache

import msgspec
import pytest

from sunward.engine.advance import advance
from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.state import State
from sunward.engine.writer import Writer, replay
from sunward.errors import ConflictError, InvariantError
from sunward.model.events import CancelRequested, Deposited, Event, JobsSubmitted, TimerFired
from sunward.model.identity import JobId
from sunward.sim.memory import MemoryJournal
from sunward.sim.runner import Faults, Simulation
from tests.support.network import Network
from tests.support.scenarios import START_MS, TENANT, job, random_jobs, scenario


@cache
def records():
    """A short run with faults, as recorded."""
    faults = Faults(agent_crashes_per_h=0.3, job_kills_per_h=0.3, duplicate_frac=0.3, delay_ms_max=60_000)
    simulation = Simulation(scenario(random_jobs(3, 4, 4), hours=6, faults=faults, seed=3))
    simulation.run()
    return tuple(simulation.journal.read())


def test_refused_payloads_leave_no_trace_between_accepted_ones():
    network = Network()
    before = network.journal.head().sequence
    outcomes = network.writer.commit(
        START_MS,
        [
            CancelRequested(job=JobId("j-9")),
            Deposited(tenant=TENANT, amount_wei=5),
            JobsSubmitted(jobs=(job("j-1", gpus=0),)),
            Deposited(tenant=TENANT, amount_wei=6),
        ],
    )
    assert [outcome.sequence for outcome in outcomes] == [0, before + 1, 0, before + 2]
    assert network.journal.head().sequence == network.state.world.sequence == before + 2


def test_time_of_an_event_never_runs_back():
    network = Network()
    network.writer.commit(START_MS + 10, [Deposited(tenant=TENANT, amount_wei=5)])
    network.writer.commit(START_MS, [Deposited(tenant=TENANT, amount_wei=5)])
    assert [record.event.at_ms for record in network.journal.read()][-2:] == [START_MS + 10] * 2
    with pytest.raises(InvariantError, match="runs forward"):
        advance(network.state, Event(START_MS, TimerFired()))


def test_who_lost_the_lead_can_write_no_more():
    network = Network()
    network.journal.claim_leadership()
    with pytest.raises(ConflictError):
        network.writer.commit(START_MS, [Deposited(tenant=TENANT, amount_wei=5)])
    with pytest.raises(InvariantError, match="load it anew"):
        network.writer.commit(START_MS, [Deposited(tenant=TENANT, amount_wei=5)])
    state = replay(network.journal.read())
    Writer(state, network.journal).commit(START_MS, [Deposited(tenant=TENANT, amount_wei=7)])
    assert state.ledger.balance(f"tenant:{TENANT}") == 10**21 + 7


def test_a_state_and_a_journal_that_do_not_meet_are_refused():
    with pytest.raises(InvariantError, match="do not meet"):
        Writer(State(), Network().journal)
    holed = [record for record in records() if record.sequence != 5]
    with pytest.raises(InvariantError, match="follows"):
        replay(iter(holed))


def test_timers_come_up_in_order_and_each_once():
    state = State()
    for at_ms, ref in ((5, "b"), (3, "a"), (5, "b"), (9, "c")):
        state.add_due(at_ms, "job", ref)
    assert state.next_due_ms == 3
    assert state.take_due(5) == [(3, "job", "a"), (5, "job", "b")]
    assert state.next_due_ms == 9
    assert state.take_due(8) == []
    assert State().next_due_ms is None


def test_a_timer_without_anything_due_does_nothing():
    network = Network()
    assert network.tell(TimerFired()) == []


def test_a_snapshot_goes_on_as_the_state_it_was_taken_from():
    recorded = records()
    last = len(recorded)
    points = set(range(8, last, max(1, last // 25))) | {last - 1, last}
    loaded: list[State] = []

    def each(record, state) -> None:
        if record.sequence in points:
            copy = load(dump(state))
            assert state_digest(copy) == state_digest(state), record.sequence
            loaded.append(copy)

    end = state_digest(replay(iter(recorded), each=each))
    for copy in loaded[:: len(loaded) // 4]:
        assert state_digest(replay(iter(recorded[copy.world.sequence :]), copy)) == end


def test_a_loaded_snapshot_writes_the_same_journal():
    recorded = records()
    half = len(recorded) // 2
    journal = MemoryJournal()
    writer = Writer(State(), journal)
    for record in recorded:
        if record.sequence == half:
            writer = Writer(load(dump(writer.state)), journal)
        writer.commit(record.event.at_ms, [record.event.payload])
    assert journal.head().hash == recorded[-1].hash


@pytest.mark.parametrize(
    "raw", [b"", b"rubbish", zlib.compress(b"\xc1"), zlib.compress(msgspec.msgpack.encode({"format": 0}))]
)
def test_a_snapshot_that_cannot_be_read_says_so(raw):
    with pytest.raises(ValueError, match=r"snapshot"):
        load(raw)
