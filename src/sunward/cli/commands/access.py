"""Commands of an operator on who may use the service: tenants, tokens, and the record of what was done."""

from __future__ import annotations

from collections.abc import Iterable

import click

from sunward.cli import show
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _, ngettext
from sunward.errors import NotFoundError
from sunward.model.records import Erased, TenantLine, TokenRequest

ROLES = ("tenant", "provider", "operator", "auditor", "anchor")
HASH_SHOWN = 16


def find_tenant(tenants: Iterable[TenantLine], name: str) -> str:
    """A tenant by its id or name.

    Raises: NotFoundError.
    """
    named = [each.tenant for each in tenants if name in (each.tenant, each.name)]
    if len(named) != 1:
        raise NotFoundError(_("no tenant {name}").format(name=name), code="SW-685")
    return named[0]


@group()
def tenant() -> None:
    """Add, list and erase tenants."""


@tenant.command("add")
@click.argument("name")
@option("--days", type=click.IntRange(min=1), default=None, help="How long its first token lives; else a year.")
@pass_shell
def tenant_add(shell: Shell, name: str, days: int | None) -> None:
    """Make a tenant and its first token, which is shown once."""
    with shell.client("operator") as client:
        made = client.add_tenant(name, days or 0)
    if shell.json:
        show.json_line(made)
    else:
        show.pairs([(_("tenant"), made.tenant), (_("token"), made.token)])


@tenant.command("list")
@pass_shell
def tenant_list(shell: Shell) -> None:
    """List the tenants."""
    with shell.client("operator") as client:
        found = client.tenants()
    if shell.json:
        show.json_line(found)
    else:
        show.table((_("TENANT"), _("NAME")), ((each.tenant, each.name) for each in found))


@tenant.command("erase")
@click.argument("name")
@option("--cancel", is_flag=True, help="Cancel its open jobs first.")
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_shell
def tenant_erase(shell: Shell, name: str, cancel: bool, yes: bool) -> None:  # noqa: FBT001 - click's signature
    """Erase a tenant's name and all private content of its ended jobs: it cannot be brought back."""
    with shell.client("operator") as client:
        found = find_tenant(client.tenants(), name)
        if not yes:
            click.confirm(_("Erase all private content of {name} for good?").format(name=name), abort=True)
        done = client.erase_tenant(found, cancel=cancel)
    tell_erased(shell, done)


def tell_erased(shell: Shell, done: Erased) -> None:
    """Say how much is gone."""
    if shell.json:
        show.json_line(done)
        return
    jobs = ngettext("content of {count} job", "content of {count} jobs", done.jobs).format(count=done.jobs)
    files = ngettext("{count} stored file", "{count} stored files", done.objects).format(count=done.objects)
    show.line(_("erased: {jobs}, {files}").format(jobs=jobs, files=files))


@group()
def token() -> None:
    """Make, list and end access tokens."""


@token.command("create")
@click.argument("subject")
@option("--role", "roles", type=click.Choice(ROLES), multiple=True, required=True, help="May be repeated.")
@option("--days", type=click.IntRange(min=1), default=None, help="How long it lives; else a year.")
@option("--note", default="", help="What it is for; you will see it in the list.")
@pass_shell
def token_create(shell: Shell, subject: str, roles: tuple[str, ...], days: int | None, note: str) -> None:
    """Make a token for a tenant, provider, operator, auditor or anchor; it is shown once."""
    wanted = TokenRequest(subject=subject, scopes=tuple(sorted(set(roles))), days=days or 0, note=note)
    with shell.client("operator") as client:
        made = client.create_token(wanted)
    if shell.json:
        show.json_line(made)
    else:
        click.echo(made.token)


@token.command("list")
@pass_shell
def token_list(shell: Shell) -> None:
    """List the tokens, without their secrets."""
    with shell.client("operator") as client:
        found = client.tokens()
    if shell.json:
        show.json_line(found)
        return
    rows = (
        (each.hash[:HASH_SHOWN], each.subject, " ".join(each.scopes), show.stamp(each.expires_machine_ms), each.note)
        for each in found
    )
    show.table((_("TOKEN"), _("SUBJECT"), _("ROLES"), _("EXPIRES"), _("NOTE")), rows)


@token.command("revoke")
@click.argument("token_hash", metavar="TOKEN")
@pass_shell
def token_revoke(shell: Shell, token_hash: str) -> None:
    """End a token, named as the list shows it."""
    with shell.client("operator") as client:
        named = [each.hash for each in client.tokens() if each.hash.startswith(token_hash)]
        # A name that fits none, or more than one, is left to the service to refuse.
        ended = named[0] if len(named) == 1 else token_hash
        client.revoke_token(ended)
    if shell.json:
        show.json_line({"revoked": ended})
    else:
        show.line(_("token ended"))


@group()
def access() -> None:
    """See what was done by whom."""


@access.command("log")
@option("--after", type=click.IntRange(min=0), default=0, help="Only acts after this number.")
@option("-n", "--lines", type=click.IntRange(1, 1_000), default=100, show_default=True, metavar="N", help="How many.")
@pass_shell
def access_log(shell: Shell, after: int, lines: int) -> None:
    """Show who did what to whom, oldest first."""
    with shell.client("operator") as client:
        page = client.audit(after, lines)
    if shell.json:
        show.json_line(page)
        return
    columns = (_("NUMBER"), _("TIME"), _("SUBJECT"), _("ACTION"), _("TARGET"), _("FROM"))
    rows = (
        (str(each.id), show.stamp(each.at_machine_ms), each.subject, each.action, each.target, each.address)
        for each in page.acts
    )
    show.table(columns, rows)
