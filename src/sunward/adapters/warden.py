"""Watches what running attempts take of the machine, and says when one takes more than it may.

It looks once a second at memory (proportional, so that shared pages count once), processes with their
threads, and disk below the attempt's folder. A job can exceed a limit until the next look; in between the kernel holds
only what the agent's service unit limits for the agent and all its jobs together. Linux only: /proc.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sunward.units import BYTES_PER_GIB, BYTES_PER_KIB

LOOK_S = 1.0
"""Machine time between two looks."""
BLOCK_BYTES = 512
"""Unit of st_blocks, stat(2)."""
MEMORY_FILE = "memfd:"
PPID, THREADS = 1, 17
"""Places in /proc/PID/stat after the command's closing bracket, counted from the state; proc(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the job on one container may take; a job on several has so much of each times their number. 0 = no limit."""

    memory_bytes: int = 0
    processes: int = 4_096
    """Processes and threads."""
    disk_bytes: int = 0

    def times(self, containers: int) -> Limits:
        """The limits of a job on so many containers."""
        return Limits(
            memory_bytes=self.memory_bytes * containers,
            processes=self.processes * containers,
            disk_bytes=self.disk_bytes * containers,
        )


@dataclass(frozen=True, slots=True)
class _Watched:
    pid: int
    folder: Path
    limits: Limits


class Warden:
    """One thread that looks at every running attempt; it never acts on one."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._verdicts: dict[str, str] = {}
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def watch(self, lease: str, pid: int, folder: Path, limits: Limits) -> None:
        """Look at an attempt from now on; the thread lives while there is one."""
        with self._lock:
            self._watched[lease] = _Watched(pid, folder, limits)
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep_looking, name="warden", daemon=True)
                self._thread.start()

    def release(self, lease: str) -> None:
        """Look at it no more."""
        with self._lock:
            self._watched.pop(lease, None)
            self._verdicts.pop(lease, None)
            self._wake.notify()

    def verdict(self, lease: str) -> str:
        """What an attempt took too much of, in one line; empty while it keeps its limits."""
        return self._verdicts.get(lease, "")

    def _keep_looking(self) -> None:
        while True:
            with self._lock:
                if not self._watched:
                    self._thread = None
                    return
                watched = dict(self._watched)
            found = look(watched)
            with self._lock:
                self._verdicts.update({lease: reason for lease, reason in found.items() if lease in self._watched})
                self._wake.wait(LOOK_S)


def look(watched: Mapping[str, _Watched]) -> dict[str, str]:
    """One look at all of them: a reason for each that exceeds a limit."""
    table = _processes()
    children = _children(table)
    reasons = {}
    for lease, one in watched.items():
        pids = _family(one.pid, children)
        reason = _exceeded(one, pids, sum(table[pid][1] for pid in pids))
        if reason:
            reasons[lease] = reason
    return reasons


def families(leaders: Iterable[int]) -> set[int]:
    """Processes and all that descend from them, as they are now."""
    children = _children(_processes())
    return {member for leader in leaders for member in _family(leader, children)}


def _children(table: Mapping[int, tuple[int, int]]) -> dict[int, list[int]]:
    """The processes whose parent each one is."""
    children: dict[int, list[int]] = {pid: [] for pid in table}
    for pid, (parent, _) in table.items():
        # One that ended during the look is in the table no more.
        if parent in children:
            children[parent].append(pid)
    return children


def _family(pid: int, children: Mapping[int, list[int]]) -> set[int]:
    """A process and all that descend from it."""
    found: set[int] = set()
    rest = [pid] if pid in children else []
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest.extend(children[one])
    return found


def _exceeded(one: _Watched, pids: Iterable[int], tasks: int) -> str:
    limits = one.limits
    if limits.processes and tasks > limits.processes:
        return f"killed: {tasks} processes and threads, and it may have {limits.processes}; start fewer workers"
    if limits.memory_bytes:
        memory = memory_bytes(pids)
        if memory > limits.memory_bytes:
            return f"killed: {_gib(memory)} of memory, and it may take {_gib(limits.memory_bytes)}; take less at once"
    if limits.disk_bytes:
        disk = disk_bytes(one.folder)
        if disk > limits.disk_bytes:
            return f"killed: {_gib(disk)} on disk, and it may take {_gib(limits.disk_bytes)}; keep fewer files"
    return ""


def _processes() -> dict[int, tuple[int, int]]:
    """Parent and number of threads of every process."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = (int(fields[PPID]), int(fields[THREADS]))
    return found


def memory_bytes(pids: Iterable[int]) -> int:
    """Memory that a family of processes holds; what is gone or not ours to see counts 0.

    A file in memory (memfd) counts whole and once, whoever maps it: gVisor keeps all memory of a job in one, most of it
    mapped by nobody at any moment.
    """
    private, shared = 0, 0
    files: dict[int, int] = {}
    for pid in pids:
        sizes = _rollup(pid)
        private += sizes.get("Pss_Anon", 0)
        shared += sizes.get("Pss_Shmem", 0)
        files.update(_memory_files(pid))
    return private + max(shared, sum(files.values()))


def _rollup(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * BYTES_PER_KIB for line in lines}


def _memory_files(pid: int) -> dict[int, int]:
    """Bytes of each file in memory that a process holds open, by its number."""
    found = {}
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                if MEMORY_FILE in str(Path(entry.path).readlink()):
                    status = entry.stat()
                    found[status.st_ino] = status.st_blocks * BLOCK_BYTES
    except OSError:
        pass
    return found


def disk_bytes(folder: Path) -> int:
    """Bytes that the files below a folder hold on disk; links are not followed, what vanishes meanwhile counts 0."""
    total = 0
    rest = [str(folder)]
    while rest:
        try:
            with os.scandir(rest.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        rest.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
        except OSError:
            continue
    return total


def _gib(count_bytes: int) -> str:
    return f"{count_bytes / BYTES_PER_GIB:.3g} GiB"
