"""The computing side of a challenge in a process of its own: when a job or the owner needs the GPU, it is ended.

So is whatever a driver keeps for a program that has once used it. It takes what to do on its standard input and gives
what came out on its standard output; it ends with its input, so it never outlives the agent.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from sunward.agent.challenge import Prover
from sunward.agent.challenge_store import NO_DEVICE, store_for
from sunward.errors import SourceError, SunwardError
from sunward.model.challenge import ChallengeOrder, Opening

END_S = 5.0
NICENESS = 5


class ProverProcess:
    """One challenge's store and products."""

    def __init__(self, order: ChallengeOrder, kind: str, devices: Sequence[str]) -> None:
        self._order = order
        self._kind = kind
        environ = os.environ | ({"CUDA_VISIBLE_DEVICES": ",".join(devices)} if kind == "gpu" else {})
        words = [sys.executable, "-m", "sunward.agent.challenge_process"]
        # A session of its own: Ctrl-C is for the agent, which then ends this.
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=environ
        )

    def fill(self) -> None:
        """Make the store. Raises: SourceError."""
        self._ask("fill", (self._order, self._kind))

    def commit(self, nonce: str) -> tuple[str, ...]:
        """The roots of all products. Raises: SourceError."""
        return tuple(self._ask("commit", (bytes.fromhex(nonce),)))

    def answer(self, question: str) -> tuple[Opening, ...]:
        """What a question asks to be opened. Raises: SourceError."""
        return tuple(self._ask("answer", (bytes.fromhex(question),)))

    def _ask(self, what: str, arguments: tuple[object, ...]) -> Any:  # noqa: ANN401
        asked, told = self._process.stdin, self._process.stdout
        if asked is None or told is None:
            raise SourceError("no pipes to the process that computes", code=NO_DEVICE)
        try:
            pickle.dump((what, arguments), asked, pickle.HIGHEST_PROTOCOL)
            asked.flush()
            done, found = pickle.load(told)  # noqa: S301  our own process wrote it
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            raise SourceError("the process that computes was ended", code=NO_DEVICE) from None
        if not done:
            raise SourceError(found, transient=False, code=NO_DEVICE)
        return found

    def end(self) -> None:
        """End it now, from any thread; whoever waits for it is told."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """End it and let go of its pipes; by the thread that asked it."""
        self.end()
        self._process.wait(END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def main() -> None:
    """Do what comes until nothing more can come."""
    os.nice(NICENESS)
    prover: Prover | None = None
    while True:
        try:
            what, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301  the agent that started this wrote it
        except (EOFError, pickle.UnpicklingError):
            return
        try:
            if what == "fill":
                order, kind = arguments
                prover = Prover(order.size, store_for(kind, bytes.fromhex(order.seed), order.size, order.containers))
                prover.fill()
                told: tuple[bool, object] = (True, None)
            else:
                told = (True, getattr(prover, what)(*arguments))
        except SunwardError as reason:
            told = (False, reason.message)
        except (RuntimeError, MemoryError) as reason:
            # What a driver says when it fails.
            told = (False, f"{type(reason).__name__}: {reason}")
        pickle.dump(told, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
