"""Searches in processes of their own: the API's thread does not share its interpreter with them.

Full plans have one at low priority; under load, prices and new jobs have another. A process takes searches with their
arguments on its standard input and gives what they find on its standard output. It ends with its input, so it never
outlives the service, however that ended.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sunward.model.codec import decode, encode
from sunward.model.events import PlanProposed
from sunward.placement import crowd

log = logging.getLogger("sunward.solver")

T = TypeVar("T")
Run: TypeAlias = Callable[..., Any]
"""Runs a search, given with its arguments, here or in another process, and waits for what it finds."""
NICENESS = 5
COMPILED = ("lures", "room", "seek")
"""Modules of crowds that hold compiled loops."""
END_S = 2.0
"""Longest wait for the process to end when asked."""


def here(search: Callable[..., T], *arguments: object) -> T:
    """Run a search in this thread."""
    return search(*arguments)


class _Packed:
    """A plan that crosses the pipe as its bytes: a hundred thousand assignments are read sooner than from a pickle."""

    def __init__(self, proposed: PlanProposed) -> None:
        self._proposed = proposed

    def __reduce__(self) -> tuple[Callable[..., PlanProposed], tuple[bytes, type[PlanProposed]]]:
        return decode, (encode(self._proposed), PlanProposed)


class SolverProcess:
    """One search at a time; a process that was lost is replaced, and its search done here."""

    def __init__(self, niceness: int = NICENESS) -> None:
        self._niceness = niceness
        self._process: subprocess.Popen[bytes] | None = None
        self._one = threading.Lock()

    def run(self, search: Callable[..., T], *arguments: object) -> T:
        """Run a search, a function that a module names, and wait for what it finds; to be called in a thread."""
        with self._one:
            try:
                found: T = self._ask(search, arguments)
            except (OSError, EOFError, pickle.UnpicklingError) as reason:
                log.warning("the solver process was lost (%s): planning goes on in this one", reason)
                self.close()
                return search(*arguments)
        return found

    def _ask(self, search: Callable[..., T], arguments: tuple[object, ...]) -> T:
        if self._process is None:
            words = [sys.executable, "-m", "sunward.service.solver", str(self._niceness)]
            # A session of its own: Ctrl-C is for the service, which then ends this.
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        asked, told = self._process.stdin, self._process.stdout
        if asked is None or told is None:
            raise OSError("no pipes to the solver process")
        pickle.dump((search, arguments), asked, pickle.HIGHEST_PROTOCOL)
        asked.flush()
        found: T = pickle.load(told)  # noqa: S301  our own process wrote it
        return found

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


class SpareProcess:
    """Searches here while they come one by one; from the first time that two meet on, in a process of its own.

    A small service is spared the second process, and no search waits for its start.
    """

    def __init__(self) -> None:
        self._process = SolverProcess(0)
        self._here = 0
        self._starting = False
        self._started = False

    def run(self, search: Callable[..., T], *arguments: object) -> T:
        """As `SolverProcess.run`."""
        if self._started:
            return self._process.run(search, *arguments)
        if self._here and not self._starting:
            self._starting = True
            threading.Thread(target=self._start, daemon=True).start()
        self._here += 1
        try:
            return search(*arguments)
        finally:
            self._here -= 1

    def _start(self) -> None:
        self._process.run(int)
        self._started = True

    def close(self) -> None:
        """End the process."""
        self._process.close()


def compile_ahead() -> subprocess.Popen[bytes] | None:
    """Begin to compile what plans of large crowds need, in a process that nobody waits for.

    None where that was done: what is compiled lies beside the sources, and is read when it is needed.
    """
    folder = Path(crowd.__file__).parent
    if all(_is_compiled(folder / f"{name}.py") for name in COMPILED):
        return None
    words, nothing = [sys.executable, "-m", "sunward.service.warm"], subprocess.DEVNULL
    return subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def _is_compiled(source: Path) -> bool:
    written_s = source.stat().st_mtime
    return any(one.stat().st_mtime >= written_s for one in source.parent.glob(f"__pycache__/{source.stem}.*.nbi"))


def main() -> None:
    """Solve what comes until nothing more can come."""
    os.nice(int(sys.argv[1]))
    # A service that was killed reads no plan any more: this ends without a word, as every program of a pipe does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    while True:
        try:
            search, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301  the service that started this wrote it
        except (EOFError, pickle.UnpicklingError):
            # The second: it was killed while it asked.
            return
        found = search(*arguments)
        packed = _Packed(found) if isinstance(found, PlanProposed) else found
        pickle.dump(packed, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
