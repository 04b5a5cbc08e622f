"""`sunward evidence` and `sunward verdict`: file and check what is believed of a site; appeal and decide."""

from __future__ import annotations

import time
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.commands.audit import tell
from sunward.cli.keeper import agent_folder, joined, keeper
from sunward.cli.reasons import LEVELS, USES, word
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _
from sunward.cli.when import moment_or_span
from sunward.client import ApiClient
from sunward.model.trust import Dimension, Level
from sunward.model.trust_views import (
    AppealRequest,
    DecisionRequest,
    EvidenceCheck,
    EvidenceLine,
    EvidenceRequest,
    VerdictLine,
    VerdictRequest,
)
from sunward.units import PPM, SECOND_MS

NS_PER_S = 10**9
PERCENT = 100
LEVEL_NAMES = [one.value for one in Level]
DIMENSION = option(
    "--dimension", type=click.Choice([one.value for one in Dimension]), required=True, help="What it is about."
)
LEVEL = option("--level", type=click.Choice(LEVEL_NAMES), default=None, help="What it shows, as you saw it.")
DOCUMENT = option("--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What shows it.")
COVERS = option("--covers", type=click.FloatRange(0, PERCENT, min_open=True), help="Percent of it that it speaks of.")
FOLDER = option(
    "--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder."
)


@group()
def evidence() -> None:
    """File evidence for a site, read it, check it."""


@evidence.command("file")
@click.argument("site")
@DIMENSION
@option("--says", required=True, help="What it says, in one line that everybody may read.")
@option("--until", required=True, metavar="TIME", help="End, UTC, as in 2026-12-31T00:00, or a length of time: 365d.")
@DOCUMENT
@LEVEL
@COVERS
@FOLDER
@pass_shell
def evidence_file(
    shell: Shell,
    site: str,
    dimension: str,
    says: str,
    until: str,
    document: Path | None,
    level: str | None,
    covers: float | None,
    folder: Path | None,
) -> None:
    """File evidence; yours is declared until somebody else has checked it."""
    role = "auditor" if level else "provider"
    with keeper(shell, joined(agent_folder(shell, folder)), site, role) as client:
        wanted = EvidenceRequest(
            dimension=Dimension(dimension),
            statement=says,
            valid_until_ms=moment_or_span(until, lambda: _now_ms(client)),
            document=document.read_bytes() if document else b"",
            level=Level(level or Level.DECLARED),
            coverage_ppm=PPM if covers is None else _ppm(covers),
        )
        _told_evidence(shell, client.file_evidence(site, wanted))


@evidence.command("check")
@click.argument("site")
@click.argument("name", metavar="EVIDENCE")
@option("--level", type=click.Choice(LEVEL_NAMES), required=True, help="What it shows, as you saw it.")
@COVERS
@pass_shell
def evidence_check(shell: Shell, site: str, name: str, level: str, covers: float | None) -> None:
    """Say what evidence shows, after you have looked at it."""
    wanted = EvidenceCheck(level=Level(level), coverage_ppm=None if covers is None else _ppm(covers))
    with shell.client("auditor") as client:
        _told_evidence(shell, client.check_evidence(site, name, wanted))


@evidence.command("get")
@click.argument("site")
@click.argument("name", metavar="EVIDENCE")
@option("--output", type=click.Path(path_type=Path), required=True, help="File to write.")
@FOLDER
@pass_shell
def evidence_get(shell: Shell, site: str, name: str, output: Path, folder: Path | None) -> None:
    """Fetch the document behind evidence."""
    with keeper(shell, joined(agent_folder(shell, folder)), site, "auditor") as client:
        content = client.read_evidence(site, name)
    output.write_bytes(content)
    if shell.json:
        show.json_line({"file": str(output), "bytes": len(content)})
    else:
        show.line(_("{bytes} bytes in {file}").format(bytes=len(content), file=output))


@group()
def verdict() -> None:
    """Issue a verdict on a site, appeal against one, decide."""


@verdict.command("issue")
@click.argument("site")
@DIMENSION
@option("--fault", required=True, help="Short key of small letters, digits and _.")
@option("--says", required=True, help="What is wrong and how that was found.")
@option("--slashable", is_flag=True, help="Stake may be taken once it is final.")
@DOCUMENT
@pass_shell
def verdict_issue(
    shell: Shell,
    site: str,
    dimension: str,
    fault: str,
    says: str,
    slashable: bool,  # noqa: FBT001 - click's signature
    document: Path | None,
) -> None:
    """Say what is wrong at a site; its level falls at once, and its owner may appeal."""
    shown = document.read_bytes() if document else b""
    wanted = VerdictRequest(
        dimension=Dimension(dimension), fault=fault, sentence=says, slashable=slashable, document=shown
    )
    with shell.client("auditor") as client:
        _told_verdict(shell, client.issue_verdict(site, wanted))


@verdict.command("appeal")
@click.argument("name", metavar="VERDICT")
@option("--says", required=True, help="Why it is wrong; read by auditors, and erased with your account.")
@DOCUMENT
@FOLDER
@pass_shell
def verdict_appeal(shell: Shell, name: str, says: str, document: Path | None, folder: Path | None) -> None:
    """Contradict a verdict about a site of yours: nothing that cannot be undone follows until it is decided."""
    here = joined(agent_folder(shell, folder))
    wanted = AppealRequest(text=says, document=document.read_bytes() if document else b"")
    with keeper(shell, here, here.site if here else "") as client:
        _told_verdict(shell, client.appeal(name, wanted))


@verdict.command("decide")
@click.argument("name", metavar="VERDICT")
@click.argument("end", metavar="upheld|dismissed", type=click.Choice(["upheld", "dismissed"]))
@option("--reason", required=True, help="Why, in words that everybody may read.")
@pass_shell
def verdict_decide(shell: Shell, name: str, end: str, reason: str) -> None:
    """Decide an appeal; neither its owner nor who issued the verdict may."""
    with shell.client("auditor") as client:
        _told_verdict(shell, client.decide(name, DecisionRequest(upheld=end == "upheld", reason=reason)))


@verdict.command("read")
@click.argument("name", metavar="VERDICT")
@pass_shell
def verdict_read(shell: Shell, name: str) -> None:
    """Show what its owner says against a verdict."""
    with shell.client("auditor") as client:
        found = client.read_appeal(name)
    if shell.json:
        show.json_line(found)
    else:
        for line in found.text.splitlines():
            show.line(line)


def _told_evidence(shell: Shell, line: EvidenceLine) -> None:
    if shell.json:
        show.json_line(line)
        return
    one = line.evidence
    use = word(USES, line.use)
    text = _("{evidence} of {site} is {level} ({use})").format(
        evidence=one.evidence, site=one.site, level=word(LEVELS, one.level), use=use
    )
    show.line(text)


def _told_verdict(shell: Shell, line: VerdictLine) -> None:
    if shell.json:
        show.json_line(line)
    else:
        tell(line)


def _ppm(percent: float) -> int:
    return round(percent * PPM / PERCENT)


def _now_ms(client: ApiClient) -> int:
    """Grid time: on a network that runs faster than the clock on the wall, that is not now."""
    return client.clock().grid(time.time_ns() * SECOND_MS // NS_PER_S)
