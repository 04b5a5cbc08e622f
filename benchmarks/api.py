"""How fast the API is under load, with a million closed jobs stored and work going on.

A real service process (`sunward up`, SQLite with `synchronous=FULL`, loopback) serves a store filled by `_closed`,
twenty sites of eighty GPUs whose agents another process simulates (`_agents`), and a tenant in a third process
(`_load`) that submits 50 jobs a second and reads 20 times a second for a minute, on a fixed timetable. Latencies are
the client's, from the moment a request was due. `submit_to_placed_p95_ms` ends with the journal's moment of the record
that places the job, `seen_submit_to_placed_p95_ms` with an answer that shows it, for every tenth job, and
`server_submit_to_placed_p95_ms` is the service's own histogram, from commit to commit, read up to its bucket's bound.
Grid time is real time, so within the minute jobs are placed but hardly any starts, and a site that joins in the
middle of the load has all planned again. With `--speed 1200`, jobs of minutes also start, run and finish within the
run, and every 0.75 s is a slot border at which all is planned again. All processes share the cores that the benchmark
was given; the calibration is taken before the load.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np

from benchmarks._closed import fill
from benchmarks.calibration import calibrate
from sunward.cli.up import policy_at
from sunward.engine.inputs import Feeds
from sunward.errors import InvariantError
from sunward.model.codec import decode
from sunward.model.events import Deposited
from sunward.model.identity import TenantId
from sunward.service.bootstrap import DATABASE_FILE, LOCAL_RULES, Credentials, build_control, issue_credentials
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import DAY_MS, SECOND_MS

EPOCH_MS = 30 * DAY_MS
"""No epoch closes during the load: a day's worth of jobs is closed once a day, not every 72 s."""
DEPOSIT_WEI = 10**26
READY_S = 60.0
WARM_S = 3.0
"""Agents are heard and awake before the load begins."""
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is stored and asked; the defaults are what the published figures mean."""

    jobs: int = 1_000_000
    sites: int = 20
    gpus: int = 80
    seconds: float = 60.0
    submits_per_s: float = 50.0
    reads_per_s: float = 20.0
    speed: int = 1
    """How many times as fast as real time grid time runs."""


def prepare(home: Path, sizes: Sizes) -> tuple[Credentials, list[str]]:
    """A home with the closed jobs in its store; the credentials, and the names of the tenant's closed jobs."""
    feeds = Feeds(ClimatologySource(), ClimatologyForecaster())
    rules = replace(LOCAL_RULES, policy=policy_at(sizes.speed), epoch_ms=EPOCH_MS)
    control = build_control(home, speed=sizes.speed, feeds=feeds, rules=rules)
    path = issue_credentials(control, home, "")
    credentials = decode(path.read_bytes(), Credentials)
    token = control.store.access.lookup_token(credentials.tenant_token, control.clock.machine_ms())
    if token is None:
        raise InvariantError("the credentials just made are not known")
    control.commit_one(Deposited(tenant=TenantId(token.subject), amount_wei=DEPOSIT_WEI))
    names = fill(control, home / DATABASE_FILE, token.subject, sizes.jobs)
    control.store.close()
    return credentials, names


@contextmanager
def process(*words: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its standard output as a pipe and its errors in a file, ended with the block."""
    with log.open("wb") as errors:
        running = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=errors)
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(READY_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            if running.stdout:
                running.stdout.close()


def first_line(running: subprocess.Popen[bytes], log: Path) -> dict[str, object]:
    """The JSON line with which a process says that it is ready."""
    line = running.stdout.readline() if running.stdout else b""
    if not line:
        raise InvariantError(f"a process ended before it was ready: {log.read_text()[-2000:]}")
    return dict(json.loads(line))


def measure(folder: Path, sizes: Sizes) -> dict[str, object]:
    """Everything in a folder."""
    begun = time.perf_counter()
    home = folder / "home"
    credentials, names = prepare(home, sizes)
    filled_s = time.perf_counter() - begun
    up = (
        "-m",
        "sunward",
        "--json",
        "--home",
        str(home),
        "up",
        "--port",
        "0",
        "--speed",
        str(sizes.speed),
        "--grace",
        "120",
    )
    with process(*up, log=folder / "service.log") as service:
        url = str(first_line(service, folder / "service.log")["url"])
        told = {
            "url": url,
            "operator_token": credentials.operator_token,
            "sites": sizes.sites,
            "late_s": sizes.seconds / 2,
            "gpus": sizes.gpus,
        }
        (folder / "agents.json").write_text(json.dumps(told))
        with process("-m", "benchmarks._agents", str(folder / "agents.json"), log=folder / "agents.log") as agents:
            first_line(agents, folder / "agents.log")
            time.sleep(WARM_S)
            spent_s = _cpu_s(service.pid)
            tally = load(folder, url, credentials, names, sizes)
            spent_s = _cpu_s(service.pid) - spent_s
            operator = {"authorization": f"Bearer {credentials.operator_token}"}
            text = httpx.get(f"{url}/metrics", headers=operator, timeout=READY_S).raise_for_status().text
    return report(tally, text, sizes) | {
        "jobs": sizes.jobs,
        "speed": sizes.speed,
        "service_cpu_share": round(spent_s / sizes.seconds, 3),
        "fill_s": round(filled_s, 1),
        "database_mib": round((home / DATABASE_FILE).stat().st_size / MIB),
    }


def _cpu_s(pid: int) -> float:
    """CPU time of a process without its children, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(folder: Path, url: str, credentials: Credentials, names: list[str], sizes: Sizes) -> dict[str, object]:
    """Run the tenant's process to its end."""
    told = {
        "url": url,
        "tenant_token": credentials.tenant_token,
        "seconds": sizes.seconds,
        "submits_per_s": sizes.submits_per_s,
        "reads_per_s": sizes.reads_per_s,
    }
    (folder / "load.json").write_text(json.dumps(told))
    (folder / "closed.json").write_text(json.dumps(names))
    subprocess.run([sys.executable, "-m", "benchmarks._load", str(folder)], check=True)
    return dict(json.loads((folder / "tally.json").read_bytes()))


def report(tally: dict[str, object], metrics: str, sizes: Sizes) -> dict[str, object]:
    """The figures."""
    submit, placed, seen = (tally[name] for name in ("submit_ms", "placed_ms", "seen_ms"))
    reads, errors = tally["read_ms"], tally["errors"]
    assert isinstance(submit, list)
    assert isinstance(seen, list)
    assert isinstance(placed, list)
    assert isinstance(reads, dict)
    assert isinstance(errors, list)
    every = [value for values in reads.values() for value in values]
    if not submit or not placed or not every:
        raise InvariantError(f"nothing was answered: {errors[:3]}")
    return {
        "read_p99_ms": _at(every, 99),
        "read_p50_ms": _at(every, 50),
        "submit_p99_ms": _at(submit, 99),
        "submit_p50_ms": _at(submit, 50),
        "submits_per_s": round(len(submit) / sizes.seconds, 1),
        "submit_to_placed_p50_ms": _at(placed, 50),
        "submit_to_placed_p95_ms": _at(placed, 95),
        "submit_to_placed_p99_ms": _at(placed, 99),
        "server_submit_to_placed_p95_ms": _bucket_ms(metrics, 95),
        "reads_p99_ms": {kind: _at(values, 99) for kind, values in sorted(reads.items())},
        "seen_submit_to_placed_p95_ms": _at(seen, 95),
        "without_place": tally["without_place"],
        "jobs_by_state": _states(metrics),
        "full_plans": _value(metrics, "sunward_plan_seconds_count"),
        "full_plan_s": round(_value(metrics, "sunward_plan_seconds_sum"), 1),
        "immediate_plans": _value(metrics, "sunward_immediate_plans_total"),
        "rejected_assignments": _value(metrics, "sunward_rejected_assignments_total"),
        "errors": len(errors),
        "error_examples": errors[:3],
        "client_late_ms": round(float(str(tally["late_ms"])), 1),
    }


def _at(values: list[float], percent: float) -> float:
    return round(float(np.percentile(values, percent)), 1)


def _value(metrics: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)", metrics, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def _states(metrics: str) -> dict[str, int]:
    """Jobs without a final receipt by state, at the end of the load."""
    found = re.findall(r'^sunward_jobs\{state="(\w+)"\} (\S+)', metrics, re.MULTILINE)
    return {word: int(float(count)) for word, count in found}


def _bucket_ms(metrics: str, percent: float) -> float | None:
    """Upper bound of the bucket that holds a percentile; none beyond the last bound."""
    found = re.findall(r'^sunward_submit_to_placed_seconds_bucket\{le="([^"]+)"\} (\S+)', metrics, re.MULTILINE)
    total = float(found[-1][1]) if found else 0.0
    for bound, count in found:
        if bound != "+Inf" and float(count) >= total * percent / 100:
            return float(bound) * SECOND_MS
    return None


def main() -> int:
    """Run the whole benchmark and print its figures."""
    plain = Sizes()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=plain.jobs, help="closed jobs in the store")
    parser.add_argument("--seconds", type=float, default=plain.seconds, help="how long the load lasts")
    parser.add_argument("--submits", type=float, default=plain.submits_per_s, help="submissions a second")
    parser.add_argument("--speed", type=int, default=plain.speed, help="how many times as fast grid time runs")
    parser.add_argument("--folder", type=Path, help="where the store lies; default a temporary folder")
    arguments = parser.parse_args()
    sizes = Sizes(
        jobs=arguments.jobs, seconds=arguments.seconds, submits_per_s=arguments.submits, speed=arguments.speed
    )
    calibration = calibrate()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        result = measure(Path(folder), sizes)
    print(json.dumps(result | {"cores": len(os.sched_getaffinity(0))} | calibration))
    return 0


if __name__ == "__main__":
    sys.exit(main())
