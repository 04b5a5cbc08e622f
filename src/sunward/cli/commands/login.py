"""Commands on tokens: keep one, forget them, say whose they are."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from sunward.cli import show
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.client.credentials import CREDENTIALS, ROLES, Credentials, access, save, stored
from sunward.errors import InputError
from sunward.model.records import Whoami

TOKEN_CHARS = 1_000
NOT_KNOWN = "SW-401"
NO_URL, NO_TOKEN, NO_ROLE = "SW-184", "SW-185", "SW-186"


@command()
@option("--url", default="", help="Address of the service; else the one known here.")
@option("--token-stdin", is_flag=True, help="Read the token from standard input instead of asking for it.")
@pass_shell
def login(shell: Shell, url: str, token_stdin: bool) -> None:  # noqa: FBT001 - click's signature
    """Keep a token for a service, for every role it has; the operator of the service gives it to you."""
    address = (url or shell.address()).rstrip("/")
    if not address:
        raise InputError(_("which service? sunward login --url https://…"), code=NO_URL)
    token = shell.token or read_token(from_stdin=token_stdin)
    with shell.speaking(address, token) as client:
        told = client.whoami()
    roles = [role for role in ROLES if role in told.roles]
    if not roles:
        raise InputError(_("this token has no role that a person uses; ask the operator for another"), code=NO_ROLE)
    kept = stored(shell.home)
    if kept is None or kept.url.rstrip("/") != address:
        # Tokens of another service would be of no use here, and must never be sent here.
        kept = Credentials(url=address)
    save(shell.home, replace(kept, **{f"{role}_token": token for role in roles}))
    if shell.json:
        show.json_line(told)
    else:
        show.line(_("logged in to {url} as {subject}").format(url=address, subject=told.subject), "green")
        show.pairs(_described(told))


def read_token(*, from_stdin: bool) -> str:
    """The token on one line of standard input, or as a person types it, unseen.

    Raises: InputError where there is neither.
    """
    if from_stdin:
        token = sys.stdin.readline(TOKEN_CHARS).strip()
    elif sys.stdin.isatty():
        token = click.prompt(_("Token"), hide_input=True, err=True).strip()
    else:
        raise InputError(_("nobody is here to type the token; use --token-stdin"), code=NO_TOKEN)
    if not token or not token.isascii() or not token.isprintable():
        raise InputError(_("that is no token; copy it whole, on one line"), code=NO_TOKEN)
    return token


@command()
@pass_shell
def logout(shell: Shell) -> None:
    """Forget every token kept here. They stay valid elsewhere: ask the operator to revoke one that others may know."""
    kept = stored(shell.home)
    (shell.home / CREDENTIALS).unlink(missing_ok=True)
    url = kept.url if kept else ""
    if shell.json:
        show.json_line({"url": url})
    elif kept:
        show.line(_("logged out of {url}").format(url=url))
    else:
        show.line(_("nobody was logged in"))


@command()
@pass_shell
def whoami(shell: Shell) -> None:
    """Say whose tokens are kept here, and what they allow."""
    kept = [access(shell.home, shell.url, shell.token, role) for role in ROLES]
    found = [_asked(shell, one.url, one.token) for one in dict.fromkeys(kept) if one.token]
    known = [told for told in found if told is not None]
    if shell.json:
        show.json_line(known)
        return
    for told in known:
        show.pairs(_described(told))
    if len(known) < len(found):
        show.line(_("a token kept here is unknown to the service, revoked or expired; log in again"), "red")
    if not found:
        show.line(_("nobody is logged in; use sunward login"))


def _asked(shell: Shell, url: str, token: str) -> Whoami | None:
    """Whose token it is; None for one that the service does not know."""
    with shell.speaking(url, token) as client:
        try:
            return client.whoami()
        except InputError as reason:
            if reason.code != NOT_KNOWN:
                raise
            return None


def _described(told: Whoami) -> list[tuple[str, str | show.Cell]]:
    rows: list[tuple[str, str | show.Cell]] = [(_("tenant"), told.subject), (_("roles"), ", ".join(told.roles))]
    if told.site:
        rows.append((_("site"), told.site))
    return [*rows, (_("valid until"), show.stamp(told.expires_machine_ms))]
