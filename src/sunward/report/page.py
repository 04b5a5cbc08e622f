"""What a report page shows: plain values, put together by the shell from what it has stored."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.credits import EpochOffset


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """One site, and the carbon intensity of its zone over the window."""

    site: str
    zone: str
    gpus: str
    """Count and model, e.g. `4 H100`."""
    overhead_ppm: int
    state: str
    carbon_source: str
    carbon_quality: str
    carbon_mg_per_kwh: tuple[int, ...]
    """One per grid hour from the start of the window's first hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One attempt's stretch of running at one site."""

    site: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job on the timeline; what is not coloured between submission and its end is waiting or a pause."""

    job: str
    label: str
    asked: str
    decided: str
    why: str
    submitted_ms: int
    deadline_ms: int
    end_ms: int
    """When it finished, or when it was refused."""
    bars: tuple[Bar, ...]
    kills_ms: tuple[int, ...] = ()
    """When the agent or job was killed on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """One receipt in figures."""

    job: str
    label: str
    where: str
    facility_j: int
    location_mg: int
    counterfactual: str
    """Name of the rule the next two figures follow."""
    counterfactual_mg: int
    change_ppm: int
    embodied_mg: int
    promises_kept: int
    promises: int
    price_usd_micro: int
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """Totals of one closed epoch."""

    epoch: int
    paid_usd_micro: int
    paid_wei: int
    provider_wei: int
    network_wei: int
    offset_wei: int
    refunded_wei: int
    facility_j: int
    idle_j: int
    location_mg: int
    market_mg: int
    embodied_mg: int
    receipts_root: str
    offset: EpochOffset | None = None
    """What was matched and retired; none where the network buys no credits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """One ledger account at the end."""

    account: str
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One check that was run, and how it ended."""

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """All that the page shows."""

    lang: str
    """Of the translations, e.g. `en`."""
    subtitle: str
    """When and how it ran, e.g. grid dates and speed."""
    real: tuple[str, ...]
    modelled: tuple[str, ...]
    start_ms: int
    end_ms: int
    sites: tuple[SiteRow, ...]
    jobs: tuple[JobRow, ...]
    receipts: tuple[ReceiptRow, ...]
    epochs: tuple[EpochRow, ...]
    accounts: tuple[AccountRow, ...]
    journal_sequence: int
    journal_hash: str
    checks: tuple[CheckRow, ...]
    not_proved: tuple[str, ...]
    """What no receipt here proves, in words."""
