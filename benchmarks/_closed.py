"""A store with many closed jobs: the rows of one job that a simulated network really ran, under other names.

The job is run once by the simulator, and the projections make its rows. Every other job gets the same rows under its
own name and its own place in the journal; SQLite copies them itself, since a million jobs through the projections would
take an hour. Kept of each job: its submission in the hash-chained journal, its job row, its whole history, all its
ledger postings, its receipt and its private content. All rows of a job stand at the sequence of its submission, and its
other records (plan, reports, seals) are left out: no read of a closed job touches them. A copied receipt bears the
signature of the first, so it reads like the others but would not verify.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sunward.adapters.projections import Row, rows_of
from sunward.engine import snapshots
from sunward.model.chain import record_hash
from sunward.model.codec import encode
from sunward.model.commands import Command, IssueReceipt, JobChanged, PostEntries
from sunward.model.datum import Quality
from sunward.model.events import Deposited, Event, JobsSubmitted, NetworkStarted, RateObserved
from sunward.model.hardware import Admission
from sunward.model.identity import JobId, SiteId, TenantId, ZoneId, pool_id
from sunward.model.job import JobSpec
from sunward.model.plan import PolicyInputs
from sunward.model.site import PoolSpec, SiteSpec
from sunward.model.wire import JobContent
from sunward.service.control import ControlPlane
from sunward.sim.runner import Scenario, Simulation
from sunward.units import DAY_MS, HOUR_MS

START_MS = 1_781_157_600_000
JOB, TENANT = JobId("j-0000000000"), TenantId("t-0000000000")
"""Names that are exchanged for others of the same length."""
GPU = "H100-SXM"
OTHER_TENANTS = 1_000
"""Every second job belongs to the caller, the others to so many tenants."""
CHUNK = 20_000
FAST = ("locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF", "cache_size=-400000", "temp_store=MEMORY")


def life() -> tuple[JobsSubmitted, list[Command]]:
    """One job from its submission to its final receipt: the event, and every command that projects something of it."""
    name = SiteId("s-bench")
    pool = PoolSpec(pool=pool_id(name, GPU), gpu_model=GPU, count=1, devices=("gpu0",))
    site = SiteSpec(
        site=name,
        owner=TenantId("p-bench"),
        zone=ZoneId("NO-NO1"),
        country="NO",
        cooling="air",
        overhead_ppm=1_080_000,
        overhead_quality=Quality.MODELLED,
        water_ml_per_kwh=500,
        ask_usd_micro_per_gpu_h=2_400_000,
        admission=Admission.ANYONE,
        pools=(pool,),
        public_key="0" * 64,
    )
    spec = JobSpec(
        job=JOB,
        tenant=TENANT,
        commitment="c" * 64,
        origin_zone=ZoneId("DE"),
        length_ms=HOUR_MS,
        units=1_000,
        deadline_ms=START_MS + 12 * HOUR_MS,
        functional_unit="step",
        escrow_wei=10**19,
    )
    scenario = Scenario(
        start_ms=START_MS,
        hours=13,
        sites=(site,),
        jobs=((START_MS, spec),),
        rules=NetworkStarted(network="bench", policy=PolicyInputs(), epoch_ms=2 * DAY_MS),
        rate=RateObserved(wei_per_usd_micro=2 * 10**12, sources=("fixed",), quality=Quality.MODELLED),
        deposits=(Deposited(tenant=TENANT, amount_wei=10**20),),
    )
    simulation = Simulation(scenario)
    simulation.run()
    return JobsSubmitted(jobs=(spec,)), [one for one in simulation.journal.projected.values() if _is_of_job(one)]


def _is_of_job(command: Command) -> bool:
    if isinstance(command, PostEntries):
        return all(entry.ref == JOB for entry in command.entries)
    return isinstance(command, JobChanged | IssueReceipt)


def fill(control: ControlPlane, file: Path, tenant: str, count: int) -> list[str]:
    """Close `count` jobs in the store of a control plane that serves nobody yet; names of some of the caller's jobs.

    The control plane must not be used afterwards: another one starts from what this leaves.
    """
    submitted, commands = life()
    names = [_name(number, count) for number in range(count)]
    control.store.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in FAST:
            connection.execute(f"PRAGMA {pragma}")
        indexes = _drop_indexes(connection)
        connection.execute("BEGIN")
        connection.execute("CREATE TEMP TABLE filled (sequence INTEGER PRIMARY KEY, job TEXT, tenant TEXT)")
        _journal(control, connection, submitted, names, tenant)
        for table, rows in _templates(commands).items():
            _copy(connection, table, rows)
        _contents(connection)
        connection.execute("COMMIT")
        for statement in indexes:
            connection.execute(statement)
        connection.execute("PRAGMA journal_mode=WAL")
    # What was just written goes to the disk now, not in the middle of what is measured.
    os.sync()
    state = control.state
    state.world.sequence += count
    control.store.save_snapshot(state.world.sequence, snapshots.dump(state))
    return [job for sequence, job in enumerate(names, control.writer.head.sequence + 1) if sequence % 2]


def _name(number: int, count: int) -> str:
    """Names in order, spread over all there are, so that new ones fall between them."""
    spread = ((number + 1) * 2**50 // (count + 1)).to_bytes(7, "big")[-7:]
    return "j-" + base64.b32hexencode(spread).decode().lower()[:10]


def _drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop what is cheaper built at the end; the statements that make it again."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in found:
        connection.execute(f'DROP INDEX "{name}"')
    return [str(sql) for _, sql in found]


def _journal(
    control: ControlPlane, connection: sqlite3.Connection, submitted: JobsSubmitted, names: list[str], tenant: str
) -> None:
    """Record every submission behind the head."""
    head, at_ms = control.writer.head, control.state.world.at_ms
    event = Event(at_ms, JobsSubmitted(jobs=(replace(submitted.jobs[0], tenant=TENANT),)))
    body, previous = event.body(), head.hash
    rows = []
    for sequence, job in enumerate(names, head.sequence + 1):
        whose = tenant if sequence % 2 else f"t-{sequence % OTHER_TENANTS:010d}"
        mine = body.replace(JOB.encode(), job.encode()).replace(TENANT.encode(), whose.encode())
        current = record_hash(previous, sequence, head.term, event.kind, event.version, at_ms, mine)
        rows.append((sequence, previous, current, head.term, event.kind, event.version, at_ms, mine, job, whose))
        previous = current
        if len(rows) == CHUNK or job == names[-1]:
            connection.executemany("INSERT INTO journal VALUES (?,?,?,?,?,?,?,?)", [row[:8] for row in rows])
            connection.executemany("INSERT INTO filled VALUES (?,?,?)", [(row[0], row[8], row[9]) for row in rows])
            rows.clear()
    connection.execute("UPDATE journal_head SET sequence = ?, hash = ?", (head.sequence + len(names), previous))


def _templates(commands: list[Command]) -> dict[str, list[Row]]:
    """The rows of the one job by table, as the projections make them."""
    rows = rows_of(1, [tuple(commands)], lambda _body: "5" * 128)
    return {
        "jobs": list(rows.jobs.values()),
        "job_history": rows.history,
        "ledger_entries": rows.entries,
        "receipts": rows.receipts,
        "month_receipts": rows.months,
    }


def _copy(connection: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    """Give every job the rows of the first, in the order in which the table keeps them."""
    names = list(rows[0])
    connection.execute(f"CREATE TEMP TABLE of_{table} ({', '.join(names)})")
    marks = ", ".join("?" * len(names))
    values = [[_plain(row[name]) for name in names] for row in rows]
    connection.executemany(f"INSERT INTO of_{table} VALUES ({marks})", values)  # noqa: S608  no caller's words
    cells = ", ".join(_cell(name, [row[at] for row in values]) for at, name in enumerate(names))
    connection.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {cells} FROM filled CROSS JOIN of_{table} AS one"  # noqa: S608
    )


def _plain(value: object) -> object:
    """As SQLite keeps it: amounts of money as text, since they exceed 64 bits."""
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def _cell(name: str, values: list[object]) -> str:
    """A column in SQL: the job's own names and place instead of the first one's."""
    if name in {"sequence", "first_sequence"}:
        return "filled.sequence"
    cell = f"one.{name}"
    for word, column in ((JOB, "job"), (TENANT, "tenant")):
        if any(isinstance(value, str) and word in value for value in values):
            cell = f"replace({cell}, '{word}', filled.{column})"
    return cell


def _contents(connection: sqlite3.Connection) -> None:
    """Private content: the name that pages of jobs show."""
    content = encode(JobContent(name="closed", command=("python", "train.py"))).decode()
    connection.execute(
        "INSERT INTO job_contents (job, tenant, salt, content, commitment) "
        "SELECT job, tenant, randomblob(32), ?, ? FROM filled ORDER BY sequence",
        (content, "c" * 64),
    )
