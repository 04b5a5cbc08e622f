"""An elastic job on real processes: on two GPUs, then on one because a job in a hurry takes the other."""

from __future__ import annotations

import io
import re
from importlib import resources
from pathlib import Path

import pytest

from sunward.cli.demo.scenario import SITES
from sunward.cli.demo.stage import Stage
from sunward.client import ApiClient
from sunward.client.pack import pack
from sunward.model.codec import decode
from sunward.model.request import JobRequest
from sunward.units import HOUR_S
from sunward.verification.bundle import Bundle
from sunward.verification.receipt import verify
from tests.e2e.live import SPEED, free_port, wait_until

pytestmark = pytest.mark.slow

SITE = SITES[2]
"""Two GPUs."""
UNITS = 3_000


def asked(bundle: str, name: str, **changes: object) -> JobRequest:
    plain = {"command": ("python3", "batch.py"), "origin_zone": "DE", "units": UNITS, "policy": "cheapest"}
    return JobRequest(name=name, bundle=bundle, **(plain | changes))  # type: ignore[arg-type]


def scripts(stage: Stage, client: ApiClient) -> str:
    packed = io.BytesIO()
    with resources.as_file(resources.files("sunward.demo") / "jobs") as folder:
        pack(folder, packed)
    archive = stage.folder / "jobs.tar"
    archive.write_bytes(packed.getvalue())
    return client.put_object(archive)


def held(stage: Stage, job: str) -> int:
    """GPUs that a job holds now."""
    with stage.client("provider") as client:
        leases = client.site(SITE.site).account.leases
        return next((one.gpus for one in leases if one.lease.startswith(f"{job}.") and one.state == "running"), 0)


def test_it_goes_from_two_gpus_to_one_and_is_paid_by_what_it_held(tmp_path: Path) -> None:
    with Stage(tmp_path, SPEED, free_port()) as stage:
        stage.start_control()
        stage.start_agent(SITE)
        with stage.client() as client:
            wait_until(lambda: any(site.reachable for site in client.sites()), "the agent answers")
            bundle = scripts(stage, client)
            # Long enough that a plan which a busy machine takes a minute for still finds it at work.
            elastic = {"length_s": 55 * HOUR_S, "interruptible": True, "deadline_s": 300 * HOUR_S}
            job = client.submit(asked(bundle, "elastic", gpus_max=2, speedup=(1.0, 2.0), **elastic), "once").job
            wait_until(lambda: held(stage, job) == 2 and client.job(job).units_done > 0, "it works on two GPUs")
            hurry = {"length_s": 15 * HOUR_S, "start_by_s": 30 * HOUR_S, "deadline_s": 90 * HOUR_S}
            other = client.submit(asked(bundle, "hurried", **hurry), "hurried").job
            wait_until(lambda: held(stage, job) == 1, "it goes on with one GPU")
            units = client.job(job).units_done
            wait_until(lambda: client.job(job).units_done > units, "it works on one GPU")
            for one in (job, other):
                client.cancel(one)
            wait_until(lambda: client.job(job).state == "cancelled", "it ends")
            assert stage.stop(SITE.site) == 0
            check(stage, client, job)


def check(stage: Stage, client: ApiClient, job: str) -> None:
    """It went on where it stopped, and every container second is on the receipt."""
    with stage.client("operator") as operator:
        operator.close_epoch()
    found = client.receipt(job)
    receipt = found.receipt
    assert [line.gpus for line in receipt.attempts if line.end_ms > line.start_ms] == [2, 1]
    units = [line.units for line in client.history(job)]
    assert units == sorted(units)
    held_ms = sum((line.end_ms - line.start_ms) * line.gpus for line in receipt.attempts)
    assert receipt.gpu_ms == pytest.approx(held_ms, rel=0.2)
    assert receipt.price_usd_micro == receipt.gpu_ms * round(SITE.ask_usd * 10**6) // 3_600_000
    assert verify(decode(client.bundle(job), Bundle)).findings == ()
    log = client.logs(job).text.decode()
    begun = [int(unit) for unit in re.findall(r"from unit (\d+)", log)]
    assert begun[0] == 0 < begun[1] <= receipt.units
