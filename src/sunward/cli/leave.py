"""`sunward leave`: a site leaves the network, and this machine is its owner's alone again."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import click

from sunward.adapters.exclusive import holder
from sunward.agent import unit
from sunward.cli import show
from sunward.cli.keeper import MEMBERSHIP_FILE, Joined, agent_folder, joined, keeper, named
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.errors import ConflictError, SourceError
from sunward.model.site_views import Left, SiteLease, SiteStatus

LOOK_S = 2.0
"""Between two looks at what still runs."""
PATIENCE = 90
"""Looks for the last readings, or for the agent's end, before we give up and say so."""
OWN_FILES = ("agent.toml*", "attempts", "key", "key.next", "lock", "outbox.db*")
BOUND = "SW-191"
"""The site holds leases or unsealed readings."""


@command()
@option("--site", "name", default="", help="Name of the site; else that of the agent's folder.")
@option("--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder.")
@option("--purge", is_flag=True, help="Delete the agent's folder with its key: the site's name cannot come back then.")
@pass_shell
def leave(shell: Shell, name: str, folder: Path | None, purge: bool) -> None:  # noqa: FBT001 - click's signature
    """Leave the network with a site: drain it, wait, settle, end its agent here."""
    here = joined(agent_folder(shell, folder))
    name = named(shell, here, name)
    ours = here if here is not None and here.site == name else None
    with keeper(shell, here, name) as client:
        _wait(shell, client, client.drain(name))
        if ours is not None:
            unit.remove(ours.folder)
            _stop(shell, ours.folder)
        left = _leave(shell, client, name)
    if ours is not None:
        _tidy(ours, purge=purge)
    if shell.json:
        show.json_line(left)
        return
    line = _("{site} has left; about {amount} is owed for work not settled yet, settled at {at}")
    show.line(line.format(site=name, amount=show.usd(left.owed_usd_micro), at=show.stamp(left.settles_ms)))
    if ours is not None and not purge:
        show.line(_("the key stays in {folder}: `sunward join` brings the site back").format(folder=ours.folder))


def _wait(shell: Shell, client: ApiClient, found: SiteStatus) -> None:
    """Until no lease runs; each change is told. Ended early, the site stays draining."""
    told = ""
    while found.account is not None and found.account.leases:
        line = _("waiting for {leases}").format(leases=", ".join(map(_progress, found.account.leases)))
        if line != told and not shell.json:
            show.line(line)
        told = line
        shell.sleep(LOOK_S)
        found = client.site(found.site)


def _progress(lease: SiteLease) -> str:
    return f"{lease.lease} ({lease.units_done}/{lease.units})"


def _stop(shell: Shell, folder: Path) -> None:
    """End the agent that runs from the folder; it delivers its last readings.

    Raises: SourceError when it does not end.
    """
    process = holder(folder)
    if process is None:
        return
    if process:
        # Gone by now, or another user's: what counts is whether the folder is free in the end.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGTERM)
    for _look in range(PATIENCE):
        if holder(folder) is None:
            return
        shell.sleep(LOOK_S)
    line = _("the agent in {folder} (process {number}) does not end; end it and leave again")
    raise SourceError(line.format(folder=folder, number=process or "?"), code="SW-639")


def _leave(shell: Shell, client: ApiClient, name: str) -> Left:
    """Leave as soon as the last readings are sealed.

    Raises: ConflictError naming what still binds the site.
    """
    for _look in range(PATIENCE):
        try:
            return client.leave(name)
        except ConflictError as reason:
            if reason.code != BOUND:
                raise
        shell.sleep(LOOK_S)
    return client.leave(name)


def _tidy(here: Joined, *, purge: bool) -> None:
    """The token is of no use any more; the key names the site for good, so it goes only when asked.

    Only what an agent makes is deleted: the folder was named by its owner and may hold other things.
    """
    (here.folder / MEMBERSHIP_FILE).unlink(missing_ok=True)
    if not purge:
        return
    for made in OWN_FILES:
        for path in here.folder.glob(made):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    with suppress(OSError):
        here.folder.rmdir()
