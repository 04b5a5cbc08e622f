"""Two seeds of crashes, kills, restarts, doubled and delayed deliveries; and faults planted for the checkers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.model.commands import IssueReceipt, JobChanged, PostEntries
from sunward.model.events import Event, ReadingsSealed
from sunward.sim.checkers import check_all, check_books, check_energy, check_jobs, check_readings, check_replay
from sunward.units import HOUR_MS
from tests.support.faults import faulty, problems

SEEDS = (1, 2)


@pytest.fixture(scope="module", params=SEEDS)
def run(request):
    return faulty(request.param)


@pytest.fixture(scope="module")
def history(run):
    return list(run.journal.read()), list(run.journal.projected.values()), run.writer.state


def test_everything_holds_whatever_goes_wrong(run):
    tally = run.tally
    assert min(tally.crashes, tally.kills, tally.restarts, tally.duplicates, tally.plans) > 0
    assert min(tally.owner_uses, tally.drains, tally.losses) > 0
    assert problems(run) == [], f"seed {run.scenario.seed}"


def test_attempts_were_lost_and_taken_up_again(run):
    endings = {line.ended for receipt in run.journal.receipts for line in receipt.attempts}
    assert {"finished", "lost", "failed"} <= endings
    assert any(len(receipt.attempts) > 1 and receipt.state == "finished" for receipt in run.journal.receipts)


def index_of(items, kind) -> int:
    return next(index for index, item in enumerate(items) if isinstance(item, kind))


def test_a_dropped_entry_is_found(history):
    _, commands, _ = history
    at = index_of(commands, PostEntries)
    assert check_books(commands[:at] + commands[at + 1 :])


def test_a_posting_changed_by_one_wei_is_found(history):
    _, commands, _ = history
    at = index_of(commands, PostEntries)
    entry = commands[at].entries[0]
    first, *rest = entry.postings
    forged = replace(entry, postings=(replace(first, amount_wei=first.amount_wei + 1), *rest))
    assert check_books([*commands[:at], PostEntries(entries=(forged,)), *commands[at + 1 :]])


def test_a_receipt_too_many_or_too_few_is_found(history):
    records, commands, state = history
    receipt = commands[index_of(commands, IssueReceipt)]
    without = [command for command in commands if command is not receipt]
    for forged in ([*commands, receipt], without):
        assert check_jobs(records, forged, settled=True)
        assert check_energy(records, forged, state)
    assert check_jobs(records, without, settled=False) == []


def test_a_second_final_state_is_found(history):
    records, commands, _ = history
    ended = next(one for one in commands if isinstance(one, JobChanged) and one.state == "finished")
    assert check_jobs(records, [*commands, replace(ended, state="failed")], settled=True)
    assert check_jobs(records, [one for one in commands if one is not ended], settled=True)


def sealed(records) -> int:
    return max(
        index
        for index, record in enumerate(records)
        if isinstance(record.event.payload, ReadingsSealed) and sum(record.event.payload.leases.gpu_j) > 0
    )


def test_a_batch_left_out_or_taken_twice_is_found(history):
    records, _, _ = history
    at = sealed(records)
    assert check_readings(records[:at] + records[at + 1 :])
    assert check_readings([*records[: at + 1], records[at], *records[at + 1 :]])
    assert check_readings(records) == []


def test_a_seal_changed_after_the_fact_is_found(history):
    records, commands, state = history
    at = sealed(records)
    payload = records[at].event.payload
    leases = payload.leases
    more = replace(
        leases,
        gpu_j=(leases.gpu_j[0] + 1, *leases.gpu_j[1:]),
        gpu_ms=(leases.gpu_ms[0] + HOUR_MS, *leases.gpu_ms[1:]),
    )
    event = Event(records[at].event.at_ms, replace(payload, leases=more))
    forged = [*records[:at], replace(records[at], event=event), *records[at + 1 :]]
    assert check_energy(forged, commands, state)
    assert check_replay(forged, state)
    assert check_all(forged, commands, state, settled=True)
