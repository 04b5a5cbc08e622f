"""A reader who types the console blocks of a guide into one shell, word by word, and compares what is shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import sunward

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_S = 90.0
"""Machine time after which a line that should be shown has failed to appear."""
ANY = "…"
PROMPT, MORE = "$ ", "> "
DONE = "\x1e"
"""Told by the shell when a command has ended, with its exit code; no guide shows this letter."""
ASKS_CODE = "echo $?"
APART = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
"""A network and processes of its own: ports are free, and nothing outlives the reader."""
ALONE = "ip link set lo up && exec bash --noprofile --norc"
SHELL = ("bash", "--noprofile", "--norc")


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a guide and the lines shown below it."""

    where: str
    command: str
    shown: tuple[str, ...]

    @property
    def stays(self) -> bool:
        """Whether it is left running."""
        return self.command.endswith(" &")

    def as_shown(self, told: str, *, whole: bool) -> bool:
        """Whether an output is what the guide shows; one that is still being written, as far as it goes."""
        if not self.shown:
            return True
        pattern = r"\n".join(r"(?:.*\n)*?.*" if line == ANY else _line(line) for line in self.shown)
        words = "\n".join(" ".join(line.split()) for line in told.strip("\n").splitlines())
        return bool(re.fullmatch(pattern, words) if whole else re.match(pattern, words))


def _line(shown: str) -> str:
    """Blanks count once: columns are as wide as what is in them."""
    return ".*?".join(re.escape(part) for part in " ".join(shown.split()).split(ANY))


def steps_of(file: Path) -> list[Step]:
    """The commands of a guide in order."""
    steps: list[Step] = []
    inside = False
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith(PROMPT):
            steps.append(Step(f"{file.name}:{number}", line.removeprefix(PROMPT), ()))
        elif inside and line.startswith(MORE.rstrip()) and not steps[-1].shown:
            last = steps[-1]
            steps[-1] = Step(last.where, f"{last.command}\n{line.removeprefix('>').removeprefix(' ')}", ())
        elif inside:
            last = steps[-1]
            steps[-1] = Step(last.where, last.command, (*last.shown, line))
    return steps


@dataclass(slots=True)
class Reader:
    """Someone with one terminal and an empty home."""

    home: Path
    process: subprocess.Popen[bytes] = field(init=False)
    listener: threading.Thread = field(init=False)
    said: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)
    code: int = 0

    def __enter__(self) -> Self:
        """Open the terminal."""
        places = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        self.process = subprocess.Popen(
            [*APART, "bash", "-c", ALONE] if _can_be_apart() else SHELL,
            env={
                "HOME": str(self.home),
                "PATH": os.pathsep.join(places),
                "PYTHONPATH": str(Path(sunward.__file__).parents[1]),
                "LANG": "C.UTF-8",
                "TZ": "UTC",
                "COLUMNS": "160",
            },
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        self._type("set -m")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop what still runs and close the terminal; the shell ends last, by itself unless something went wrong."""
        self._type("kill $(jobs -p) 2>/dev/null; wait; exit 0")
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.listener.join(PATIENCE_S)
            self.process.communicate()

    def follow(self, step: Step) -> None:
        """Type one command; wait until it has ended, or shows what the guide shows."""
        start = len(self.said)
        script = self.home.with_name("typed.sh")
        script.write_text(f"(exit {self.code})\n{step.command}\n", encoding="utf-8")
        self._type(f". {script} </dev/null; printf '{DONE}%s{DONE}' $?")
        ended = re.compile(f"{DONE}(\\d+){DONE}")
        self._until(lambda: ended.search(self.said, start), step, start)
        if step.stays:
            self._until(lambda: step.as_shown(ended.sub("", self.said[start:]), whole=False), step, start)
        end = ended.search(self.said, start)
        assert end is not None
        self.code = int(end[1])
        told = ended.sub("", self.said[start:])
        assert step.stays or step.as_shown(told, whole=True), f"{step.where}: {step.command}\n{told}"

    def _listen(self) -> None:
        assert self.process.stdout is not None
        while text := os.read(self.process.stdout.fileno(), 1 << 16):
            with self.changed:
                self.said += text.decode("utf-8", "replace")
                self.changed.notify_all()

    def _type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def _until(self, true: Callable[[], object], step: Step, start: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        with self.changed:
            while not true():
                left = deadline - time.monotonic()
                assert left > 0, f"{step.where}: {step.command}\nnot within {PATIENCE_S} s; shown:\n{self.said[start:]}"
                self.changed.wait(left)


def follow(file: Path, home: Path) -> None:
    """Follow a whole guide; a command may fail only where the guide asks for the exit code next."""
    steps = steps_of(file)
    assert steps, f"{file.name} has nothing to type"
    with Reader(home) as reader:
        for step, after in zip(steps, [*steps[1:], None], strict=True):
            reader.follow(step)
            may_fail = after is not None and after.command == ASKS_CODE
            assert may_fail or reader.code == 0, f"{step.where}: {step.command}\nexit {reader.code}\n{reader.said}"


def _can_be_apart() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*APART, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return tried.returncode == 0
