"""A running service is backed up, killed and put back elsewhere on the same address; then both sides change their keys.

One real agent and its job go on through all of it: the readings are complete and there once, the job ends once.
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner

from sunward.cli.demo.scenario import SITES
from sunward.cli.demo.stage import Stage
from sunward.cli.main import cli
from sunward.client.pack import pack
from sunward.metering.wire import decode_of_site
from sunward.model.codec import decode
from sunward.model.events import SiteEnrolled, read_event
from sunward.model.request import JobRequest, JobView
from sunward.model.site import SiteSpec
from sunward.units import HOUR_S
from sunward.verification.bundle import Bundle
from sunward.verification.journal import verify_chain
from sunward.verification.receipt import verify
from tests.e2e.live import SPEED, free_port, wait_until
from tests.e2e.outboxes import Outboxes

SITE = SITES[1]
UNITS = 400
STORED = "SELECT counter, hash, raw, seal_sequence FROM reading_batches WHERE site = ? ORDER BY counter"


def sunward(home: Path, *words: str) -> str:
    """One command on a home, in this process."""
    env = {"LANG": "C.UTF-8", "SUNWARD_LANG": "en", "SUNWARD_PASSPHRASE": "correct horse"}
    done = CliRunner().invoke(cli, ["--home", str(home), *words], env=env)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def submitted(stage: Stage) -> str:
    archive = stage.folder / "jobs.tar"
    packed = io.BytesIO()
    with resources.as_file(resources.files("sunward.demo") / "jobs") as scripts:
        pack(scripts, packed)
    archive.write_bytes(packed.getvalue())
    with stage.client() as client:
        request = JobRequest(
            name="moved",
            command=("python3", "batch.py"),
            bundle=client.put_object(archive),
            origin_zone="DE",
            length_s=2 * HOUR_S,
            units=UNITS,
            interruptible=True,
            deadline_s=48 * HOUR_S,
            policy="cheapest",
        )
        return client.submit(request, "once").job


def view(stage: Stage, job: str) -> JobView:
    with stage.client() as client:
        return client.job(job)


def reachable(stage: Stage) -> bool:
    stage.check_alive()
    with stage.client() as client:
        return any(site.reachable for site in client.sites())


def stored(stage: Stage) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{stage.home / 'sunward.db'}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(STORED, (SITE.site,)).fetchall()


@pytest.mark.slow
def test_a_service_moves_under_its_agent_and_both_change_their_keys(tmp_path: Path) -> None:
    with Stage(tmp_path, SPEED, free_port()) as stage:
        outboxes = Outboxes({SITE.site: stage.agent_folder(SITE.site)})
        stage.start_control()
        stage.start_agent(SITE)
        wait_until(lambda: reachable(stage), "the agent answers")
        job = submitted(stage)
        wait_until(lambda: view(stage, job).units_done > 0, "the job works")
        sunward(stage.home, "backup", str(tmp_path / "b.tar"))
        lost = len(stored(stage))
        wait_until(lambda: len(stored(stage)) > lost + 1, "readings arrive that the backup lacks")
        outboxes.look()
        stage.kill("control")
        stage.home = tmp_path / "moved"
        sunward(stage.home, "restore", str(tmp_path / "b.tar"))
        sunward(stage.home, "key", "rotate", "service")
        stage.start_control()
        wait_until(lambda: view(stage, job).state == "finished", "the job ends")
        assert stage.stop(SITE.site) == 0
        sunward(stage.home, "key", "rotate", "agent", "--folder", str(stage.agent_folder(SITE.site)))
        first = outboxes.head(SITE.site)[0] + 1
        stage.start_agent(SITE)
        wait_until(lambda: len(stored(stage)) > first, "readings arrive under the new key")
        assert stage.stop(SITE.site) == 0
        outboxes.look()
        check(stage, outboxes, job, first)


def check(stage: Stage, outboxes: Outboxes, job: str, first: int) -> None:
    """Everything, once the agent has gone."""
    with stage.client("operator") as operator, stage.client() as tenant:
        operator.close_epoch()
        assert tenant.receipt(job).final
        head = operator.journal_head()
        records = list(operator.whole_journal())
        old, new = (key.public_key for key in operator.signing_keys().keys)
        bundle = decode(tenant.bundle(job), Bundle)
        receipts = [one for epoch in operator.epochs() for one in epoch.receipts]
        ends = [line for line in tenant.history(job) if line.state == "finished"]
    assert len(ends) == 1
    assert len(receipts) == 1
    for known in (old, new):
        assert verify_chain(records, head, known).findings == ()
        assert verify(bundle, known).findings == ()
    payloads = (read_event(one.kind, one.version, one.at_ms, one.body.encode()).payload for one in records)
    spec = [payload.spec for payload in payloads if isinstance(payload, SiteEnrolled)][-1]
    assert [one.last_counter for one in spec.retired_keys] == [first - 1]
    check_readings(stage, outboxes, spec)


def check_readings(stage: Stage, outboxes: Outboxes, spec: SiteSpec) -> None:
    """One chain without a hole, each batch under the key of its number, as the agent signed it."""
    hashes = {0: ""}
    for counter, hash_, raw, seal in stored(stage):
        batch = decode_of_site(raw, spec)
        assert (batch.counter, batch.previous) == (counter, hashes[counter - 1])
        assert hash_ == hashlib.sha256(raw).hexdigest()
        assert seal is not None
        hashes[counter] = hash_
    assert outboxes.head(SITE.site) == (len(hashes) - 1, hashes[len(hashes) - 1])
    assert outboxes.waiting(SITE.site) == []
    assert outboxes.seen[SITE.site].items() <= hashes.items()
