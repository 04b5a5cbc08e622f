"""A home of an older version, with a job that runs, goes on under this one."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.sql import open_store
from sunward.model.codec import decode, encode
from sunward.model.site import LeaseReport
from tests.api.harness import Agent, Machine, Service, finish, submit

HOMES = Path(__file__).parent / "homes"


def restored(kept: dict[str, Any], home: Path) -> None:
    """The home folder as it was written down."""
    home.mkdir()
    (home / "control.key").write_bytes(bytes.fromhex(kept["control_key"]))
    (home / "credentials.json").write_text(json.dumps(kept["credentials"]))
    database = sqlite3.connect(home / "sunward.db")
    database.executescript("\n".join(kept["sql"]))
    database.close()


def agent_of(kept: dict[str, Any], service: Service) -> Agent:
    """The agent as it stood."""
    told = dict(kept["agent"])
    reports = decode(encode(told.pop("reports")), tuple[LeaseReport, ...])
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told.pop("key")))
    return Agent(service, key=key, reports={report.lease: report for report in reports}, **told)


@pytest.mark.parametrize("file", sorted(HOMES.glob("*.json")), ids=lambda file: file.stem)
def test_a_home_with_a_running_lease_goes_on(file: Path, tmp_path: Path) -> None:
    kept = json.loads(file.read_text(encoding="utf-8"))
    restored(kept, tmp_path / "home")
    machine = Machine()
    machine.ms = kept["machine_ms"]
    service = Service(tmp_path / "home", machine)
    agent = agent_of(kept, service)
    assert [order.lease for order in agent.sync().orders.leases] == [kept["lease"]]
    finish(service, agent, kept["lease"])
    service.ok("POST", "/v1/epochs/close", "operator")
    receipt = service.ok("GET", f"/v1/jobs/{kept['job']}/receipt")
    assert receipt["final"]
    assert sum(line["gpu_j"] for line in receipt["receipt"]["lines"]) > 300 * 60 * 30
    assert service.ok("GET", f"/v1/jobs/{kept['job']}")["state"] == "finished"
    assert submit(service)
    service.close()
    open_store(f"sqlite:///{tmp_path}/fresh.db").close()
    assert schema_of(tmp_path / "home" / "sunward.db") == schema_of(tmp_path / "fresh.db")


def schema_of(file: Path) -> dict[str, object]:
    """Every column of every table, in whatever order, and the version."""
    database = sqlite3.connect(file)
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    shape: dict[str, object] = {
        name: {(one[1], one[2], one[3], one[5]) for one in database.execute(f"PRAGMA table_info({name})")}
        for name in names
    }
    shape["indexes"] = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    shape["version"] = database.execute("SELECT version FROM schema_version").fetchone()
    database.close()
    return shape
