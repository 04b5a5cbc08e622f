"""gVisor around a job: a kernel of its own in user space, so that a job of a stranger never speaks to the machine's.

The bundle of an attempt (OCI runtime specification) lies in its folder. It sees the same places as under bubblewrap.
GPUs are not passed through: a machine that leases real ones cannot take strangers this way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from sunward.model.codec import digest_bytes, encode

BUNDLE = "gvisor"
NAME_CHARS = 24
PLATFORMS = ("systrap", "ptrace")
"""Ways to catch system calls, the quicker first; neither needs hardware, older releases know only the second."""
OPEN_FILES = 4_096
PROBE_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class GVisor:
    """How to run one attempt under gVisor."""

    program: str
    platform: str
    name: str = "gVisor"
    strangers: bool = True

    def wrap(
        self, folder: Path, devices: Sequence[str], command: Sequence[str], readable: Sequence[Path] = ()
    ) -> list[str]:
        """Write the attempt's bundle and return the argument list that runs it."""
        del devices  # modelled ones have no files
        bundle = folder / BUNDLE
        shutil.rmtree(bundle, ignore_errors=True)
        (bundle / "rootfs").mkdir(parents=True)
        places = [_bind(folder / name, INSIDE / name, "rw") for name in WRITABLE]
        places.append(_bind(folder / DESCRIPTION, INSIDE / DESCRIPTION, "ro"))
        places.append(_bind(Path(launcher.__file__), INSIDE / Path(launcher.__file__).name, "ro"))
        places += [_bind(path, path, "ro") for path in readable]
        (bundle / "config.json").write_bytes(encode(_specification(command, places, str(INSIDE / "work"))))
        return _run(self.program, self.platform, bundle)

    def terminate(self, folder: Path) -> list[str]:
        """The call that sends SIGTERM; the program that runs the container does not pass it on."""
        bundle = folder / BUNDLE
        return [*_program(self.program, bundle), "kill", _container(bundle), "TERM"]


def find(device_nodes: Mapping[str, tuple[str, ...]] | None = None) -> GVisor | str:
    """The gVisor of this machine, or one line that says why it cannot be used."""
    program = shutil.which("runsc")
    if program is None:
        return "gVisor is not installed (package runsc)"
    if any((device_nodes or {}).values()):
        return "gVisor gives a job no GPU here; use bubblewrap for known tenants"
    reasons = []
    for platform in PLATFORMS:
        reason = probe(program, platform)
        if not reason:
            return GVisor(program, platform)
        reasons.append(reason)
    return f"gVisor cannot isolate here: {reasons[-1]}"


def probe(program: str, platform: str) -> str:
    """Why a platform does not work here, as one line; empty when it does."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / BUNDLE
        (bundle / "rootfs").mkdir(parents=True)
        specification = _specification([sys.executable, "-I", "-S", "-c", "pass"], [], "/")
        (bundle / "config.json").write_bytes(encode(specification))
        try:
            done = subprocess.run(
                _run(program, platform, bundle), capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as reason:
            return f"{program} does not run: {reason}"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[-1]


def _run(program: str, platform: str, bundle: Path) -> list[str]:
    # Limits are the warden's: control groups need rights that an agent should not have.
    flags = [f"--platform={platform}", "--network=none", "--ignore-cgroups"]
    return [*_program(program, bundle), *flags, "run", "--bundle", str(bundle), _container(bundle)]


def _program(program: str, bundle: Path) -> list[str]:
    return [program, "--root", str(bundle / "state"), *([] if os.geteuid() == 0 else ["--rootless"])]


def _container(bundle: Path) -> str:
    """A name of its own: containers meet in one space of socket names, whatever folders they have."""
    return f"sunward-{digest_bytes(str(bundle.resolve()).encode())[:NAME_CHARS]}"


def _specification(command: Sequence[str], places: list[dict[str, Any]], folder: str) -> dict[str, Any]:
    """The container by the OCI runtime specification 1.0.2, https://github.com/opencontainers/runtime-spec."""
    system = [_bind(path, path, "ro") for path in map(Path, (*SYSTEM_FOLDERS, *SYSTEM_FILES)) if path.exists()]
    system += [_bind(Path(path), Path(path), "ro") for path in interpreter_folders()]
    scratch = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [f"size={SCRATCH_BYTES}"]}  # noqa: S108
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            # The agent's own user, so that the agent can read what the job leaves; without any capability.
            "user": {"uid": 0, "gid": 0},
            "args": list(command),
            "env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "cwd": folder,
            "capabilities": {},
            "noNewPrivileges": True,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": OPEN_FILES, "soft": OPEN_FILES}],
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "sunward",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, scratch, *system, *places],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


def _bind(source: Path, target: Path, mode: str) -> dict[str, Any]:
    return {"destination": str(target), "type": "bind", "source": str(source.resolve()), "options": ["rbind", mode]}
