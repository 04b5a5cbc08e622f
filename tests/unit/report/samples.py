"""Records for the tests of this folder."""

from __future__ import annotations

from sunward.model.datum import Quality
from sunward.model.job import JobSpec, JobState
from sunward.model.receipt import AttemptLine, Counterfactual, HourLine, Promise
from sunward.report.page import AccountRow, Bar, CheckRow, EpochRow, JobRow, ReceiptRow, ReportData, SiteRow
from sunward.report.receipts import Paid, ReceiptParts

HOUR_MS = 3_600_000
DAY = 1_686_528_000_000
"""2023-06-12T00:00Z."""

SPEC = JobSpec(
    job="j-abcdefghij",
    tenant="t-1",
    commitment="ab" * 32,
    origin_zone="DE",
    length_ms=HOUR_MS,
    deadline_ms=DAY + 12 * HOUR_MS,
    units=1_000,
    functional_unit="training step",
)


def line(hour=0, **changes):
    """One hour line; sums by hand are in the tests."""
    values = {
        "site": "es-solar",
        "zone": "ES",
        "hour_ms": DAY + hour * HOUR_MS,
        "gpu_model": "A100-SXM-80GB",
        "gpu_ms": HOUR_MS,
        "gpu_j": 1_200_000,
        "host_j": 600_000,
        "overhead_j": 360_000,
        "carbon_mg_per_kwh": 170_000,
        "carbon_source": "typical year",
        "carbon_quality": Quality.MODELLED,
        "location_mg": 102_000,
        "market_mg_per_kwh": 600_000,
        "market_mg": 360_000,
        "embodied_mg": 10_000,
        "water_ml": 900,
    }
    return HourLine(**{**values, **changes})


def parts(**changes):
    """A finished job over two hours."""
    values = {
        "spec": SPEC,
        "state": JobState.FINISHED,
        "epoch": 1,
        "submitted_ms": DAY,
        "finished_ms": DAY + 2 * HOUR_MS,
        "units_done": 1_000,
        "leased_ms": 2 * HOUR_MS,
        "lines": (line(0), line(1, location_mg=60_500)),
        "counterfactuals": (
            Counterfactual(name="run-now-origin/1", facility_j=1, carbon_mg=325_000, change_ppm=-500_000),
        ),
        "paid": Paid(
            price_usd_micro=2_000_000,
            price_wei=2_000,
            offset_wei=20,
            provider_wei=1_584,
            network_wei=396,
            refund_wei=100,
        ),
        "attempts": (AttemptLine(attempt=1, site="es-solar", start_ms=DAY, end_ms=DAY + 1, ended="finished"),),
        "promises": (Promise(kind="finish_by", at_ms=SPEC.deadline_ms, kept=True),),
        "seals": (4, 9),
        "energy_qualities": (Quality.MODELLED,),
        "overhead_qualities": (Quality.ESTIMATED,),
    }
    return ReceiptParts(**{**values, **changes})


def _site(name, gpus, base, amplitude, state):
    series = tuple(int(1_000 * (base + amplitude * abs(hour - 13) / 13)) for hour in range(24))
    return SiteRow(
        site=name,
        zone=name[:2].upper(),
        gpus=gpus,
        overhead_ppm=1_150_000,
        state=state,
        carbon_source="typical year 2021–2023",
        carbon_quality="modelled",
        carbon_mg_per_kwh=series,
    )


def _job(label, bars, decided="", kills=(), end=22):
    return JobRow(
        job=f"j-{label}",
        label=label,
        asked="12 h, pausable",
        decided=decided or f"{bars[0][0]} {bars[0][1]}:00",
        why="waiting saves 47 %",
        submitted_ms=DAY + 6 * HOUR_MS,
        deadline_ms=DAY + 22 * HOUR_MS,
        end_ms=DAY + end * HOUR_MS,
        bars=tuple(
            Bar(site=site, start_ms=DAY + int(start * HOUR_MS), end_ms=DAY + int(stop * HOUR_MS))
            for site, start, stop in bars
        ),
        kills_ms=tuple(DAY + int(at * HOUR_MS) for at in kills),
    )


REPORT = ReportData(
    lang="en",
    subtitle="12 June 2023, 06:00–24:00 UTC; 1 h = 3 s",
    real=("processes", "checkpoints", "signatures", "ledger"),
    modelled=("GPU watts", "grid: a typical June day"),
    start_ms=DAY + 6 * HOUR_MS,
    end_ms=DAY + 24 * HOUR_MS,
    sites=(
        _site("no-hydro", "4 H100", 28, 4, "asleep"),
        _site("es-solar", "4 A100", 90, 180, "idle"),
        _site("pl-coal", "2 L40S", 560, 200, "off"),
    ),
    jobs=(
        _job("train", (("es-solar", 9.5, 17), ("no-hydro", 20, 21.3))),
        _job("gang", (("no-hydro", 6.25, 9),), end=9),
        _job("tune", (("pl-coal", 7, 8.25), ("es-solar", 8.5, 12)), kills=(8.25,)),
        _job("private", (("pl-coal", 12, 13.1),)),
        _job("huge", (), decided="REFUSED", end=6),
    ),
    receipts=(
        ReceiptRow(
            job="j-train",
            label="train",
            where="es-solar, no-hydro",
            facility_j=21_600_000,
            location_mg=812_000,
            counterfactual="run-now-origin/1",
            counterfactual_mg=2_320_000,
            change_ppm=-650_000,
            embodied_mg=61_000,
            promises_kept=1,
            promises=1,
            price_usd_micro=9_350_000,
            final=True,
        ),
        ReceiptRow(
            job="j-private",
            label="private",
            where="pl-coal",
            facility_j=900_000,
            location_mg=162_000,
            counterfactual="run-now-origin/1",
            counterfactual_mg=120_000,
            change_ppm=350_000,
            embodied_mg=1_000,
            promises_kept=0,
            promises=1,
            price_usd_micro=1_100_000,
            final=False,
        ),
    ),
    epochs=(
        EpochRow(
            epoch=1,
            paid_usd_micro=31_400_000,
            paid_wei=628 * 10**18,
            provider_wei=497 * 10**18,
            network_wei=124 * 10**18,
            offset_wei=7 * 10**18,
            refunded_wei=5 * 10**17,
            facility_j=180_000_000,
            idle_j=22_000_000,
            location_mg=4_400_000,
            market_mg=29_000_000,
            embodied_mg=400_000,
            receipts_root="cd" * 32,
        ),
    ),
    accounts=(
        AccountRow(account="tenant:t-1", amount_wei=10**20),
        AccountRow(account="faucet:test", amount_wei=-(10**20)),
    ),
    journal_sequence=1_234,
    journal_hash="ef" * 32,
    checks=(
        CheckRow(check="receipts, independent code", passed=True, detail="8 of 8"),
        CheckRow(check="one byte changed", passed=False, detail="accepted"),
    ),
    not_proved=("The GPU is what its owner says.",),
)
