"""What a process has before it becomes a control plane or an agent: all that they load, and a clock that can be set.

Loaded by the process that others are forked from, see `stepped`, and by no test.
"""

from __future__ import annotations

import os
import time
from importlib import import_module

NS_PER_S = 1_000_000_000
_true_ns = time.time_ns
_files: list[int] = []


def read_clock(path: str) -> None:
    """Have this process read a clock that is off by what the file says, in seconds."""
    _files[:] = [os.open(path, os.O_RDONLY)]


def _time_ns() -> int:
    off_s = float(os.pread(_files[0], 32, 0) or b"0") if _files else 0.0
    return _true_ns() + round(off_s * NS_PER_S)


# First: some take the clock as they are loaded.
time.time_ns = _time_ns
time.time = lambda: _time_ns() / NS_PER_S
for _name in ("sunward.cli.main", "sunward.cli.up", "sunward.cli.join", "sunward.service.app", "sunward.agent.daemon"):
    import_module(_name)
