"""`sunward backup` and `sunward restore`: a home in one file, and back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sunward.adapters import backup as archive
from sunward.adapters.clock import SystemClock
from sunward.cli import show
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.errors import InputError

PASSPHRASE = option(
    "--passphrase",
    envvar="SUNWARD_PASSPHRASE",
    default=None,
    help="Of the service's key; better given as SUNWARD_PASSPHRASE.",
)


DATABASE = option("--database", default="", help="Address of its PostgreSQL database; else SQLite in the home folder.")


@command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@PASSPHRASE
@option("--without-keys", is_flag=True, help="Leave the service's key out; keep a copy of it elsewhere.")
@DATABASE
@pass_shell
def backup(shell: Shell, file: Path, passphrase: str | None, *, without_keys: bool, database: str) -> None:
    """Write the whole home to a file, while the service runs."""
    if file.exists():
        raise InputError(_("{file} exists already; name another").format(file=file), code="SW-687")
    secret = None if without_keys else passphrase or _asked(confirm=True)
    made = archive.back_up(shell.home, file, secret, SystemClock().machine_ms(), database)
    if shell.json:
        show.json_line({"file": str(file), "head": made.head, "files": len(made.files), "keys": made.keys})
        return
    text = _("{file}: journal up to record {sequence}, {files} files")
    show.line(text.format(file=file, sequence=made.head.sequence, files=len(made.files)))


@command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@PASSPHRASE
@option("--database", default="", help="Address of an empty PostgreSQL database, where the file is of one.")
@pass_shell
def restore(shell: Shell, file: Path, passphrase: str | None, database: str) -> None:
    """Put a home back from a file, into the empty folder that --home names."""
    try:
        made = archive.restore(file, shell.home, passphrase, database)
    except InputError as reason:
        if reason.code != archive.NO_PASSPHRASE or passphrase is not None:
            raise
        made = archive.restore(file, shell.home, _asked(confirm=False), database)
    if shell.json:
        show.json_line({"home": str(shell.home), "head": made.head, "keys": made.keys})
        return
    text = _("{home}: journal up to record {sequence}; start it with `sunward up`")
    show.line(text.format(home=shell.home, sequence=made.head.sequence))
    if not made.keys:
        show.line(_("put the service's own control.key and control.secrets there first, or it will be another service"))


def _asked(*, confirm: bool) -> str:
    """The passphrase, from whoever sits at the terminal. Raises: InputError when nobody does."""
    if not sys.stdin.isatty():
        line = _("the service's key needs a passphrase: set SUNWARD_PASSPHRASE, or use --without-keys")
        raise InputError(line, code="SW-689")
    found: str = click.prompt(_("Passphrase"), hide_input=True, confirmation_prompt=confirm)
    return found
