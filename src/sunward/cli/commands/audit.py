"""`sunward audit SITE`: what is believed of a site, why, and what would raise it."""

from __future__ import annotations

from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.keeper import agent_folder, joined, keeper, named
from sunward.cli.reasons import CONSEQUENCES, DIMENSIONS, LEVELS, USES, VERDICT_STANDINGS, word
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.model.trust import NETWORK, Evidence, Level, Standing
from sunward.model.trust_views import DimensionLine, EvidenceLine, SiteAudit, Use, VerdictLine

STYLES = {Level.DECLARED: "red", Level.DOCUMENTED: "yellow"}
STANDING_STYLES = {Standing.DISMISSED: "dim", Standing.APPEALED: "yellow", Standing.OPEN: "yellow"}


@command()
@click.argument("name", default="", metavar="[SITE]")
@option("--folder", type=click.Path(path_type=Path), help="The agent's own folder; else `agent` in the home folder.")
@pass_shell
def audit(shell: Shell, name: str, folder: Path | None) -> None:
    """Show what is believed of a site, at which level, why, and what would raise it."""
    here = joined(agent_folder(shell, folder))
    name = named(shell, here, name)
    with keeper(shell, here, name, "auditor") as client:
        found = client.site_audit(name)
    if shell.json:
        show.json_line(found)
    else:
        told(found)


def told(found: SiteAudit) -> None:
    """The audit as people read it."""
    show.pairs(
        [
            (_("site"), f"{found.site} ({found.zone})"),
            (_("owner"), found.owner),
            (_("believed at least"), _level(found.weakest)),
            *_counted(found),
        ]
    )
    show.line()
    columns = (_("DIMENSION"), _("LEVEL"), _("COUNTS"), _("COVERS"), _("CHECKED BY"), _("UNTIL"), _("BECAUSE"))
    show.table(columns, (cells for one in found.dimensions for cells in _rows(one)))
    steps = [one for one in found.dimensions if one.step]
    if steps:
        show.line()
        show.line(_("What would raise it:"))
    for one in steps:
        if one.step:
            line = _("{dimension} to {level}: {step}")
            step = _(one.step.sentence)
            show.line("  " + line.format(dimension=_name(one), level=word(LEVELS, one.step.level), step=step))
    for verdict in found.verdicts:
        show.line()
        tell(verdict)


def _counted(found: SiteAudit) -> list[tuple[str, str | show.Cell]]:
    """In which zone the site counts, and why, where the network asks for its place."""
    if found.place_asked is Level.DECLARED:
        return []
    if found.counted_zone == found.zone:
        why = _("its place is shown as asked ({level}), or no zone that is left is dirtier")
    else:
        why = _("the dirtiest of {zones} zones that are left, until its place is {level}")
    why = why.format(level=word(LEVELS, found.place_asked), zones=found.zones_left)
    style = "" if found.counted_zone == found.zone else "yellow"
    return [(_("counts in"), show.Cell(f"{found.counted_zone}: {why}", style))]


def _rows(one: DimensionLine) -> list[show.Row]:
    """A row for the dimension with what it rests on, and one more for each other piece of evidence."""
    first: list[str | show.Cell] = [_name(one), _level(one.level), show.percent(one.cap_ppm)]
    if not one.evidence:
        return [[*first, show.NOTHING, show.NOTHING, show.NOTHING, _("nothing but the owner's word")]]
    others = (["", "", "", *_reason(line)] for line in one.evidence[1:])
    return [[*first, *_reason(one.evidence[0])], *others]


def _reason(line: EvidenceLine) -> list[str | show.Cell]:
    evidence = line.evidence
    because = show.Cell(_because(line), "" if line.use is Use.COUNTS else "dim")
    return [show.percent(evidence.coverage_ppm), _checker(evidence), show.stamp(evidence.valid_until_ms), because]


def _because(line: EvidenceLine) -> str:
    evidence = line.evidence
    figure = "" if evidence.value is None else f": {evidence.value} {evidence.unit}".rstrip()
    text = f"{evidence.statement}{figure} [{evidence.evidence}]"
    return text if line.use is Use.COUNTS else f"{text} ({word(USES, line.use)})"


def _checker(evidence: Evidence) -> str:
    if evidence.checked_by == NETWORK:
        return _("the network")
    return evidence.checked_by or _("nobody")


def tell(line: VerdictLine) -> None:
    """One verdict as people read it."""
    record = line.record
    style = STANDING_STYLES.get(line.standing, "red")
    standing = word(VERDICT_STANDINGS, line.standing)
    head = _("verdict {verdict} on {dimension}: {standing}")
    head = head.format(verdict=record.verdict, dimension=word(DIMENSIONS, record.dimension), standing=standing)
    show.line(head, style)
    show.line(f"  {_(record.sentence).format(**record.figures)}")
    facts = _("{fault}, found {at}; {consequence}").format(
        fault=record.fault, at=show.stamp(record.at_ms), consequence=word(CONSEQUENCES, record.consequence)
    )
    show.line(f"  {facts}")
    if line.standing is Standing.OPEN:
        until = show.stamp(record.appeal_until_ms)
        show.line("  " + _("it may be appealed until {until}").format(until=until))
    if line.decision:
        by, reason = line.decision.by, line.decision.reason
        show.line("  " + _("decided by {by}: {reason}").format(by=by, reason=reason))


def _name(one: DimensionLine) -> str:
    return word(DIMENSIONS, one.dimension)


def _level(level: Level) -> show.Cell:
    return show.Cell(word(LEVELS, level), STYLES.get(level, "green"))
