"""What every way to isolate a job shares: its places inside, what it may read of the machine, what it must offer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

INSIDE = Path("/job")
"""Where a job sees its attempt's folders."""
WRITABLE = ("work", "checkpoint", "output", "progress")
"""Bound one by one: a mount point cannot be replaced by a link that leads the agent out of the folder."""
DESCRIPTION = "launch.json"
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
SCRATCH_BYTES = 1 << 30
"""Most bytes in a job's own /tmp, which is memory."""


class Cage(Protocol):
    """Isolation of one attempt."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def strangers(self) -> bool:
        """Whether jobs of tenants whom nobody here knows may run in it (DESIGN §8)."""

    def wrap(
        self, folder: Path, devices: Sequence[str], command: Sequence[str], readable: Sequence[Path] = ()
    ) -> list[str]:
        """The argument list that runs `command` with `folder`'s parts as the only writable places.

        `readable`: more folders that the job may read, under their own names.
        What it needs beside them it writes below the folder.
        """

    def terminate(self, folder: Path) -> list[str]:
        """The argument list that sends the job SIGTERM; empty where it gets what its process group gets."""


def interpreter_folders() -> tuple[str, ...]:
    """The prefixes of this Python, its virtual environment included, that are not part of the system's folders."""
    named = [Path(prefix) for prefix in (sys.base_prefix, sys.exec_prefix, sys.prefix)]
    # A prefix may be a link: the interpreter is found under its name, and its libraries under its target.
    prefixes = dict.fromkeys(path for prefix in named for path in (prefix, prefix.resolve()))
    return tuple(str(path) for path in prefixes if not any(path.is_relative_to(system) for system in SYSTEM_FOLDERS))
