"""The report page of the demo, from what the network left behind."""

from __future__ import annotations

from collections.abc import Sequence

from sunward.cli import show
from sunward.cli.demo.proof import Check
from sunward.cli.demo.scenario import SITES, DemoJob, DemoSite
from sunward.cli.demo.watch import Moment
from sunward.cli.reasons import COUNTERFACTUALS, NOT_PROVED, PLACED, REFUSED, STATES, sentence, word
from sunward.cli.text import _, language
from sunward.client import ApiClient
from sunward.metering.counterfactual import RUN_NOW_ORIGIN, VERSION
from sunward.model.datum import SeriesKind
from sunward.model.identity import ZoneId
from sunward.model.receipt import EpochStatement, Receipt
from sunward.model.request import JobView
from sunward.report.page import (
    AccountRow,
    Bar,
    CheckRow,
    EpochRow,
    JobRow,
    ReceiptRow,
    ReportData,
    SiteRow,
)
from sunward.signals.typical import ClimatologySource
from sunward.units import HOUR_MS, PPM, ceil_to, floor_to


def report_data(
    client: ApiClient,
    jobs: dict[str, tuple[DemoJob, JobView]],
    receipts: Sequence[Receipt],
    moments: Sequence[Moment],
    checks: Sequence[Check],
    kill_ms: int,
    killed: str,
) -> ReportData:
    """All that the page shows."""
    start_ms = floor_to(min(receipt.submitted_ms for receipt in receipts), HOUR_MS)
    end_ms = ceil_to(max(receipt.finished_ms for receipt in receipts), HOUR_MS)
    head = client.journal_head()
    power = {view.site: view.power_state for view in client.sites()}
    return ReportData(
        lang=language(),
        subtitle=_("{start} to {end}, grid time").format(start=show.stamp(start_ms), end=show.stamp(end_ms)),
        real=(_("processes"), _("checkpoints"), _("signatures"), _("ledger")),
        modelled=(_("GPU watts"), _("grid (typical June day)")),
        start_ms=start_ms,
        end_ms=end_ms,
        sites=tuple(_site(site, power[site.site], start_ms, end_ms) for site in SITES),
        jobs=tuple(_job(receipt, jobs, moments, kill_ms, killed) for receipt in receipts),
        receipts=tuple(_receipt(receipt, jobs) for receipt in receipts),
        epochs=tuple(_epoch(statement) for statement in client.epochs()),
        accounts=tuple(
            AccountRow(account=account, amount_wei=int(wei))
            for account, wei in sorted(client.balances().items())
            if account != "total"
        ),
        journal_sequence=head.sequence,
        journal_hash=head.hash,
        checks=tuple(CheckRow(check=check.name, passed=check.passed, detail=check.detail) for check in checks),
        not_proved=tuple(
            word(NOT_PROVED, key) for key in sorted({key for receipt in receipts for key in receipt.not_proved})
        ),
    )


def _site(site: DemoSite, state: str, start_ms: int, end_ms: int) -> SiteRow:
    series = ClimatologySource().observe(ZoneId(site.zone), SeriesKind.CARBON_AVERAGE_LIFECYCLE, start_ms, end_ms)
    return SiteRow(
        site=site.site,
        zone=site.zone,
        gpus=f"{site.count} {site.gpu}",
        overhead_ppm=round(site.overhead * PPM),
        state=word(STATES, state),
        carbon_source=series.source,
        carbon_quality=series.quality.value,
        carbon_mg_per_kwh=tuple(series.values.tolist()),
    )


def _job(
    receipt: Receipt,
    jobs: dict[str, tuple[DemoJob, JobView]],
    moments: Sequence[Moment],
    kill_ms: int,
    killed: str,
) -> JobRow:
    asked, view = jobs[receipt.job]
    bars = tuple(
        Bar(site=line.site, start_ms=line.start_ms, end_ms=max(line.end_ms, line.start_ms + 1))
        for line in receipt.attempts
    )
    if view.refusal is not None:
        why = sentence(REFUSED, view.refusal.reason, view.refusal.detail)
    else:
        why = word(PLACED, view.assignment.reason) if view.assignment is not None else ""
    placed = next((moment.site for moment in moments if moment.job == receipt.job and moment.state == "placed"), "")
    return JobRow(
        job=receipt.job,
        label=asked.name,
        asked=_(asked.asked),
        decided=placed,
        why=why,
        submitted_ms=receipt.submitted_ms,
        deadline_ms=receipt.submitted_ms + round(asked.within_h * HOUR_MS),
        end_ms=receipt.finished_ms,
        bars=bars,
        kills_ms=(kill_ms,) if receipt.job == killed else (),
    )


def where(receipt: Receipt) -> str:
    """The sites a job ran at, in order."""
    sites = list(dict.fromkeys(line.site for line in receipt.attempts if line.end_ms > line.start_ms))
    return " → ".join(sites) or show.NOTHING


def _receipt(receipt: Receipt, jobs: dict[str, tuple[DemoJob, JobView]]) -> ReceiptRow:
    counterfactual = receipt.counterfactuals[0] if receipt.counterfactuals else None
    return ReceiptRow(
        job=receipt.job,
        label=jobs[receipt.job][0].name,
        where=where(receipt),
        facility_j=receipt.facility_j,
        location_mg=receipt.location_mg,
        counterfactual=word(COUNTERFACTUALS, f"{RUN_NOW_ORIGIN}/{VERSION}"),
        counterfactual_mg=counterfactual.carbon_mg if counterfactual else 0,
        change_ppm=counterfactual.change_ppm if counterfactual else 0,
        embodied_mg=receipt.embodied_mg,
        promises_kept=sum(promise.kept for promise in receipt.promises),
        promises=len(receipt.promises),
        price_usd_micro=receipt.price_usd_micro,
        final=True,
    )


def _epoch(statement: EpochStatement) -> EpochRow:
    return EpochRow(
        epoch=statement.epoch,
        paid_usd_micro=statement.paid_usd_micro,
        paid_wei=statement.paid_wei,
        provider_wei=statement.provider_wei,
        network_wei=statement.network_wei,
        offset_wei=statement.offset_wei,
        refunded_wei=statement.refunded_wei,
        facility_j=statement.facility_j,
        idle_j=statement.idle_j,
        location_mg=statement.location_mg,
        market_mg=statement.market_mg,
        embodied_mg=statement.embodied_mg,
        receipts_root=statement.receipts_root,
        offset=statement.offset,
    )
