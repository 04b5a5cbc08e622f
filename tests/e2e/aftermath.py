"""What must hold after any number of faults, checked on what the network left behind."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections import Counter
from contextlib import closing
from importlib import resources
from pathlib import Path
from types import ModuleType

from sunward.cli.demo.scenario import SITES
from sunward.cli.replay import recorded
from sunward.client import ApiClient
from sunward.engine.advance import advance
from sunward.engine.state import State
from sunward.errors import InputError
from sunward.metering.wire import decode_batch
from sunward.model.codec import decode, encode
from sunward.model.commands import Command
from sunward.model.events import ReadingsSealed
from sunward.ports import Recorded
from sunward.service.bootstrap import DATABASE_FILE
from sunward.service.keys import KEY_FILE, load_key
from sunward.sim.checkers import check_all
from sunward.sim.parity import run_again
from sunward.verification.bundle import Bundle
from sunward.verification.journal import verify_chain
from sunward.verification.receipt import verify
from tests.e2e.live import FINAL, Asked, Live, views, wait_until
from tests.support.fault_proxy import Fate

FAUCET = "faucet:test"
SERVER_ERROR, UNAVAILABLE = 500, 503
MOST_GPUS = max(site.count for site in SITES)
RETRIES = 3
SEALS = "SELECT site, counter, hash, raw, seal_sequence FROM reading_batches ORDER BY site, counter"


def check(live: Live) -> None:
    """Everything, once all jobs have ended; ends the agents."""
    _check_orphans(live)
    _end_agents(live)
    with live.stage.client("operator") as operator:
        _close(live, operator)
        records = _check_journal(live, operator)
        state, commands = _run_again(records)
        assert check_all(records, commands, state, settled=True) == []
        _check_jobs(live)
        _check_receipts(live, records)
        _check_books(operator, state)
    _check_readings(live, state, records)
    _check_results(live)
    _check_answers(live)
    _check_logs(live)


def _check_orphans(live: Live) -> None:
    """No job outlives its agent."""
    wait_until(lambda: not [one for one in live.orphans if one.alive], "processes of killed agents end")


def _end_agents(live: Live) -> None:
    """End the agents as their owners would: the last readings are delivered before they go."""
    for site in SITES:
        assert live.stage.stop(site.site) == 0, f"the agent of {site.site} did not end well"
        assert live.outboxes.waiting(site.site) == [], f"{site.site} kept readings back"


def _close(live: Live, operator: ApiClient) -> None:
    """Close epochs until every receipt is final."""

    def final() -> bool:
        operator.close_epoch()
        with live.stage.client() as tenant:
            return all(_is_final(tenant, job) for job in live.jobs)

    wait_until(final, "every receipt is final")
    # What the last close ordered is still to be recorded, and would move money between two looks at the books.
    wait_until(lambda: not operator.offset().open, "every order of credits is carried out")


def _is_final(tenant: ApiClient, job: str) -> bool:
    try:
        return tenant.receipt(job).final
    except InputError:
        return False


def _check_journal(live: Live, operator: ApiClient) -> list[Recorded]:
    """The chain holds up to its signed head, and the simulator's wiring makes the same of it."""
    head = operator.journal_head()
    records = [record for record in operator.whole_journal() if record.sequence <= head.sequence]
    public_key = load_key(live.stage.home / KEY_FILE).public_key().public_bytes_raw().hex()
    assert verify_chain(records, head, public_key).findings == ()
    found = recorded(records)
    parity = run_again(found)
    assert parity.head_hash == head.hash
    assert parity.plans_differing == []
    assert parity.plans > 0
    with live.stage.client() as tenant:
        shown = {job: encode(tenant.receipt(job).receipt) for job in live.jobs}
    assert shown == parity.receipts
    assert {one.epoch: encode(one) for one in operator.epochs()} == parity.statements
    return found


def _run_again(records: list[Recorded]) -> tuple[State, list[Command]]:
    state, commands = State(), []
    for record in records:
        commands += advance(state, record.event)
    return state, commands


def _check_jobs(live: Live) -> None:
    """Every acknowledged job is there, once, and has come to one end for one of the reasons that there can be."""
    shown = {view.job: view for view in views(live)}
    assert set(shown) == set(live.jobs)
    with live.stage.client() as tenant:
        for job, asked in live.jobs.items():
            state = shown[job].state
            states = [line.state for line in tenant.history(job)]
            assert [one for one in states if one in FINAL] == [states[-1]] == [state]
            attempts = tenant.receipt(job).receipt.attempts
            assert [line.attempt for line in attempts] == list(range(1, len(attempts) + 1))
            assert asked.gpus <= MOST_GPUS or state == "refused"
            # Killed more often than its tenant wanted it tried, or nobody was there to begin it before its deadline.
            failures = sum(line.ended == "failed" for line in attempts)
            assert (state == "failed") == (failures > RETRIES)
            assert state not in ("refused", "expired") or attempts == ()


def _check_receipts(live: Live, records: list[Recorded]) -> None:
    """One receipt a job, each accepted by code that shares nothing with what made it."""
    epochs = {record.sequence for record in records if record.event.kind in ("epoch_requested", "timer_fired")}
    with live.stage.client() as tenant:
        for job in live.jobs:
            if tenant.receipt(job).receipt.lines:
                verdict = verify(decode(tenant.bundle(job), Bundle))
                assert verdict.findings == (), job
    rows = _rows(live, "SELECT job, sequence FROM receipts")
    assert Counter(job for job, _ in rows) == dict.fromkeys(live.jobs, 1)
    assert {sequence for _, sequence in rows} <= epochs


def _check_books(operator: ApiClient, state: State) -> None:
    """The store's books are the journal's books, sum to zero, and only the faucet owes."""
    balances = {account: int(wei) for account, wei in operator.balances().items()}
    assert balances.pop("total") == 0
    assert sum(balances.values()) == 0
    assert [account for account, wei in balances.items() if wei < 0] == [FAUCET]
    assert balances == state.ledger.to_record()
    assert not [account for account in balances if account.startswith("escrow")]
    assert [statement.balance_wei for statement in operator.epochs() if statement.balance_wei] == []


def _check_readings(live: Live, state: State, records: list[Recorded]) -> None:
    """Every batch signed is stored once, as it was signed, in one chain, under the one seal that names it."""
    stored: dict[str, list[tuple]] = {}
    for site, *row in _rows(live, SEALS):
        stored.setdefault(site, []).append(tuple(row))
    assert set(stored) == {site.site for site in SITES}
    sealed = _sealed(records)
    for site, rows in stored.items():
        hashes, key = {0: ""}, state.world.sites[site].spec.public_key
        for counter, hash_, raw, seal in rows:
            batch = decode_batch(raw, key)
            assert hash_ == hashlib.sha256(raw).hexdigest()
            assert (batch.counter, batch.previous) == (counter, hashes.get(counter - 1)), f"{site} has a hole"
            assert sealed.get((site, counter)) == [seal]
            hashes[counter] = hash_
        assert live.outboxes.head(site) == (rows[-1][0], rows[-1][1])
        assert live.outboxes.seen[site].items() <= hashes.items()
    assert len(sealed) == sum(map(len, stored.values()))


def _sealed(records: list[Recorded]) -> dict[tuple[str, int], list[int]]:
    """Sequences of the seals that name a batch, by site and number."""
    found: dict[tuple[str, int], list[int]] = {}
    for record in records:
        payload = record.event.payload
        for part in payload.sites if isinstance(payload, ReadingsSealed) else ():
            for counter in range(part.first_counter, part.last_counter + 1):
                found.setdefault((part.site, counter), []).append(record.sequence)
    return found


def _check_results(live: Live) -> None:
    """A finished job left what one that nobody disturbed leaves."""
    finished = {view.job: live.jobs[view.job] for view in views(live) if view.state == "finished"}
    assert finished
    with live.stage.client() as tenant:
        for job, asked in finished.items():
            packed = io.BytesIO()
            tenant.save_output(job, packed)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as archive:
                files = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
            _check_files(asked, files, live.stage.folder / f"undisturbed-{asked.name}")


def _check_files(asked: Asked, files: dict[str, bytes], folder: Path) -> None:
    if asked.script == "batch.py":
        expected = {"units": asked.units, "value": _batch().chain(asked.units)}
        assert json.loads(files["chain.json"]) == expected, asked.name
        return
    undisturbed = _run_undisturbed(asked, folder)
    if asked.script == "train.py":
        # The archive of weights carries the hour it was written; the losses tell every step.
        files, undisturbed = ({"losses.csv": one["losses.csv"]} for one in (files, undisturbed))
        assert len(list(csv.reader(files["losses.csv"].decode().splitlines()))) == asked.units + 1
    assert files == undisturbed, asked.name


def _batch() -> ModuleType:
    """The job's own module: its hash chain tells every unit that was skipped or done twice."""
    with resources.as_file(resources.files("sunward.demo") / "jobs") as scripts:
        sys.path.insert(0, str(scripts))
        try:
            spec = importlib.util.spec_from_file_location("sunward_demo_batch", scripts / "batch.py")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(scripts))
    return module


def _run_undisturbed(asked: Asked, folder: Path) -> dict[str, bytes]:
    """The files of the same job, run alone and unpaced."""
    environ = {
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": ",".join(f"gpu-{number}" for number in range(asked.gpus)),
        "GANG_GPUS": str(asked.gpus),
        "SUNWARD_UNITS": str(asked.units),
        "SUNWARD_UNIT_MS": "0",
    }
    for name in ("checkpoint", "output"):
        (folder / name).mkdir(parents=True)
        environ[f"SUNWARD_{name.upper()}"] = str(folder / name)
    with resources.as_file(resources.files("sunward.demo") / "jobs") as scripts:
        command = [sys.executable, str(scripts / asked.script)]
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    return {path.name: path.read_bytes() for path in (folder / "output").iterdir()}


def _check_answers(live: Live) -> None:
    """On the faulty network the service never said that it is itself at fault, only that it cannot answer now."""
    answers = live.stage.proxy.answers
    assert live.stage.proxy.met.total() > live.stage.proxy.met[Fate.PASS] > 0
    assert {status for _, status in answers if status >= SERVER_ERROR} <= {UNAVAILABLE}, answers


def _check_logs(live: Live) -> None:
    """Nobody met anything that it was not made for."""
    for name in ("control", *(site.site for site in SITES)):
        assert "Traceback" not in live.stage.log(name).read_text(errors="replace"), name


def _rows(live: Live, query: str) -> list[tuple]:
    path = live.stage.home / DATABASE_FILE
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(query).fetchall()
