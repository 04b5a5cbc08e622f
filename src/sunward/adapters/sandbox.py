"""Bubblewrap around a job: its own folders and the system's read-only ones, no network, no other process.

It shares the kernel with the machine, so it keeps jobs of known tenants apart and out of the owner's
files; it is no defence against a hostile tenant (DESIGN §8 asks gVisor or a VM for that).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sunward.adapters import launcher
from sunward.adapters.cage import (
    DESCRIPTION,
    INSIDE,
    SCRATCH_BYTES,
    SYSTEM_FILES,
    SYSTEM_FOLDERS,
    WRITABLE,
    interpreter_folders,
)

SHARED_GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")
UNPRIVILEGED_ID = "1000"
PROBE_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How to run one attempt under bubblewrap."""

    program: str
    device_nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Device files of each device id, e.g. `/dev/nvidia0`; none for a modelled device."""
    name: str = "bubblewrap"
    strangers: bool = False

    def wrap(
        self, folder: Path, devices: Sequence[str], command: Sequence[str], readable: Sequence[Path] = ()
    ) -> list[str]:
        """The argument list that runs `command` with `folder`'s parts as the only writable places."""
        arguments = [self.program, *_isolation(), *_system()]
        for name in WRITABLE:
            arguments += ["--bind", str(folder / name), str(INSIDE / name)]
        arguments += ["--ro-bind", str(folder / DESCRIPTION), str(INSIDE / DESCRIPTION)]
        arguments += ["--ro-bind", launcher.__file__, str(INSIDE / Path(launcher.__file__).name)]
        for path in readable:
            arguments += ["--ro-bind", str(path), str(path)]
        arguments += self._gpu_nodes(devices)
        return [*arguments, "--chdir", str(INSIDE / "work"), "--", *command]

    def terminate(self, folder: Path) -> list[str]:
        """Nothing to run: a signal to the process group reaches the job."""
        del folder
        return []

    def _gpu_nodes(self, devices: Sequence[str]) -> list[str]:
        own = [node for device in devices for node in self.device_nodes.get(device, ())]
        if not own:
            return []
        # CUDA reads the PCI topology below /sys.
        shared = [part for node in SHARED_GPU_NODES for part in ("--dev-bind-try", node, node)]
        return [*shared, *(part for node in own for part in ("--dev-bind", node, node)), "--ro-bind", "/sys", "/sys"]


def find(device_nodes: Mapping[str, tuple[str, ...]] | None = None) -> Sandbox | str:
    """The sandbox of this machine, or one line that says why there is none."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not installed (package bubblewrap)"
    reason = probe(program)
    return reason or Sandbox(program, dict(device_nodes or {}))


def probe(program: str = "bwrap") -> str:
    """Why bubblewrap cannot isolate here, as one line; empty when it can."""
    command = [program, *_isolation(), *_system(), "--", sys.executable, "-I", "-S", "-c", "pass"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as reason:
        return f"bubblewrap does not run: {reason}"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"bubblewrap cannot isolate here: {lines[-1]}"


def _isolation() -> list[str]:
    # No --new-session: the executor has made a session without a terminal already, and the job must stay
    # in its process group to receive SIGTERM.
    return [
        "--unshare-all",
        "--unshare-user",
        "--uid",
        UNPRIVILEGED_ID,
        "--gid",
        UNPRIVILEGED_ID,
        "--cap-drop",
        "ALL",
        "--die-with-parent",
        "--hostname",
        "sunward",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        str(SCRATCH_BYTES),
        "--tmpfs",
        "/tmp",  # noqa: S108
    ]


def _system() -> list[str]:
    arguments: list[str] = []
    for path in (*SYSTEM_FOLDERS, *SYSTEM_FILES):
        if Path(path).is_symlink() and path in SYSTEM_FOLDERS:
            arguments += ["--symlink", str(Path(path).readlink()), path]
        else:
            arguments += ["--ro-bind-try", path, path]
    for prefix in interpreter_folders():
        arguments += ["--ro-bind", prefix, prefix]
    return arguments
