"""Certificates that a receipt claims, found again in the journal's records; written from docs/certificates.md alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from sunward.errors import InputError
from sunward.model.events import Payload
from sunward.model.granular import Claim
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesImported,
    CertificatesIssued,
    CertificatesWithdrawn,
)
from sunward.model.receipt import HourLine, Receipt
from sunward.signals.markets import market_of
from sunward.verification.exact import J_IN_KWH, J_IN_WH, MS_IN_HOUR, nearest
from sunward.verification.verdict import Finding, mismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Ids of one issue that could be used here."""

    first: int
    last: int
    device: str
    period: tuple[int, int]
    figures: tuple[str, str, int]
    """Market, source, mg/kWh."""
    sequence: int


@dataclass(slots=True)
class Shelf:
    """What the records say of ids."""

    given: list[Given] = field(default_factory=list)
    cancelled: list[tuple[int, int, str, int]] = field(default_factory=list)
    """First and last id, beneficiary, sequence."""
    withdrawn: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Device, span, sequence."""

    def take(self, payload: Payload, sequence: int) -> None:
        """Keep what a record says of certificates; other records say nothing."""
        match payload:
            case CertificatesIssued():
                figures = (payload.market, payload.source, payload.mg_per_kwh)
                first = payload.first
                rows = zip(payload.start_ms, payload.wh, payload.exported_wh, strict=False)
                for start_ms, wh, gone in rows:
                    period = (start_ms, start_ms + MS_IN_HOUR)
                    self._give(first, first + wh - gone - 1, payload.device, period, figures, sequence)
                    first += wh
            case CertificatesImported():
                first = payload.first
                told = zip(payload.market, payload.source, payload.mg_per_kwh, strict=False)
                periods = zip(payload.start_ms, payload.end_ms, strict=False)
                for device, figures, period, wh in zip(payload.device, told, periods, payload.wh, strict=False):
                    self._give(first, first + wh - 1, device, period, figures, sequence)
                    first += wh
            case CertificatesCancelled():
                ids = zip(payload.first, payload.last, strict=False)
                self.cancelled += [(first, last, payload.beneficiary, sequence) for first, last in ids]
            case CertificatesWithdrawn():
                self.withdrawn.append((payload.device, payload.start_ms, payload.end_ms, sequence))
            case _:
                pass

    def _give(
        self,
        first: int,
        last: int,
        device: str,
        period: tuple[int, int],
        figures: tuple[str, str, int],
        sequence: int,
    ) -> None:
        given = Given(first=first, last=last, device=device, period=period, figures=figures, sequence=sequence)
        self.given.append(given)

    def issue_of(self, claim: Claim) -> Given | None:
        """The issue that all ids of a claim come from."""
        return next((one for one in self.given if one.first <= claim.first <= claim.last <= one.last), None)

    def beneficiary_of(self, claim: Claim) -> str:
        """For whom the ids were cancelled, and nobody else; nothing where they were not."""
        inside = [one for one in self.cancelled if one[0] <= claim.last and claim.first <= one[1]]
        whole = len(inside) == 1 and inside[0][0] <= claim.first and claim.last <= inside[0][1]
        return inside[0][2] if whole else ""

    def is_withdrawn(self, given: Given) -> bool:
        """Whether a record took the issue back."""
        start_ms, end_ms = given.period
        return any(
            device == given.device and since_ms < end_ms and start_ms < until_ms and sequence > given.sequence
            for device, since_ms, until_ms, sequence in self.withdrawn
        )


def ids_of(payload: Payload) -> list[tuple[int, int]]:
    """The ranges of ids that a record speaks of."""
    match payload:
        case CertificatesIssued() | CertificatesImported():
            return [(payload.first, payload.first + sum(payload.wh) - 1)]
        case CertificatesCancelled():
            return list(zip(payload.first, payload.last, strict=False))
        case _:
            return []


def claims_of(receipt: Receipt) -> list[Claim]:
    """All claims of a receipt."""
    return [claim for line in receipt.lines for claim in line.certificates]


def check_certificates(receipt: Receipt, shelf: Shelf) -> Iterator[Finding]:
    """Each claim is of ids issued for its hour and market and cancelled for this use; no id is claimed twice."""
    ranges = sorted((claim.first, claim.last) for claim in claims_of(receipt))
    for (first, last), (following, _) in pairwise(ranges):
        if following <= last:
            yield _wrong(following, "counted twice", f"after {first} to {last}")
    for line in receipt.lines:
        yield from _check_line(receipt, line, shelf)


def market_of_line(line: HourLine) -> int:
    """Market-based emissions of a line: each claim at its factor, what is left at the residual one."""
    claimed = sum((Fraction(_wh(one) * J_IN_WH, J_IN_KWH) * one.mg_per_kwh for one in line.certificates), Fraction(0))
    return nearest(claimed + Fraction(_rest_j(line), J_IN_KWH) * line.market_mg_per_kwh)


def basis_of(receipt: Receipt) -> str:
    """What the market-based figures rest on."""
    if not claims_of(receipt):
        return "residual missing"
    covered = all(_rest_j(line) < J_IN_WH for line in receipt.lines)
    return "certificates" if covered else "certificates, residual missing"


def _check_line(receipt: Receipt, line: HourLine, shelf: Shelf) -> Iterator[Finding]:
    where = f"hour {line.hour_ms} at {line.site}"
    try:
        market = market_of(line.zone) if line.certificates else ""
    except InputError:
        market = ""
    if line.market != market:
        yield mismatch("certificate", "market", where, line.market, market)
    used_wh, claimed_wh = _used_j(line) // J_IN_WH, _claimed_wh(line)
    if claimed_wh > used_wh:
        yield mismatch("certificate", "claimed Wh", where, claimed_wh, f"at most {used_wh}")
    allowed = {f"job:{receipt.job}", f"tenant:{receipt.tenant}", f"site:{line.site}"}
    for claim in line.certificates:
        given = shelf.issue_of(claim)
        if given is None or _wh(claim) < 1:
            yield _wrong(claim.first, "not issued", where)
            continue
        if given.period != (line.hour_ms, line.hour_ms + MS_IN_HOUR):
            yield mismatch("certificate", "period", f"certificate {claim.first}", given.period, line.hour_ms)
        told = (line.market, claim.source, claim.mg_per_kwh)
        if told != given.figures:
            yield mismatch("certificate", "market, source and factor", where, told, given.figures)
        if shelf.beneficiary_of(claim) not in allowed:
            yield _wrong(claim.first, "not cancelled for this job, its tenant or its site", where)
        if shelf.is_withdrawn(given):
            yield _wrong(claim.first, "withdrawn", where)


def _used_j(line: HourLine) -> int:
    return line.gpu_j + line.host_j + line.overhead_j


def _claimed_wh(line: HourLine) -> int:
    return sum(map(_wh, line.certificates))


def _rest_j(line: HourLine) -> int:
    """What no certificate covers."""
    return _used_j(line) - _claimed_wh(line) * J_IN_WH


def _wh(claim: Claim) -> int:
    return claim.last - claim.first + 1


def _wrong(number: int, why: str, where: str) -> Finding:
    return Finding(
        key="certificate",
        sentence="certificate {number} ({where}) is {why}",
        figures={"number": number, "why": why, "where": where},
    )
