"""`sunward doctor`: what this machine lacks to be a site, and the one command that mends it."""

from __future__ import annotations

from pathlib import Path

import click

from sunward.agent.doctor import Finding, Level, examine
from sunward.cli import show
from sunward.cli.reasons import translated
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import N_, _

WORDS = {Level.GOOD: N_("good"), Level.CAN: N_("could be better"), Level.MUST: N_("must be mended")}
STYLES = {Level.GOOD: "green", Level.CAN: "yellow", Level.MUST: "red"}


@command()
@option("--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder.")
@option("--server", default="", help="Address of the control plane; else that of the home folder.")
@pass_shell
def doctor(shell: Shell, folder: Path | None, server: str) -> int:
    """Say what this machine lacks to be a site, and the one command that mends it.

    Exit 1 if something must be mended before it can take work.
    """
    folder = folder.expanduser() if folder else shell.home / "agent"
    findings = list(examine(folder, server or shell.address()))
    if shell.json:
        show.json_line({"findings": findings})
    else:
        columns = (_("WHAT"), _("STATE"), _("FOUND"), _("TO MEND IT"))
        show.table(columns, (_row(finding) for finding in findings))
    return int(any(finding.level is Level.MUST for finding in findings))


def _row(finding: Finding) -> show.Row:
    state = show.Cell(_(WORDS[finding.level]), STYLES[finding.level])
    return (finding.name, state, translated(finding.what), finding.fix or show.NOTHING)
