"""Processes of this machine as /proc shows them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
STATE, PARENT, START = 0, 1, 19
"""Fields of /proc/PID/stat, counted from the one after the name."""
JOB, ATTEMPT = b"SUNWARD_JOB=", b"SUNWARD_ATTEMPT="


@dataclass(frozen=True, slots=True)
class Process:
    """One process; its start time tells it from a later one with the same number."""

    pid: int
    parent: int
    start: int
    name: str
    lease: str = ""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        now = _read(self.pid)
        return now is not None and now.start == self.start

    def kill(self) -> None:
        """`kill -9`, unless it has ended by itself."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def below(pid: int) -> list[Process]:
    """Children of a process, their children, and so on."""
    found: list[Process] = []
    parents = [pid]
    while parents:
        more = [process for child in _children(parents.pop()) if (process := _read(child)) is not None]
        found += more
        parents += [process.pid for process in more]
    return found


def _children(pid: int) -> list[int]:
    """Of all threads of a process; threads and processes may end while they are looked at."""
    found: list[int] = []
    with suppress(OSError):
        for thread in list((PROC / str(pid) / "task").iterdir()):
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def of_jobs(agent: int) -> list[Process]:
    """Job processes below an agent, and the sandbox around each."""
    family = {process.pid: process for process in below(agent)}
    found = {}
    for process in list(family.values()):
        lease = _lease(process.pid)
        outer = process
        while lease and outer is not None:
            found[outer.pid] = Process(outer.pid, outer.parent, outer.start, outer.name, lease)
            outer = family.get(outer.parent)
    return [found[pid] for pid in sorted(found)]


def _read(pid: int) -> Process | None:
    """A process that runs; None for one that has ended, reaped or not."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if fields[STATE] in "ZX":
        return None
    return Process(pid, int(fields[PARENT]), int(fields[START]), head.partition("(")[2])


def _lease(pid: int) -> str:
    """The lease that a process works for, by its environment; empty for others."""
    try:
        variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    told = {
        mark: one.removeprefix(mark).decode() for one in variables for mark in (JOB, ATTEMPT) if one.startswith(mark)
    }
    return f"{told[JOB]}.{told[ATTEMPT]}" if len(told) == len((JOB, ATTEMPT)) else ""
