"""Signing keys: the service's, as they followed one another, and how one takes the place of another."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

import click

from sunward.cli import show
from sunward.cli.commands.audit import tell
from sunward.cli.keeper import agent_folder
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _


@group()
def key() -> None:
    """List and change signing keys."""


@key.command("list")
@pass_shell
def key_list(shell: Shell) -> None:
    """List the keys that the service has signed with; --json also gives the proof of how each followed the last."""
    with shell.client() as client:
        found = client.signing_keys()
    if shell.json:
        show.json_line(found)
        return
    columns = (_("PUBLIC KEY"), _("FROM RECORD"), _("TO RECORD"))
    rows = ((one.public_key, str(one.first), show.NOTHING if one.last is None else str(one.last)) for one in found.keys)
    show.table(columns, rows)


@key.command("stolen")
@click.argument("site")
@option("--from", "first", type=click.IntRange(min=1), required=True, help="First batch that may be others'.")
@pass_shell
def key_stolen(shell: Shell, site: str, first: int) -> None:
    """Report that others held your site's key: nothing more of it is taken, and what it signed is disputed."""
    with shell.client("provider") as client:
        found = client.report_stolen_key(site, first)
    if shell.json:
        show.json_line(found)
        return
    tell(found)
    show.line(_("now join anew with a token of `sunward site token --for {site}`").format(site=site))


@key.group("rotate")
def rotate() -> None:
    """Put a new signing key in the place of one."""


@rotate.command("service")
@option("--database", default="", help="Database address; else SQLite in the home folder.")
@pass_shell
def rotate_service(shell: Shell, database: str) -> None:
    """Give the stopped service of the home folder a new key; what the old one signed stays valid.

    The old key vouches for the new one in the journal and is then deleted. Identifiers, tokens, webhooks and the
    secrets of jobs stay as they are.
    """
    # Only this command needs the service, which the light client leaves out.
    from sunward.cli.up import take_home  # noqa: PLC0415
    from sunward.engine.inputs import Feeds  # noqa: PLC0415
    from sunward.service.bootstrap import require_home, rotate_key  # noqa: PLC0415
    from sunward.signals.typical import ClimatologyForecaster, ClimatologySource  # noqa: PLC0415

    address = database or None
    require_home(shell.home, address)
    with take_home(shell.home):
        made = rotate_key(shell.home, Feeds(ClimatologySource(), ClimatologyForecaster()), address)
    if shell.json:
        show.json_line(made)
        return
    line = _("the service signs with {public_key} from record {sequence} on; tell whoever checks its receipts")
    show.line(line.format(public_key=made.new_public, sequence=made.sequence))


@rotate.command("agent")
@option("--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder.")
@pass_shell
def rotate_agent(shell: Shell, folder: Path | None) -> None:
    """Give the stopped agent of this machine a new key; its readings go on.

    A key that is lost is replaced by joining anew with `sunward site token --for SITE`.
    """
    # Only this command needs the agent, which the light client leaves out.
    from sunward.agent.client import Backoff, ControlPlane  # noqa: PLC0415
    from sunward.agent.config import load_config  # noqa: PLC0415
    from sunward.agent.folder import take_folder  # noqa: PLC0415
    from sunward.agent.identity import load_membership  # noqa: PLC0415
    from sunward.agent.rotation import rotate as new_key  # noqa: PLC0415

    place = agent_folder(shell, folder)
    membership = load_membership(place)
    config = load_config(place)
    backoff = Backoff(sleep=shell.sleep, jitter=SystemRandom().random)
    with take_folder(place):
        plane = ControlPlane(
            config.server, membership.token, backoff, shell.transport, ca=config.ca, insecure=config.insecure
        )
        try:
            taken = new_key(place, membership.site, plane)
        finally:
            plane.close()
    if shell.json:
        show.json_line(taken)
        return
    line = _("{site} signs its readings with {public_key} from batch {counter} on")
    show.line(line.format(site=membership.site, public_key=taken.public_key, counter=taken.from_counter))
