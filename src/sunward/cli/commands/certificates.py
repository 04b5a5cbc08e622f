"""`sunward certificates`: granular certificates, from a meter or another registry to the job they are cancelled for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.reasons import CERTIFICATE_STATES, word
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _
from sunward.cli.when import moment_or_span
from sunward.errors import InputError
from sunward.model.granular import CertificateBundle, CertificateState
from sunward.model.granular_views import (
    DeviceRequest,
    ImportRequest,
    IssueRequest,
    MoveRequest,
    Registered,
    UseRequest,
    WithdrawRequest,
)
from sunward.units import J_PER_WH

SHORT = 12
"""Characters of a bundle's hash that are shown; as many that name only one may be given."""
ROLE = option(
    "--as",
    "role",
    type=click.Choice(["tenant", "provider", "operator", "auditor"]),
    default="tenant",
    help="Whose token of the home folder speaks.",
)
WH = option("--wh", type=click.IntRange(1), default=None, help="How many Wh at most; else all of the bundles.")
FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@group()
def certificates() -> None:
    """List, issue, import, give away and cancel granular certificates."""


@certificates.command("list")
@option("--state", type=click.Choice([one.value for one in CertificateState]), default=None, help="Only these.")
@ROLE
@pass_shell
def list_(shell: Shell, state: str | None, role: str) -> None:
    """Show bundles in order of their ids; operator and auditor see all."""
    with shell.client(role) as client:
        found = client.certificates(state or "")
    if shell.json:
        show.json_line(found)
    elif not found:
        show.line(_("no certificates"))
    else:
        columns = (_("BUNDLE"), _("FROM"), _("HOURS"), _("ENERGY"), _("SOURCE"), _("MARKET"), _("STATE"), _("FOR"))
        show.table(columns, map(_cells, found))


def _cells(one: CertificateBundle) -> show.Row:
    # What is of more than an hour is never matched by the hour, and says so by its length.
    length = "1" if one.hourly else _("{span}, volumetric").format(span=show.span(one.end_ms - one.start_ms))
    state = word(CERTIFICATE_STATES, one.state)
    if one.claimed_wh:
        state = _("{state}, {energy} claimed").format(state=state, energy=show.energy(one.claimed_wh * J_PER_WH))
    return (
        one.bundle[:SHORT],
        show.stamp(one.start_ms),
        length,
        show.energy(one.wh * J_PER_WH),
        one.source,
        one.market,
        state,
        one.beneficiary,
    )


@certificates.command()
@click.argument("name", metavar="DEVICE")
@option("--site", required=True, help="The site it generates at.")
@option("--source", required=True, help="solar, wind, hydro, geothermal, biomass, marine or nuclear.")
@option("--kw", type=float, required=True, help="Its nameplate, kW.")
@option("--lat", type=float, required=True, help="Where it stands, degrees north.")
@option("--lon", type=float, required=True, help="Degrees east.")
@option("--year", type=int, default=0, help="Of first operation.")
@pass_shell
def device(shell: Shell, name: str, site: str, source: str, kw: float, lat: float, lon: float, year: int) -> None:
    """Declare a device that generates at a site of yours."""
    wanted = DeviceRequest(
        device=name, site=site, source=source, nameplate_kw=kw, latitude=lat, longitude=lon, year=year
    )
    with shell.client("provider") as client:
        found = client.declare_generation(wanted)
    if shell.json:
        show.json_line(found)
    else:
        show.line(
            _("{device} is declared; its hours become certificates once its meter is believed").format(device=name)
        )


@certificates.command()
@click.argument("name", metavar="DEVICE")
@FILE
@option("--cancel", is_flag=True, help="Cancel them for the device's own site at once.")
@pass_shell
def issue(shell: Shell, name: str, file: Path, cancel: bool) -> None:  # noqa: FBT001 - click's signature
    """Issue certificates for the metered hours of a CSV file: hour, wh, exported_wh."""
    with shell.client("provider") as client:
        _told(shell, client.issue_certificates(IssueRequest(device=name, file=file.read_bytes(), cancel=cancel)))


@certificates.command("import")
@click.argument("registry", metavar="mrets|wregis|gats|go|irec")
@FILE
@option("--owner", required=True, help="Account that gets them.")
@option("--zone", default="", help="Where the plants are, in countries with several markets.")
@pass_shell
def import_(shell: Shell, registry: str, file: Path, owner: str, zone: str) -> None:
    """Take over what was retired for this network in another registry, from its export as CSV."""
    wanted = ImportRequest(registry=registry, owner=owner, file=file.read_bytes(), zone=zone)
    with shell.client("operator") as client:
        _told(shell, client.import_certificates(wanted))


@certificates.command()
@click.argument("to", metavar="ACCOUNT")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@WH
@ROLE
@pass_shell
def give(shell: Shell, to: str, bundles: tuple[str, ...], wh: int | None, role: str) -> None:
    """Give certificates to another account."""
    with shell.client(role) as client:
        names = _whole(bundles, client.certificates)
        _told(shell, client.move_certificates(MoveRequest(to=to, bundles=names, wh=wh or 0)))


@certificates.command()
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@option("--for", "beneficiary", required=True, help="site:NAME, tenant:ID or job:ID.")
@WH
@ROLE
@pass_shell
def cancel(shell: Shell, bundles: tuple[str, ...], beneficiary: str, wh: int | None, role: str) -> None:
    """Cancel certificates for a site, a tenant or a job, for good."""
    with shell.client(role) as client:
        names = _whole(bundles, client.certificates)
        _told(shell, client.cancel_certificates(UseRequest(beneficiary=beneficiary, bundles=names, wh=wh or 0)))


@certificates.command()
@click.argument("name", metavar="DEVICE")
@option("--from", "start", required=True, metavar="TIME", help="Begin, UTC, as in 2026-06-11T18:00.")
@option("--until", required=True, metavar="TIME", help="End.")
@option("--verdict", required=True, help="The verdict on its renewables.")
@pass_shell
def withdraw(shell: Shell, name: str, start: str, until: str, verdict: str) -> None:
    """Take back what a device was given, as far as nothing final counts it."""
    start_ms, end_ms = (moment_or_span(text, lambda: 0) for text in (start, until))
    wanted = WithdrawRequest(device=name, start_ms=start_ms, end_ms=end_ms, verdict=verdict)
    with shell.client("auditor") as client:
        _told(shell, client.withdraw_certificates(wanted))


def _whole(names: Sequence[str], known: Callable[[str], tuple[CertificateBundle, ...]]) -> tuple[str, ...]:
    """The whole names of active bundles, each given by as much of its beginning as names it alone.

    Raises: InputError for one that names none or several.
    """
    every = [one.bundle for one in known(CertificateState.ACTIVE)]
    found = []
    for name in names:
        meant = [one for one in every if one.startswith(name)]
        if len(meant) != 1:
            line = _("{name} names {count} active bundles of yours; see `sunward certificates list`")
            raise InputError(line.format(name=name, count=len(meant)), code="SW-763")
        found += meant
    return tuple(found)


def _told(shell: Shell, done: Registered) -> None:
    if shell.json:
        show.json_line(done)
    else:
        text = _("{energy} ({wh} certificates), journal record {sequence}")
        show.line(text.format(energy=show.energy(done.wh * J_PER_WH), wh=done.wh, sequence=done.sequence))
