"""Write a home with a running lease as text, before a change of the store's schema: the upgrade test starts from it.

python tools/dump_home.py tests/api/homes/v1.json
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.api.harness import Agent, Service, start

from sunward.model.codec import encode
from sunward.units import MINUTE_MS


def main(target: Path) -> None:
    """Run a job half way and write down the whole home, and where its agent stands."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        service = Service(home)
        agent = Agent(service)
        agent.join()
        job, lease = start(service, agent)
        service.pass_grid(5 * MINUTE_MS)
        agent.meter(lease)
        service.control.seal_now()
        state = {
            "machine_ms": service.machine.ms,
            "job": job,
            "lease": lease,
            "agent": {
                "key": agent.key.private_bytes_raw().hex(),
                "boot": agent.boot,
                "version": agent.version,
                "token": agent.token,
                "counter": agent.counter,
                "previous": agent.previous,
                "metered_to_ms": agent.metered_to_ms,
                "joules": agent.joules,
                "reports": [asdict(report) for report in agent.reports.values()],
            },
            "control_key": (home / "control.key").read_bytes().hex(),
            "credentials": json.loads((home / "credentials.json").read_bytes()),
        }
        service.close()
        with sqlite3.connect(home / "sunward.db") as database:
            state["sql"] = list(database.iterdump())
        database.close()
    target.write_text(json.dumps(json.loads(encode(state)), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
