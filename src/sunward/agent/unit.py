"""The agent as a systemd service of its user: it starts with the machine and ends cleanly with it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sunward.errors import SourceError

UNIT = "sunward-agent.service"
TIMEOUT_S = 60
STOP_S = 90
"""Longer than the grace of jobs and the delivery of the last readings."""
MEMORY_SHARE = "95%"
TASKS = 32_768

TEMPLATE = """\
[Unit]
Description=Sunward agent
Documentation=man:systemd.service(5)
After=network-online.target

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5
# The agent stops its jobs itself, checkpoints first; what is left after that is killed.
KillMode=mixed
TimeoutStopSec={stop_s}
# For the agent and all its jobs together; each job has limits of its own.
MemoryMax={memory}
TasksMax={tasks}

[Install]
WantedBy=default.target
"""


def unit_path(environ: Mapping[str, str]) -> Path:
    """Where this user's units lie."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "systemd" / "user" / UNIT


def unit_text(folder: Path, home: Path) -> str:
    """The unit that runs the agent of a folder."""
    words = [sys.executable, "-m", "sunward", "--home", str(home), "join", "--folder", str(folder)]
    return TEMPLATE.format(command=_escaped(shlex.join(words)), stop_s=STOP_S, memory=MEMORY_SHARE, tasks=TASKS)


def install(folder: Path, home: Path) -> Path:
    """Write the unit, and have systemd start it now and with every start of the machine.

    Raises: SourceError when systemd does not; the unit stays, and the message names the command to repeat.
    """
    path = unit_path(os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(unit_text(folder.resolve(), home.resolve()), "utf-8")
    for words in (["daemon-reload"], ["enable", "--now", UNIT]):
        _systemctl(words)
    return path


def remove(folder: Path) -> bool:
    """Take the unit away and end what it runs, where it runs the agent of this folder; whether it did."""
    path = unit_path(os.environ)
    if not path.exists() or _escaped(shlex.quote(str(folder.resolve()))) not in path.read_text("utf-8"):
        return False
    # Where no session of systemd answers, the file goes all the same, and nothing starts the agent again.
    with suppress(SourceError):
        _systemctl(["disable", "--now", UNIT])
    path.unlink()
    with suppress(SourceError):
        _systemctl(["daemon-reload"])
    return True


def _escaped(command: str) -> str:
    return command.replace("%", "%%").replace("$", "$$")


def _systemctl(words: list[str]) -> None:
    command = ["systemctl", "--user", *words]
    if shutil.which(command[0]) is None:
        raise SourceError(f"no systemd here; start the agent by other means: {shlex.join(command)}", transient=False)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise SourceError(f"systemd does not answer; try again: {shlex.join(command)}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise SourceError(f"{lines[-1]}; when that is mended: {shlex.join(command)}", transient=False)
