"""Signing keys: the service's, as they followed one another, and how one takes the place of another."""

from __future__ import annotations

from sunward.cli import show
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
