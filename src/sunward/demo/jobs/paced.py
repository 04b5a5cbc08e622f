"""What every demonstration job shares: the job contract, pacing, progress and checkpoints.

A job runs `for unit in job.work(done, save)`; one pass of the loop is one unit. Between units this module
keeps the pace, writes the progress, saves from time to time and answers SIGTERM. It needs the standard
library only, and works outside Sunward too: folders then lie beside the script and nothing is paced.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

MS_PER_S = 1_000
SAVES = 10
"""Checkpoints over the whole job, when time alone does not ask for more."""
SAVE_EVERY_S = 1.0
NOTE_EVERY_S = 0.05
NAP_S = 0.05
"""Longest sleep at a time, so that SIGTERM is answered soon after it comes."""
EXIT_SUSPENDED = 143


class Job:
    """One attempt of a job, as its environment describes it."""

    def __init__(self) -> None:
        self.units = int(os.environ.get("SUNWARD_UNITS") or 1)
        self.unit_s = float(os.environ.get("SUNWARD_UNIT_MS") or 0) / MS_PER_S
        self.checkpoint = _folder("SUNWARD_CHECKPOINT", "checkpoint")
        self.output = _folder("SUNWARD_OUTPUT", "output")
        progress = os.environ.get("SUNWARD_PROGRESS")
        self._progress = os.open(progress, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if progress else None
        self._noted_s = 0.0
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def work(self, done: int, save: Callable[[], None]) -> Iterator[int]:
        """Number each unit still to be done, from `done + 1`; the caller does it before asking for the next.

        `save` must put everything done so far into the checkpoint folder. On SIGTERM the work is saved and the
        process exits with 143. Units end on an absolute schedule: one that is late is never waited for.
        """
        first, start_s = done, time.monotonic()
        saved, saved_s = done, start_s
        self._note(done)
        while done < self.units:
            self._wait_until(start_s + (done - first + 1) * self.unit_s)
            if self._asked:
                self._save(done, save)
                sys.exit(EXIT_SUSPENDED)
            yield done + 1
            done += 1
            now_s = time.monotonic()
            if done - saved >= -(-self.units // SAVES) or now_s - saved_s >= SAVE_EVERY_S:
                self._save(done, save)
                saved, saved_s = done, now_s
            if now_s - self._noted_s >= NOTE_EVERY_S:
                self._note(done)
        self._note(done)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True

    def _wait_until(self, due_s: float) -> None:
        while not self._asked and (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, NAP_S))

    def _save(self, done: int, save: Callable[[], None]) -> None:
        save()
        # The count comes last: whoever sees it finds at least that much work in the folder.
        replace(self.checkpoint / "UNITS", f"{done}\n".encode())
        self._note(done)

    def _note(self, done: int) -> None:
        # The count only grows, so overwriting in place never leaves a mixture of two numbers.
        if self._progress is not None:
            os.pwrite(self._progress, f"{done}\n".encode(), 0)
        self._noted_s = time.monotonic()


def replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a reader sees the old content or the new."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.replace(path)


def _folder(variable: str, otherwise: str) -> Path:
    folder = Path(os.environ.get(variable) or otherwise)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
