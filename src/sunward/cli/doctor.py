"""`sunward doctor`: what this machine lacks to be a site, and the one command that mends it."""

from __future__ import annotations

from pathlib import Path

import click

from sunward.agent import prove
from sunward.agent.doctor import Finding, Level, examine
from sunward.agent.sleep import ALARM_S
from sunward.cli import show
from sunward.cli.commands.submit import interactive
from sunward.cli.reasons import translated
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import N_, _
from sunward.errors import InputError

WORDS = {Level.GOOD: N_("good"), Level.CAN: N_("could be better"), Level.MUST: N_("must be mended")}
STYLES = {Level.GOOD: "green", Level.CAN: "yellow", Level.MUST: "red"}


@command()
@option("--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder.")
@option("--server", default="", help="Address of the control plane; else that of the home folder.")
@option(
    "--prove-sleep", "sleeps", is_flag=True, help="Suspend this machine now and wake it by its alarm; measure both."
)
@option("--seconds", type=click.IntRange(20, 600), default=60, show_default=True, help="How long it sleeps for that.")
@option(
    "--prove-wake-on-lan", "woken", is_flag=True, help="Suspend this machine now and have another of yours wake it."
)
@option("-y", "--yes", is_flag=True, help="Suspend without asking.")
@pass_shell
def doctor(
    shell: Shell,
    folder: Path | None,
    server: str,
    sleeps: bool,  # noqa: FBT001 - click's signature
    seconds: int,
    woken: bool,  # noqa: FBT001 - click's signature
    yes: bool,  # noqa: FBT001 - click's signature
) -> int:
    """Say what this machine lacks to be a site, and the one command that mends it.

    Exit 1 if something must be mended before it can take work. With --prove-… it suspends the machine, to prove what
    plans may count on; end its agent first.
    """
    folder = folder.expanduser() if folder else shell.home / "agent"
    if sleeps or woken:
        _prove(shell, folder, seconds if sleeps else 0, woken, yes)
        return 0
    findings = list(examine(folder, server or shell.address()))
    if shell.json:
        show.json_line({"findings": findings})
    else:
        columns = (_("WHAT"), _("STATE"), _("FOUND"), _("TO MEND IT"))
        show.table(columns, (_row(finding) for finding in findings))
    return int(any(finding.level is Level.MUST for finding in findings))


def _prove(shell: Shell, folder: Path, seconds: int, woken: bool, yes: bool) -> None:  # noqa: FBT001
    """Suspend this machine, once or twice, as its owner agrees to."""
    prove.program()
    question = _("suspend this machine now? It wakes by itself within {seconds} seconds")
    longest_s = max(seconds, ALARM_S if woken else 0)
    if not yes and not (interactive() and click.confirm(question.format(seconds=longest_s), err=True)):
        raise InputError(_("nobody agreed to suspend this machine; add -y"), code="SW-545")
    proof = None
    if seconds:
        proof = prove.prove_alarm(folder, seconds)
    if woken:
        proof = prove.prove_neighbour(folder)
    if shell.json:
        show.json_line({"proof": proof})
    elif proof is not None:
        line = _("proved: it suspends, and is ready {seconds} s after its alarm")
        show.line(line.format(seconds=proof.wake_s))
        if proof.wake_mac:
            show.line(_("proved: a neighbour wakes it by {mac}").format(mac=proof.wake_mac))


def _row(finding: Finding) -> show.Row:
    state = show.Cell(_(WORDS[finding.level]), STYLES[finding.level])
    return (finding.name, state, translated(finding.what), finding.fix or show.NOTHING)
