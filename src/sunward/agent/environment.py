"""Environments with what a job's requirements name, built once for each text and version of Python.

They are built outside the job's isolation, because the index must be reached: so only wheels are installed, from the
provider's own index, and nothing of them runs before the job does, inside.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sunward.adapters.requirements import check_requirements
from sunward.agent.shelf import Shelf
from sunward.errors import InputError, SourceError

DENIED, FAILED = "SW-524", "SW-525"
PUBLIC_INDEX = "https://pypi.org/simple"
BUILD_S_MAX = 1_800
DETAIL_CHARS = 250
LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupRules:
    """What the provider says of environments."""

    allowed: bool = True
    index: str = PUBLIC_INDEX
    """Where packages come from; empty: from `find_links` alone."""
    find_links: str = ""
    """A folder or page of wheels, looked at too."""


class Environments:
    """The environments of one agent; used from the threads that carry files."""

    def __init__(self, root: Path, rules: SetupRules, bytes_max: int, over: threading.Event | None = None) -> None:
        """`over`: set when the agent ends, so that a build does not hold it up."""
        self._shelf = Shelf(root.resolve(), bytes_max)
        self._rules = rules
        self._over = over or threading.Event()

    def prepare(self, setup: str, user: str) -> Path | None:
        """The environment of a requirements text; None for an empty one. It stays until `release`.

        Raises: InputError when the provider builds none, or this one cannot be built; SourceError when the agent ends.
        """
        if not setup.strip():
            return None
        if not self._rules.allowed:
            raise InputError("this provider builds no environments; send what is needed in the bundle", code=DENIED)
        hashed = check_requirements(setup, FAILED)
        return self._shelf.use(_key(setup), user, lambda path: self._build(path, setup, hashed=hashed))

    def release(self, user: str) -> None:
        """Note that an attempt needs its environment no more."""
        self._shelf.release(user)

    def _build(self, path: Path, setup: str, *, hashed: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._run([sys.executable, "-I", "-m", "venv", str(path)], Path(folder))
            text = Path(folder) / "requirements.txt"
            text.write_text(setup, encoding="utf-8")
            python = str(path / "bin" / "python")
            pip = [python, "-I", "-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check", "install"]
            pip += ["--quiet", "--no-cache-dir", "--only-binary", ":all:", *self._sources()]
            self._run([*pip, *(["--require-hashes"] if hashed else []), "--requirement", str(text)], Path(folder))

    def _sources(self) -> list[str]:
        links = ["--find-links", self._rules.find_links] if self._rules.find_links else []
        return [*(["--index-url", self._rules.index] if self._rules.index else ["--no-index"]), *links]

    def _run(self, command: Sequence[str], folder: Path) -> None:
        """Run to the end, which the agent's own end and a limit bring about too. Raises: InputError, SourceError."""
        log = folder / "log"
        home = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        with log.open("wb") as said:
            process = subprocess.Popen(
                command, cwd=folder, env=home, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
            code = self._wait(process)
        if code != 0:
            raise InputError(f"setup failed: {_last_line(log, code)}", code=FAILED)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        for _ in range(round(BUILD_S_MAX / LOOK_S)):
            try:
                return process.wait(LOOK_S)
            except subprocess.TimeoutExpired:
                if self._over.is_set():
                    break
        process.kill()
        process.wait()
        if self._over.is_set():
            raise SourceError("the agent ends while an environment is built")
        raise InputError(f"setup failed: it took longer than {BUILD_S_MAX} s", code=FAILED)


def _key(setup: str) -> str:
    interpreter = f"{platform.python_implementation()} {platform.python_version()} {platform.machine()}"
    return hashlib.sha256(f"{interpreter}\n{setup}".encode()).hexdigest()


def _last_line(log: Path, code: int) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:DETAIL_CHARS] if lines else f"exit code {code}"
