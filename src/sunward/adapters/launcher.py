"""The two small programs between an executor and a job; run by path, so they import nothing of the package.

`guard` goes before whatever the executor starts: it dies with the agent and carries the resource limits.
`job` is the last step, inside the sandbox where there is one: it reads the job's argument list and
environment from a file, so that a tenant's environment never reaches a program outside the sandbox.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal this process gets when the thread that started it ends."""
EXIT_CANNOT_START = 127
"""As shells say it: the command was not found or may not be executed."""


def guard(parent: int, process_limit: int, file_limit_bytes: int, arguments: list[str]) -> NoReturn:
    """Become `arguments`, bound to the life of `parent`.

    SIGTERM is ignored from here on, because it goes to the whole process group and the sandbox's
    monitor, which is in it, must outlive the job's checkpoint; `job` restores it.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(EXIT_CANNOT_START)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NPROC, process_limit)
    _lower(resource.RLIMIT_FSIZE, file_limit_bytes)
    os.execv(arguments[0], arguments)  # noqa: S606


def job(description: Path, marker: Path) -> NoReturn:
    """Become the job, with default signals; `marker` appears once SIGTERM will reach it."""
    launch = json.loads(description.read_text("utf-8"))
    for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    marker.touch()
    command = launch["command"]
    try:
        os.execvpe(command[0], command, launch["env"])  # noqa: S606
    except (OSError, ValueError) as reason:
        print(f"sunward: cannot start {command[0]!r}: {reason}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(EXIT_CANNOT_START)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bounded, bounded))


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    if role == "guard":
        guard(int(rest[0]), int(rest[1]), int(rest[2]), rest[3:])
    job(Path(rest[0]), Path(rest[1]))
