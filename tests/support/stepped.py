"""Processes of `sunward` on machines whose clock is set while they run, and whose database waits less long for a lock.

What they load is loaded once: each begins as a fork of a process that has done nothing else yet, for a run with many
starts would spend half of its work on them. Other tests with real processes start `python -m sunward` itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

LOG_MODE = 0o644


class Stepped(subprocess.Popen[bytes]):
    """A process as `Popen` shows one."""

    def __init__(self, clock: Path, busy_s: float, words: list[str], log: Path, environ: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.support.warm"])
        self._process = context.Process(target=_run, args=(str(clock), busy_s, words, str(log), dict(environ)))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def __del__(self) -> None:
        """Nothing is left to a process of another's."""

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("sunward", timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            # Its parent may have seen it end, and not have said so yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)


def _run(clock: str, busy_s: float, words: list[str], log: str, environ: dict[str, str]) -> None:
    """Be `sunward` with these words."""
    os.setsid()
    told = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, LOG_MODE)
    for standard in (1, 2):
        os.dup2(told, standard)
    os.environ.clear()
    os.environ.update(environ)
    import_module("tests.support.warm").read_clock(clock)
    if "up" in words:
        vars(import_module("sunward.adapters.database"))["BUSY_TIMEOUT_S"] = busy_s
    sys.argv = ["sunward", *words]
    import_module("sunward.cli.main").main()
