"""The demo's checks: each is run on what the network left behind, and any that fails fails the demo."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import httpx

from sunward.agent.identity import load_membership
from sunward.cli.demo.stage import Stage
from sunward.cli.replay import recorded, verdict_of
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.client.pack import unpack
from sunward.model.codec import encode
from sunward.sim.checkers import check_readings
from sunward.sim.parity import Parity, run_again
from sunward.verification.bundle import read_bundle
from sunward.verification.journal import verify_chain
from sunward.verification.receipt import verify

FENCED = 409


@dataclass(frozen=True, slots=True)
class Check:
    """One check that was run."""

    name: str
    passed: bool
    detail: str


def check_receipt(name: str, raw: bytes) -> Check:
    """A bundle is accepted by code that shares nothing with what made it."""
    bundle = read_bundle(raw)
    verdict = verify(bundle)
    detail = "; ".join(finding.text for finding in verdict.findings[:3])
    return Check(_("receipt of {job} verifies").format(job=name), verdict.ok, detail)


def check_tampered(raw: bytes) -> Check:
    """One changed digit of the energy is refused."""
    bundle = read_bundle(raw)
    mark = '"gpu_j":'
    at = bundle.receipt.index(mark) + len(mark)
    digit = "1" if bundle.receipt[at] != "1" else "2"
    verdict = verify(replace(bundle, receipt=bundle.receipt[:at] + digit + bundle.receipt[at + 1 :]))
    told = verdict.findings[0].text if verdict.findings else ""
    return Check(_("one changed byte is refused"), not verdict.ok, told)


def check_journal(client: ApiClient) -> tuple[list[Check], Parity]:
    """The chain holds, and running it again gives the same plans, receipts and ledger."""
    head = client.journal_head()
    records = [record for record in client.whole_journal() if record.sequence <= head.sequence]
    chain = verify_chain(records)
    events = recorded(records)
    parity = run_again(events)
    second = verdict_of(parity, records)
    readings = check_readings(events)
    checks = [
        Check(
            _("journal chain holds"),
            chain.ok,
            _("{count} records").format(count=len(records)) if chain.ok else chain.findings[0].text,
        ),
        Check(
            _("replay through the simulator gives the same journal and the same plans"),
            second.ok,
            _("{count} plans solved again").format(count=parity.plans) if second.ok else second.findings[0].text,
        ),
        Check(_("every reading was taken in once"), not readings, "; ".join(readings[:3])),
    ]
    return checks, parity


def check_parity(client: ApiClient, parity: Parity, jobs: Sequence[str]) -> Check:
    """Receipts of the second run equal the signed ones, byte for byte."""
    different = [job for job in jobs if encode(client.receipt(job).receipt) != parity.receipts.get(job)]
    return Check(
        _("receipts of the second run are the same bytes"), not different, ", ".join(different) or str(len(jobs))
    )


def check_books(client: ApiClient) -> Check:
    """The statement and the ledger balance to zero."""
    epochs = client.epochs()
    balance = epochs[-1].balance_wei if epochs else -1
    total = int(client.balances()["total"])
    return Check(_("ledger balances to zero"), balance == 0 and total == 0, f"{total} wei")


def check_fenced(stage: Stage, site: str, lease: str) -> Check:
    """A late write of the lost attempt, with its own agent's token, is refused."""
    membership = load_membership(stage.agent_folder(site))
    reply = httpx.put(
        f"{stage.credentials.url}/v1/leases/{lease}/checkpoint",
        params={"units": 1},
        content=b"late",
        headers={"Authorization": f"Bearer {membership.token}"},
        timeout=10,
    )
    passed = reply.status_code == FENCED
    return Check(_("a late write of the lost attempt is fenced"), passed, f"{lease}: HTTP {reply.status_code}")


def check_files(client: ApiClient, job: str, folder: Path) -> Check:
    """Fetched files are what their own list of hashes says."""
    with tempfile.TemporaryFile() as archive:
        client.save_output(job, archive)
        archive.seek(0)
        names = unpack(archive, folder)
    listed = [line.split() for line in (folder / "report.txt").read_text().splitlines() if len(line.split()) == 2]  # noqa: PLR2004
    hashes = [(name, digest) for digest, name in listed if len(digest) == hashlib.sha256().digest_size * 2]
    wrong = [name for name, digest in hashes if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest]
    return Check(
        _("fetched files match their hashes"),
        bool(hashes) and not wrong,
        ", ".join(wrong) or _("{count} files in {folder}").format(count=len(names), folder=folder),
    )


def check_training(client: ApiClient, job: str, units: int, folder: Path) -> Check:
    """The training that was paused and moved ends exactly as one that never was."""
    with tempfile.TemporaryFile() as archive:
        client.save_output(job, archive)
        archive.seek(0)
        unpack(archive, folder)
    with tempfile.TemporaryDirectory() as scratch:
        scripts = resources.files("sunward.demo") / "jobs"
        environ = {**os.environ, "SUNWARD_UNITS": str(units), "SUNWARD_UNIT_MS": "0", "OMP_NUM_THREADS": "1"}
        environ |= {"SUNWARD_CHECKPOINT": f"{scratch}/checkpoint", "SUNWARD_OUTPUT": f"{scratch}/output"}
        environ["SUNWARD_PROGRESS"] = f"{scratch}/progress"
        for name in ("checkpoint", "output"):
            Path(scratch, name).mkdir()
        with resources.as_file(scripts / "train.py") as script:
            subprocess.run([sys.executable, str(script)], env=environ, check=True, stdout=subprocess.DEVNULL)
        same = Path(scratch, "output", "losses.csv").read_bytes() == (folder / "losses.csv").read_bytes()
    with (folder / "losses.csv").open(encoding="utf-8") as table:
        last = list(csv.DictReader(table))[-1]
    return Check(
        _("the paused training ends bit for bit as an uninterrupted one"),
        same,
        _("step {step}, loss {loss}").format(step=f"{int(last['step']):,}", loss=f"{float(last['loss']):.3f}"),
    )
