"""Full plans in a process of their own, at low priority: the API's thread never shares an interpreter with a search.

The process takes snapshots on its standard input and gives plans on its standard output. It ends with its input, so it
never outlives the service, however that ended.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys

from sunward.engine.inputs import plan_event
from sunward.model.events import PlanProposed
from sunward.world.snapshot import Snapshot

log = logging.getLogger("sunward.solver")

NICENESS = 5
END_S = 2.0
"""Longest wait for the process to end when asked."""


class SolverProcess:
    """One search at a time; a process that was lost is replaced, and its search done here."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def plan(self, snapshot: Snapshot) -> PlanProposed:
        """Solve on a snapshot and wait for the plan; to be called in a thread."""
        try:
            return self._ask(snapshot)
        except (OSError, EOFError, pickle.UnpicklingError) as reason:
            log.warning("the solver process was lost (%s): planning goes on in this one", reason)
            self.close()
            return plan_event(snapshot)

    def _ask(self, snapshot: Snapshot) -> PlanProposed:
        if self._process is None:
            words = [sys.executable, "-m", "sunward.service.solver"]
            # A session of its own: Ctrl-C is for the service, which then ends this.
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        asked, told = self._process.stdin, self._process.stdout
        if asked is None or told is None:
            raise OSError("no pipes to the solver process")
        pickle.dump(snapshot, asked, pickle.HIGHEST_PROTOCOL)
        asked.flush()
        proposed: PlanProposed = pickle.load(told)  # noqa: S301  our own process wrote it
        return proposed

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.kill()
        process.wait(END_S)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def main() -> None:
    """Solve what comes until nothing more can come."""
    os.nice(NICENESS)
    # A service that was killed reads no plan any more: this ends without a word, as every program of a pipe does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    while True:
        try:
            snapshot = pickle.load(sys.stdin.buffer)  # noqa: S301  the service that started this process wrote it
        except (EOFError, pickle.UnpicklingError):
            # The second: it was killed while it asked.
            return
        pickle.dump(plan_event(snapshot), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
