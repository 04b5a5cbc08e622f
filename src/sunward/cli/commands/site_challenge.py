"""`sunward site challenge`: have a site show that its GPUs are what it declared, and see how that ended."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sunward.cli import show
from sunward.cli.reasons import CHALLENGE_STATES, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.model.challenge import ChallengeView
from sunward.units import BYTES_PER_GIB, SECOND_MS


@command()
@click.argument("name", metavar="SITE")
@option("--results", is_flag=True, help="Ask nothing; show what is open and how the last ones ended.")
@pass_shell
def challenge(shell: Shell, name: str, *, results: bool) -> None:
    """Have a site's free GPUs show now what they are; its agent answers by itself."""
    with shell.client("operator") as client:
        found = client.challenges() if results else client.challenge(name)
    found = tuple(one for one in found if one.site == name)
    if shell.json:
        show.json_line(found)
    elif found:
        told(found)
    else:
        show.line(_("{site} was never challenged").format(site=name))


def told(found: Sequence[ChallengeView]) -> None:
    """One line each, with the reason of those that failed below."""
    columns = (_("CHALLENGE"), "GPU", "GiB", _("DRAWN"), _("UNTIL"), _("STATE"), _("TOOK, s"), _("BY"))
    show.table(columns, map(_cells, found))
    for one in found:
        for fault in one.faults[:1]:
            show.line(f"{one.challenge}: {fault.sentence.format(**fault.figures)}")


def _cells(one: ChallengeView) -> show.Row:
    took = f"{one.elapsed_ms / SECOND_MS:.1f}/{one.allowed_ms / SECOND_MS:.1f}" if one.allowed_ms else show.NOTHING
    return (
        one.challenge,
        f"{one.containers} {one.gpu_model}",
        f"{one.bytes / BYTES_PER_GIB:.3g}",
        show.stamp(one.drawn_ms),
        show.stamp(one.until_ms),
        word(CHALLENGE_STATES, one.state),
        took,
        one.beacon.label,
    )
