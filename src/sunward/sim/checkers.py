"""What must hold after any run, checked from the journal's facts by code that the engine does not use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sunward.engine.snapshots import state_digest
from sunward.engine.state import State
from sunward.engine.writer import replay
from sunward.model.commands import Command, IssueReceipt, JobChanged, PostEntries
from sunward.model.events import JobsSubmitted, ReadingsSealed
from sunward.ports import Recorded

FINAL = frozenset({"finished", "failed", "cancelled", "expired", "refused"})
FAUCET = "faucet:test"


def check_books(commands: Iterable[Command]) -> list[str]:
    """Every entry sums to zero, and nobody but the faucet ever owes."""
    found: list[str] = []
    balances: Counter[str] = Counter()
    for command in commands:
        if not isinstance(command, PostEntries):
            continue
        for entry in command.entries:
            if sum(posting.amount_wei for posting in entry.postings) != 0:
                found.append(f"entry {entry.entry} does not sum to zero")
            for posting in entry.postings:
                balances[posting.account] += posting.amount_wei
            found += [
                f"{account} owes {-balances[account]} wei after {entry.entry}"
                for account in {posting.account for posting in entry.postings}
                if balances[account] < 0 and account != FAUCET
            ]
    if sum(balances.values()) != 0:
        found.append("all accounts do not sum to zero")
    return found


def check_jobs(records: Iterable[Recorded], commands: Sequence[Command], *, settled: bool) -> list[str]:
    """One final state a job; one receipt a job, when every epoch is closed."""
    submitted = {
        spec.job
        for record in records
        if isinstance(record.event.payload, JobsSubmitted)
        for spec in record.event.payload.jobs
    }
    finals = Counter(command.job for command in commands if isinstance(command, JobChanged) and command.state in FINAL)
    receipts = Counter(command.receipt.job for command in commands if isinstance(command, IssueReceipt))
    found = [f"job {job} reached {count} final states" for job, count in sorted(finals.items()) if count != 1]
    found += [f"job {job} has {count} receipts" for job, count in sorted(receipts.items()) if count != 1]
    if settled:
        found += [f"job {job} has no final state" for job in sorted(submitted - set(finals))]
        found += [f"job {job} has no receipt" for job in sorted(submitted - set(receipts))]
    return found


def check_readings(records: Iterable[Recorded]) -> list[str]:
    """Sealed batches of a site follow one another without hole or overlap."""
    found: list[str] = []
    last: dict[str, int] = {}
    for record in records:
        if not isinstance(record.event.payload, ReadingsSealed):
            continue
        for site in record.event.payload.sites:
            if site.first_counter != last.get(site.site, 0) + 1:
                found.append(
                    f"seal {record.sequence}: batch {site.first_counter} of {site.site} after {last.get(site.site, 0)}"
                )
            last[site.site] = site.last_counter
    return found


def sealed_it_j(records: Iterable[Recorded]) -> int:
    """IT joules in all seals, leased and idle."""
    total = 0
    for record in records:
        payload = record.event.payload
        if isinstance(payload, ReadingsSealed):
            total += sum(payload.leases.gpu_j) + sum(payload.leases.host_j)
            total += sum(site.idle_gpu_j + site.idle_host_j for site in payload.sites)
    return total


def check_energy(records: Sequence[Recorded], commands: Sequence[Command], state: State) -> list[str]:
    """Every leased joule of the seals stands in one receipt, in an open job, or is told as late."""
    sealed = 0
    for record in records:
        payload = record.event.payload
        if isinstance(payload, ReadingsSealed):
            columns = payload.leases
            sealed += sum(columns.gpu_j) + sum(columns.host_j) + sum(columns.overhead_j)
    receipted = sum(command.receipt.facility_j for command in commands if isinstance(command, IssueReceipt))
    ints = state.world.energy.ints
    rows = list(state.world.energy.row_of.values())
    waiting = sum(int(ints[name][row]) for row in rows for name in ("gpu_j", "host_j", "overhead_j"))
    if receipted + waiting + state.world.late_j == sealed:
        return []
    return [f"{sealed} J sealed for leases, {receipted} in receipts, {waiting} waiting, {state.world.late_j} late"]


def check_replay(records: Iterable[Recorded], state: State) -> list[str]:
    """Replaying the journal gives the very state."""
    return [] if state_digest(replay(iter(list(records)))) == state_digest(state) else ["replay gives another state"]


def check_all(records: Sequence[Recorded], commands: Sequence[Command], state: State, *, settled: bool) -> list[str]:
    """Every check; an empty list is a clean run."""
    return [
        *check_books(commands),
        *check_jobs(records, commands, settled=settled),
        *check_readings(records),
        *check_energy(records, commands, state),
        *check_replay(records, state),
    ]
