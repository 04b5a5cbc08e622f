"""Runs `sunward` on a machine whose clock is set while it runs, and whose database waits less long for a lock.

    python stepped.py CLOCK BUSY_S up --port …

CLOCK is a file with the seconds by which the machine's clock is off now.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module

NS_PER_S = 1_000_000_000


def step_clock(path: str) -> None:
    """Have this process read a clock that is off by what the file says."""
    file = os.open(path, os.O_RDONLY)
    true_ns = time.time_ns

    def time_ns() -> int:
        return true_ns() + round(float(os.pread(file, 32, 0) or b"0") * NS_PER_S)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / NS_PER_S


def main() -> None:
    """Take the words before those of `sunward`, then be `sunward`."""
    clock, busy_s, *words = sys.argv[1:]
    # Only now, and not from the folder of this file.
    sys.path.pop(0)
    step_clock(clock)
    if words and "up" in words:
        vars(import_module("sunward.adapters.database"))["BUSY_TIMEOUT_S"] = float(busy_s)
    sys.argv = ["sunward", *words]
    import_module("sunward.cli.main").main()


if __name__ == "__main__":
    main()
