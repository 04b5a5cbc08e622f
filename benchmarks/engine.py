"""How fast the writer is: `advance` and the journal on SQLite, single events and batches, replay, snapshots.

Single events come in groups of 64: the payloads of one `Writer.commit`, durable together in one transaction. Each
of them is one small happening. A group is what a busy moment of a network looks like: jobs are submitted and planned,
a timer starts some, agents report that attempts run, progress and finish, sites report power, readings are sealed.
Every payload is made before the clock starts. Nothing is left out: a store with `synchronous=FULL`, hash chain,
ledger and projections, as the service runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks._traffic import MIX, START_MS, Sizes, base_load, batches, group, moment, seals, started
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.adapters.sql import SqlStore, open_store
from sunward.engine import snapshots
from sunward.engine.state import State
from sunward.engine.writer import Writer, replay
from sunward.errors import InvariantError
from sunward.model.commands import Rejected
from sunward.model.events import Event, Payload, TimerFired
from sunward.units import SECOND_MS
from sunward.world.view import take_snapshot

MIB = 2**20


def commit_s(writer: Writer, at_ms: int, payloads: Sequence[Payload]) -> float:
    """Wall time of one commit in seconds.

    Raises: InvariantError when anything was refused or rejected: then it was not the work that is measured.
    """
    begun = time.perf_counter()
    outcomes = writer.commit(at_ms, payloads)
    spent = time.perf_counter() - begun
    for outcome in outcomes:
        if outcome.refused is not None or any(isinstance(command, Rejected) for command in outcome.commands):
            raise InvariantError(f"the benchmark's own event was refused: {outcome}")
    return spent


def measure_singles(writer: Writer, sizes: Sizes) -> dict[str, object]:
    """Single events in groups, among the base load."""
    groups = [group(sizes, number) for number in range(sizes.groups)]
    busy_s = time.process_time()
    spent = [commit_s(writer, moment(number), payloads) for number, payloads in enumerate(groups)]
    busy_s = time.process_time() - busy_s
    count = sum(map(len, groups))
    kinds = Counter(Event(0, payload).kind for payloads in groups for payload in payloads)
    return {
        "events_per_s": round(count / sum(spent)),
        "events_per_cpu_s": round(count / busy_s),
        "group": MIX.group,
        "group_ms_p50": round(sorted(spent)[len(spent) // 2] * SECOND_MS, 2),
        "group_ms_max": round(max(spent) * SECOND_MS, 2),
        "single_events": count,
        "single_mix": dict(sorted(kinds.items())),
    }


def measure_batches(writer: Writer, sizes: Sizes) -> dict[str, object]:
    """Big events, one a commit: seals, whose rows are columns over many leases, and submissions of many jobs.

    The published key counts the columnar rows. A submission is a record and four projected rows a job, since each
    job has its own escrow and history; it is reported apart.
    """
    readings = seals(sizes)
    seal_s = sum(commit_s(writer, payload.end_ms, [payload]) for payload in readings)
    many = batches(sizes, len(writer.state.world.jobs) - len(writer.state.closing))
    at_ms = writer.state.world.at_ms
    jobs_s = sum(commit_s(writer, at_ms, [payload]) for payload in many)
    seal_rate = round(sum(len(payload.leases.lease) for payload in readings) / seal_s)
    jobs_rate = round(sum(len(payload.jobs) for payload in many) / jobs_s)
    return {
        "batch_items_per_s": seal_rate,
        "jobs_batch_items_per_s": jobs_rate,
        "batch_rows": sizes.rows,
    }


def measure_bare(store: SqlStore, sizes: Sizes) -> float:
    """Events a second of the journal alone: the single events appended without `advance` and without projections."""
    groups = [[Event(moment(number), payload) for payload in group(sizes, number)] for number in range(sizes.groups)]
    head = store.claim_leadership()
    begun = time.perf_counter()
    for events in groups:
        head = store.append(head, events, [()] * len(events))
    return sum(map(len, groups)) / (time.perf_counter() - begun)


def measure_planner_snapshot(writer: Writer) -> dict[str, object]:
    """Seconds to copy the world for the planner."""
    begun = time.perf_counter()
    snapshot = take_snapshot(writer.state.world, writer.state.world.at_ms)
    return {
        "planner_snapshot_s": round(time.perf_counter() - begun, 3),
        "planner_snapshot_open_jobs": len(snapshot.jobs),
    }


def measure_snapshot(writer: Writer) -> dict[str, object]:
    """Bytes of a snapshot, and the time to write and to load it.

    Raises: InvariantError when the loaded state is not the dumped one.
    """
    begun = time.perf_counter()
    raw = snapshots.dump(writer.state)
    dumped = time.perf_counter()
    state = snapshots.load(raw)
    loaded = time.perf_counter()
    if snapshots.state_digest(state) != snapshots.state_digest(writer.state):
        raise InvariantError("a loaded snapshot is not the state that was dumped")
    return {
        "snapshot_mib": round(len(raw) / MIB, 2),
        "snapshot_open_jobs": len(writer.state.world.jobs) - len(writer.state.closing),
        "state_dump_s": round(dumped - begun, 3),
        "state_load_s": round(loaded - dumped, 3),
    }


def measure_replay(store: SqlStore, state: State, after: int) -> int:
    """Events a second through `replay` from the journal; single events only, on the state that preceded them."""
    begun = time.perf_counter()
    replay(store.read(after), state)
    spent = time.perf_counter() - begun
    return round((state.world.sequence - after) / spent)


def prepare(writer: Writer, sizes: Sizes) -> None:
    """Bring the network to its working load."""
    due: list[Payload] = [TimerFired()]
    for payloads in (*started(sizes), *base_load(sizes), due):
        commit_s(writer, START_MS, payloads)


def run(sizes: Sizes, folder: Path) -> dict[str, object]:
    """All measurements on stores in a folder."""
    store = open_store(f"sqlite:///{folder / 'engine.db'}")
    bare = open_store(f"sqlite:///{folder / 'bare.db'}")
    try:
        store.claim_leadership()
        writer = Writer(State(), store)
        prepare(writer, sizes)
        before, after = snapshots.dump(writer.state), writer.state.world.sequence
        result: dict[str, object] = {"base_open_jobs": len(writer.state.world.jobs)}
        bare_rate = measure_bare(bare, sizes)
        result |= measure_singles(writer, sizes)
        result |= {
            "bare_append_events_per_s": round(bare_rate),
            "ratio_to_bare_append": round(float(str(result["events_per_s"])) / bare_rate, 3),
            "replay_events_per_s": measure_replay(store, snapshots.load(before), after),
        }
        result |= measure_planner_snapshot(writer)
        result |= measure_batches(writer, sizes)
        result |= measure_snapshot(writer)
    finally:
        store.close()
        bare.close()
    return result


def main() -> int:
    """Run the whole benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=Sizes().groups, help="groups of single events")
    parser.add_argument("--folder", type=Path, help="where the stores lie; default a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        result = run(Sizes(groups=arguments.groups), Path(folder))
    # The work above ran in this one thread; the matrix product would take every core that it may.
    result["threads"] = threading.active_count()
    result["calibration_on_one_core"] = stay_on_one_core()
    print(json.dumps(result | calibrate()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
