"""Does units of work that prove themselves: each hashes the one before it.

The last value can only be reached by doing every unit once and in order, whatever number of attempts it took:
one unit skipped or done twice gives another value.
"""

from __future__ import annotations

import hashlib
import json
import os

from paced import Job, replace

FIRST = hashlib.sha256(b"sunward batch").hexdigest()


def link(previous: str, unit: int) -> str:
    """The value after one more unit."""
    return hashlib.sha256(f"{previous} {unit}".encode()).hexdigest()


def chain(units: int) -> str:
    """The value that a whole job must end with."""
    value = FIRST
    for unit in range(1, units + 1):
        value = link(value, unit)
    return value


def main() -> None:
    """Extend the chain to the last unit, or to a checkpoint when asked to stop."""
    job = Job()
    state = job.checkpoint / "state.json"
    done, value = 0, FIRST
    if state.exists():
        stored = json.loads(state.read_text(encoding="utf-8"))
        done, value = int(stored["units"]), str(stored["value"])
    print(f"attempt {os.environ.get('SUNWARD_ATTEMPT', '1')} from unit {done}", flush=True)

    def save() -> None:
        replace(state, json.dumps({"units": done, "value": value}).encode())
        print(f"unit {done} of {job.units}", flush=True)

    for unit in job.work(done, save):
        value = link(value, unit)
        done = unit
    replace(job.output / "chain.json", json.dumps({"units": done, "value": value}).encode())
    print(f"unit {done} of {job.units}, chain {value[:16]}", flush=True)


if __name__ == "__main__":
    main()
