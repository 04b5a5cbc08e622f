"""`sunward plan certify`: what the plan costs, and what no plan could cost less than."""

from __future__ import annotations

import sys

from sunward.cli import show
from sunward.cli.shell import Shell, command, pass_shell
from sunward.cli.text import _, ngettext
from sunward.model.certificate import PlanCertificate
from sunward.units import PPM

PERCENT = 100
BROKEN = 1
"""Exit status where a plan cannot be right."""


@command()
@pass_shell
def certify(shell: Shell) -> None:
    """Prove how near the plan is to the best: its cost beside a bound, worked out by other code than planned it."""
    with shell.client() as client:
        found = client.plan_certificate()
    if shell.json:
        show.json_line(found)
    else:
        _show(found)
    if not found.holds:
        sys.exit(BROKEN)


def _show(found: PlanCertificate) -> None:
    text = ngettext("{count} job with a place, at {time}", "{count} jobs with a place, at {time}", found.jobs)
    show.line(text.format(count=found.jobs, time=show.stamp(found.at_ms)))
    show.line()
    show.pairs(
        [
            (_("cost of the plan"), show.usd(found.cost_usd_micro)),
            (_("no plan costs less than"), show.usd(found.bound_usd_micro)),
            (_("gap"), show.Cell(f"{found.gap_ppm * PERCENT / PPM:.2f} %", "green" if found.holds else "red")),
            (_("bounded by all their starts"), str(found.exact)),
            (_("bounded by their cheapest hours"), str(found.loose)),
            (_("taken as they stand"), str(found.stays)),
        ]
    )
    if found.pools:
        show.line()
        columns = (_("SCARCE POOL"), _("HOURS"), _("USD PER HOUR, MEAN"), _("MOST"))
        rows = (
            (
                one.pool,
                show.span(one.scarce_ms),
                show.usd(one.mean_usd_micro_per_h).removesuffix(" USD"),
                show.usd(one.most_usd_micro_per_h).removesuffix(" USD"),
            )
            for one in found.pools
        )
        show.table(columns, rows)
    show.line()
    if found.without:
        text = _("these have a place that nothing they ask explains: {jobs}")
        show.line(text.format(jobs=", ".join(found.without)), "red")
    elif not found.holds:
        show.line(_("the plan costs less than it can: it breaks a constraint"), "red")
    else:
        show.line(_("energy, carbon, water, ask and margins are counted; waking and moving are not"), "dim")
