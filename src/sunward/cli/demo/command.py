"""The command `sunward demo`."""

from __future__ import annotations

import shutil
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.demo.story import PAGE, play
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.errors import InputError

MARK = ".sunward-demo"
"""Only a folder with this file in it is emptied for the next run."""


@command()
@option("--speed", type=click.IntRange(60, 3_600), default=1_200, help="Grid hours per hour.")
@option("--keep", is_flag=True, help="Keep the network running at the end.")
@option("--folder", type=click.Path(path_type=Path), default=Path("out/demo"), help="Where the demo puts its files.")
@pass_shell
def demo(shell: Shell, speed: int, keep: bool, folder: Path) -> int:  # noqa: FBT001 - click's signature
    """Run eight jobs on three sites in about a minute: decided, run, paused, moved, paid, proven."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise InputError(
                _("{folder} holds other files; name an empty --folder").format(folder=folder), code="SW-624"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    # For machines the transcript goes to stderr and one object to stdout.
    with redirect_stdout(sys.stderr) if shell.json else nullcontext():
        checks = play(folder, speed, keep=keep)
    passed = all(check.passed for check in checks)
    if shell.json:
        show.json_line({"ok": passed, "checks": checks, "report": str((folder / PAGE).resolve())})
    return 0 if passed else 1
