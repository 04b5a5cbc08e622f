"""Who acts for a site: the agent that joined from a folder here, else the provider's token."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sunward.cli.shell import Shell
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.client.credentials import stored
from sunward.errors import InputError
from sunward.model.codec import decode

MEMBERSHIP_FILE, CONFIG_FILE = "membership.json", "agent.toml"
"""As the agent names them; it is not loaded for these commands, which run where no agent could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Membership:
    site: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A site that has joined from a folder of this machine."""

    folder: Path
    site: str
    token: str
    server: str


def joined(folder: Path) -> Joined | None:
    """What the folder says of its site; None where none has joined from it.

    Raises: InputError when a file there is damaged.
    """
    file, settings = folder / MEMBERSHIP_FILE, folder / CONFIG_FILE
    if not file.exists() or not settings.exists():
        return None
    membership = decode(file.read_bytes(), _Membership)
    try:
        server = tomllib.loads(settings.read_text("utf-8")).get("server", "")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"{settings}: {reason}", code="SW-510") from None
    return Joined(folder=folder, site=membership.site, token=membership.token, server=str(server))


def agent_folder(shell: Shell, folder: Path | None) -> Path:
    """The agent's own folder: the one named, else `agent` in the home folder."""
    return folder.expanduser() if folder else shell.home / "agent"


@contextmanager
def keeper(shell: Shell, here: Joined | None, site: str, role: str = "provider") -> Iterator[ApiClient]:
    """A client that may act on a site.

    A token given counts first, then that of the site's own agent, then that of a role of the home folder.
    """
    if here is None or here.site != site or shell.token:
        with shell.client(role) as client:
            yield client
        return
    with ApiClient(shell.url or here.server, here.token, transport=shell.transport) as client:
        yield client


def named(shell: Shell, here: Joined | None, site: str) -> str:
    """The site meant: the one named, the folder's, or the only one of the home folder's provider.

    Raises: InputError when none is.
    """
    if site or here is not None:
        return site or (here.site if here else "")
    if shell.token or shell.url or stored(shell.home) is not None:
        with shell.client("provider") as client:
            own = [one.site for one in client.sites() if client.site(one.site).account is not None]
        if len(own) == 1:
            return own[0]
    raise InputError(_("name the site; no single one of yours is known here"), code="SW-638")
