"""Runs attempts as processes of this machine; the executor of a single node.

Each attempt has its folder: `work/` (unpacked bundle), `checkpoint/`, `output/`, `progress/`, `log`. What the
job sees is documented in docs/job-contract.md. Linux only: process groups, prctl(2), /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sunward.adapters import launcher
from sunward.adapters.cage import DESCRIPTION, INSIDE, WRITABLE, Cage
from sunward.adapters.warden import Limits, Warden, families
from sunward.errors import InputError, SourceError
from sunward.ports import Launch, Run

PROCESS_LIMIT = 65_536
"""Processes and threads of one user, the agent's own included: RLIMIT_NPROC, which stops a burst between two looks."""
FILE_LIMIT_BYTES = 64 * 1024**3
"""Largest file a job may write: RLIMIT_FSIZE."""
PROGRESS_BYTES = 32
"""More than any integer of units needs; the rest of the file is not read."""
SIGNAL_EXIT_BASE = 128
"""An exit by signal n is reported as 128 + n, as shells and bubblewrap do."""
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
STARTED = "started"
UNITS = "units"


@dataclass(slots=True)
class _Attempt:
    launch: Launch
    process: subprocess.Popen[bytes]
    units: int
    started: bool = False
    """SIGTERM reaches the job, not the programs before it."""
    suspending: bool = False
    terminated: bool = False
    messenger: subprocess.Popen[bytes] | None = None
    """The program that brings SIGTERM into the cage."""
    kill_at_s: float = 0.0
    exit_code: int | None = None
    detail: str = ""


class EmbeddedExecutor:
    """Attempts as process groups, isolated where a `cage` is given.

    Use it from one thread that lives as long as the agent: the kernel ends a job when that thread ends.
    """

    def __init__(self, root: Path, cage: Cage | None, limits: Limits | None = None) -> None:
        self._root = root.resolve()
        self._cage = cage
        self.sandboxed = cage is not None
        self._limits = limits or Limits()
        self._warden = Warden()
        self._attempts: dict[str, _Attempt] = {}
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        end_strays(self._root)

    def start(self, launch: Launch) -> None:
        """Start an attempt; starting the same lease twice does nothing.

        Raises: InputError when the folder is not below the executor's root or there is no command,
        SourceError when the machine cannot start a process.
        """
        if launch.order.lease in self._attempts:
            return
        folder = launch.folder.resolve()
        if not folder.is_relative_to(self._root):
            raise InputError(f"attempt folder {folder} is not below {self._root}", code="SW-501")
        if not launch.content.command:
            raise InputError(f"lease {launch.order.lease} has no command; submit the job with one", code="SW-502")
        try:
            for name in WRITABLE:
                (folder / name).mkdir(parents=True, exist_ok=True)
            self._describe(launch, folder)
            process = self._spawn(launch, folder)
        except OSError as reason:
            raise SourceError(f"cannot start a process: {reason}", transient=False) from None
        self._attempts[launch.order.lease] = _Attempt(launch, process, launch.order.checkpoint_units)
        limits = self._limits.times(max(1, len(launch.devices)))
        self._warden.watch(launch.order.lease, process.pid, folder, limits)

    def suspend(self, lease: str, grace_s: float) -> None:
        """Ask to checkpoint and stop: SIGTERM, grace on the machine clock, SIGKILL. Returns at once."""
        attempt = self._attempts.get(lease)
        if attempt is None or attempt.suspending or attempt.exit_code is not None:
            return
        attempt.suspending = True
        attempt.kill_at_s = time.monotonic() + grace_s
        self._watch(attempt)

    def stop(self, lease: str) -> None:
        """Kill at once."""
        attempt = self._attempts.get(lease)
        if attempt is not None and attempt.exit_code is None:
            _signal_group(attempt.process.pid, signal.SIGKILL)

    def poll(self) -> tuple[Run, ...]:
        """Every attempt known, ended ones until `forget`."""
        runs = []
        for lease, attempt in self._attempts.items():
            self._watch(attempt)
            running = attempt.exit_code is None
            runs.append(Run(lease, running, attempt.exit_code, attempt.units, attempt.detail))
        return tuple(runs)

    def forget(self, lease: str) -> None:
        """Drop what is kept of an ended attempt."""
        attempt = self._attempts.get(lease)
        if attempt is not None and attempt.exit_code is not None:
            del self._attempts[lease]

    def processes(self) -> set[int]:
        """Every process of every running attempt, as the machine numbers them."""
        leaders = [attempt.process.pid for attempt in list(self._attempts.values()) if attempt.exit_code is None]
        return families(leaders)

    def _describe(self, launch: Launch, folder: Path) -> None:
        inside = INSIDE if self._cage else folder
        record = {"command": list(launch.content.command), "env": _environment(launch, inside)}
        path = folder / DESCRIPTION
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(record, file)

    def _spawn(self, launch: Launch, folder: Path) -> subprocess.Popen[bytes]:
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            return subprocess.Popen(
                self._command(launch, folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder / "work",
                env={"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _command(self, launch: Launch, folder: Path) -> list[str]:
        interpreter = [sys.executable, "-I", "-S"]
        guard = [*interpreter, launcher.__file__, "guard", str(os.getpid())]
        guard += [str(PROCESS_LIMIT), str(FILE_LIMIT_BYTES)]
        inside, script = folder, launcher.__file__
        if self._cage:
            inside, script = INSIDE, str(INSIDE / Path(script).name)
        job = [*interpreter, script, "job", str(inside / DESCRIPTION), str(inside / "progress" / STARTED)]
        readable = [launch.environment] if launch.environment else []
        return [*guard, *(self._cage.wrap(folder, launch.devices, job, readable) if self._cage else job)]

    def _watch(self, attempt: _Attempt) -> None:
        if attempt.exit_code is not None:
            return
        progress = attempt.launch.folder / "progress"
        if not attempt.started and (progress / STARTED).exists():
            attempt.started = True
            # The job has read it; what it holds of secrets is to lie on the disk no longer than that.
            (attempt.launch.folder / DESCRIPTION).unlink(missing_ok=True)
        process = attempt.process
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            # The group ends before its leader is reaped, while its number cannot belong to anyone else.
            _signal_group(process.pid, signal.SIGKILL)
            code = process.wait()
            self._warden.release(attempt.launch.order.lease)
            if attempt.messenger is not None:
                attempt.messenger.kill()
                attempt.messenger.wait()
            attempt.exit_code = code if code >= 0 else SIGNAL_EXIT_BASE - code
        elif excess := self._warden.verdict(attempt.launch.order.lease):
            attempt.detail = excess
            _signal_group(process.pid, signal.SIGKILL)
        elif attempt.suspending:
            self._press(attempt)
        units = read_units(progress / UNITS)
        attempt.units = max(attempt.units, units or 0)
        if units is None and attempt.exit_code == 0 and attempt.launch.order.units == 1:
            # A job of one unit that keeps no progress has done its work when it ends well.
            attempt.units = 1

    def _press(self, attempt: _Attempt) -> None:
        if attempt.started and not attempt.terminated:
            attempt.terminated = True
            self._terminate(attempt)
        if time.monotonic() >= attempt.kill_at_s:
            attempt.detail = "killed: it did not stop within the grace"
            _signal_group(attempt.process.pid, signal.SIGKILL)

    def _terminate(self, attempt: _Attempt) -> None:
        command = self._cage.terminate(attempt.launch.folder) if self._cage else []
        if not command:
            _signal_group(attempt.process.pid, signal.SIGTERM)
            return
        # Not waited for: the loop that asks must not stand still, and the end of the grace decides anyway.
        quiet = subprocess.DEVNULL
        attempt.messenger = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)


def read_units(path: Path) -> int | None:
    """Units a job wrote to a file; None without a readable number. Never follows a link nor waits on a pipe."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        regular = stat.S_ISREG(os.fstat(file).st_mode)
        text = os.read(file, PROGRESS_BYTES).strip() if regular else b""
    except OSError:
        return None
    finally:
        os.close(file)
    return int(text) if text.isdigit() else None


def end_strays(root: Path) -> None:
    """Kill processes of an earlier agent that outlived it: children of unsandboxed jobs, known by their environment."""
    sign = f"SUNWARD_CHECKPOINT={root}/".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(variable.startswith(sign) for variable in (entry / "environ").read_bytes().split(b"\0")):
                os.kill(int(entry.name), signal.SIGKILL)


def _environment(launch: Launch, inside: Path) -> dict[str, str]:
    order = launch.order
    return {
        "PATH": f"{Path(sys.prefix) / 'bin'}:{SYSTEM_PATH}",
        **_programs(launch.environment),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "OMP_NUM_THREADS": "1",
        # Lines reach the log as they are written, also when the job is killed.
        "PYTHONUNBUFFERED": "1",
        **launch.content.env,
        **launch.secrets,
        "HOME": str(inside / "work"),
        "CUDA_VISIBLE_DEVICES": ",".join(launch.devices),
        "SUNWARD_GPUS": str(len(launch.devices)),
        "SUNWARD_CHECKPOINT": str(inside / "checkpoint"),
        "SUNWARD_OUTPUT": str(inside / "output"),
        "SUNWARD_PROGRESS": str(inside / "progress" / UNITS),
        "SUNWARD_UNIT_MS": f"{launch.unit_ms_machine:.3f}",
        "SUNWARD_UNITS": str(order.units),
        "SUNWARD_JOB": order.job,
        "SUNWARD_ATTEMPT": str(order.attempt),
    }


def _programs(environment: Path | None) -> dict[str, str]:
    if environment is None:
        return {}
    return {"PATH": f"{environment / 'bin'}:{SYSTEM_PATH}", "VIRTUAL_ENV": str(environment)}


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
