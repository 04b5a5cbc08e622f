"""A month's statement from receipts: a line each, and sums that are exactly those of the lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sunward.model.datum import Quality
from sunward.model.receipt import Receipt
from sunward.model.statement import (
    CounterfactualSum,
    MonthPage,
    MonthStatement,
    SeriesNote,
    StatementLine,
    StatementTotals,
)
from sunward.signals import markets
from sunward.units import J_PER_WH


def statement_line(receipt: Receipt, paid_usd_micro: int, *, digest: str = "", name: str = "") -> StatementLine:
    """The line of one job; without the digest of its final receipt it is provisional."""
    sources = markets.sources()
    return StatementLine(
        job=receipt.job,
        name=name,
        state=receipt.state,
        final=bool(digest),
        epoch=receipt.epoch,
        receipt=digest,
        submitted_ms=receipt.submitted_ms,
        finished_ms=receipt.finished_ms,
        sites=tuple(sorted({line.site for line in receipt.lines})),
        zones=tuple(sorted({line.zone for line in receipt.lines})),
        gpu_ms=receipt.gpu_ms,
        device_j=receipt.gpu_j,
        facility_j=receipt.facility_j,
        location_mg=receipt.location_mg,
        market_mg=receipt.market_mg,
        market_basis=receipt.market_basis,
        embodied_mg=receipt.embodied_mg,
        water_ml=receipt.water_ml,
        price_usd_micro=receipt.price_usd_micro,
        paid_usd_micro=paid_usd_micro,
        paid_wei=receipt.price_wei,
        offset_wei=receipt.offset_wei,
        counterfactuals=receipt.counterfactuals,
        promises=receipt.promises,
        energy_quality=receipt.energy_quality,
        metered_ppm=receipt.metered_ppm,
        series=_merged(
            SeriesNote(
                zone=line.zone,
                source=line.carbon_source,
                quality=line.carbon_quality,
                facility_j=line.gpu_j + line.host_j + line.overhead_j,
            )
            for line in receipt.lines
        ),
        matched_j=_claimed_j(receipt, list(sources)),
        renewable_j=_claimed_j(receipt, [name for name, one in sources.items() if one.renewable]),
        carbon_free_j=_claimed_j(receipt, [name for name, one in sources.items() if one.carbon_free]),
    )


def _claimed_j(receipt: Receipt, kinds: Collection[str]) -> int:
    """Energy under certificates of some sources."""
    claims = (one for line in receipt.lines for one in line.certificates)
    return J_PER_WH * sum(one.wh for one in claims if one.source in kinds)


def totals_of(lines: Sequence[StatementLine]) -> StatementTotals:
    """Sums of lines; those of no lines are zero."""
    return StatementTotals(
        jobs=len(lines),
        provisional=sum(not line.final for line in lines),
        gpu_ms=sum(line.gpu_ms for line in lines),
        device_j=sum(line.device_j for line in lines),
        facility_j=sum(line.facility_j for line in lines),
        location_mg=sum(line.location_mg for line in lines),
        market_mg=sum(line.market_mg for line in lines),
        embodied_mg=sum(line.embodied_mg for line in lines),
        water_ml=sum(line.water_ml for line in lines),
        price_usd_micro=sum(line.price_usd_micro for line in lines),
        paid_usd_micro=sum(line.paid_usd_micro for line in lines),
        paid_wei=sum(line.paid_wei for line in lines),
        offset_wei=sum(line.offset_wei for line in lines),
        promises=sum(len(line.promises) for line in lines),
        promises_kept=sum(promise.kept for line in lines for promise in line.promises),
        counterfactuals=_counterfactuals(lines),
        series=_merged(note for line in lines for note in line.series),
        matched_j=sum(line.matched_j for line in lines),
        renewable_j=sum(line.renewable_j for line in lines),
        carbon_free_j=sum(line.carbon_free_j for line in lines),
    )


def whole_month(pages: Sequence[MonthPage]) -> MonthStatement:
    """A month from all its pages, in the order of the jobs' ends.

    A job whose receipt became final while the pages were fetched is on two of them: the final line counts.
    """
    lines: dict[str, StatementLine] = {}
    for line in (line for page in pages for line in page.lines):
        known = lines.get(line.job)
        if known is None or line.final:
            lines[line.job] = line
    ordered = tuple(sorted(lines.values(), key=lambda line: (line.finished_ms, line.job)))
    last = pages[-1]
    return MonthStatement(
        tenant=last.tenant,
        month=last.month,
        start_ms=last.start_ms,
        end_ms=last.end_ms,
        at_ms=last.at_ms,
        lines=ordered,
        totals=totals_of(ordered),
        pending=tuple(sorted({job for page in pages for job in page.pending} - set(lines))),
    )


def _counterfactuals(lines: Sequence[StatementLine]) -> tuple[CounterfactualSum, ...]:
    found: dict[str, list[tuple[int, int]]] = {}
    for line in lines:
        for one in line.counterfactuals:
            found.setdefault(one.name, []).append((one.carbon_mg, line.location_mg))
    return tuple(
        CounterfactualSum(
            name=name,
            jobs=len(pairs),
            carbon_mg=sum(carbon for carbon, _ in pairs),
            location_mg=sum(own for _, own in pairs),
        )
        for name, pairs in sorted(found.items())
    )


def _merged(notes: Iterable[SeriesNote]) -> tuple[SeriesNote, ...]:
    """One note for each series, in a fixed order."""
    energy_j: dict[tuple[str, str, Quality], int] = {}
    for note in notes:
        key = (note.zone, note.source, note.quality)
        energy_j[key] = energy_j.get(key, 0) + note.facility_j
    return tuple(
        SeriesNote(zone=zone, source=source, quality=quality, facility_j=amount_j)
        for (zone, source, quality), amount_j in sorted(energy_j.items())
    )
