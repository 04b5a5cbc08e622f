"""A stand-in for `rtcwake`, put on PATH: it notes what it is asked for and blocks as long. No sleep: modelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from sunward.adapters import power_machine

STUB = """#!/bin/sh
echo "$@" >> '{folder}/asked'
[ "$1 $2 $3" = "-m mem -s" ] || {{ echo "rtcwake: bad usage" >&2; exit 1; }}
[ -e '{folder}/broken' ] && {{ echo "rtcwake: /dev/rtc0: unable to find device" >&2; exit 1; }}
exec /bin/sleep {seconds}
"""


def install(folder: Path, seconds: str = '"$4"') -> Path:
    """The stand-in in a folder of its own, and beside it what the kernel would say of sleep; the folder."""
    folder.mkdir(exist_ok=True)
    program = folder / "rtcwake"
    program.write_text(STUB.format(folder=folder, seconds=seconds))
    program.chmod(0o755)
    (folder / "states").write_text("freeze mem\n")
    return folder


def asked(folder: Path) -> list[str]:
    """What it was run with, one line a time."""
    return (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []


def only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing but the stand-in on PATH, so that the machine itself is never suspended."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(power_machine, "SLEEP_STATES", folder / "states")
    monkeypatch.setattr(power_machine.os, "geteuid", lambda: 0)
