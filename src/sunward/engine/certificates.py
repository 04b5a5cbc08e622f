"""Granular certificates as events: who may issue, import, move, cancel and withdraw what. docs/certificates.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sunward.engine.membership import check_member
from sunward.engine.state import State
from sunward.engine.trust import DIGEST
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesImported,
    CertificatesIssued,
    CertificatesMoved,
    CertificatesWithdrawn,
    GenerationDeclared,
)
from sunward.model.identity import SiteId
from sunward.model.trust import Dimension, Level
from sunward.settlement.certificates import LIFETIME_MS, STALE, Issue, check_hours
from sunward.signals import markets
from sunward.units import DAY_MS, HOUR_MS, MICRO, ceil_to

NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")
PLANT = re.compile(r"[a-z]{1,20}:[A-Za-z0-9._ -]{1,100}")
SERIALS = re.compile(r"[\x20-\x7e]{0,200}")
BENEFICIARY = re.compile(r"(site|tenant|job):[A-Za-z0-9._-]{1,80}")
NAMEPLATE_MAX_W = 10**10
ROWS_MAX = 10_000
"""Of one event."""
YEARS = (1880, 2100)
TIME_MAX_MS = 2**53
LATITUDE, LONGITUDE = 90 * MICRO, 180 * MICRO
WRONG, UNPROVEN, NO_MARKET = "SW-761", "SW-765", "SW-764"
ENOUGH = Level.METERED
"""What must be believed of a site's renewables before its generation becomes certificates."""


def generation_declared(turn: Turn, payload: GenerationDeclared) -> None:
    """Take a declaration of a device."""
    turn.state.generation[payload.device.device] = payload.device


def check_declared(state: State, payload: GenerationDeclared) -> None:
    """Refuse a device that cannot be, or that is declared as something else already.

    Raises: InputError, NotFoundError, ConflictError.
    """
    one = payload.device
    check_member(state, one.site)
    spec = state.world.sites[one.site].spec
    if one.owner != spec.owner:
        raise NotFoundError(f"no site {one.site}", code="SW-134")
    markets.energy_source(one.source)
    if not markets.market_of(spec.zone):
        line = f"site {one.site} is declared in {spec.zone}, which covers several zones; its certificates match nowhere"
        raise InputError(f"{line}; enrol it in the zone it stands in", code=NO_MARKET)
    wrong = {
        "a name is at most 80 letters, digits and . _ -": not NAME.fullmatch(one.device),
        f"nameplate_w lies in 1..{NAMEPLATE_MAX_W}": not 0 < one.nameplate_w <= NAMEPLATE_MAX_W,
        "a place is a latitude and longitude in millionths of a degree": abs(one.latitude_micro) > LATITUDE
        or abs(one.longitude_micro) > LONGITUDE,
        "year is 0 or one of 1880 to 2100": one.year != 0 and not YEARS[0] <= one.year <= YEARS[1],
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"device {one.device[:80]}: {wanted}", code="SW-760")
    known = state.generation.get(one.device)
    if known and (known.site, known.owner, known.source) != (one.site, one.owner, one.source):
        raise ConflictError(f"device {one.device} is declared otherwise; choose another name", code="SW-760")


def issued(turn: Turn, payload: CertificatesIssued) -> None:
    """Give the owner a certificate for each Wh."""
    registry = turn.state.certificates
    registry.issue(payload.owner, _issues(payload))
    ends_ms = [start_ms + HOUR_MS for start_ms in payload.start_ms]
    registry.issued_to[payload.device] = ends_ms[-1]
    _arm(turn, ends_ms)


def check_issued(state: State, payload: CertificatesIssued) -> None:
    """Refuse what a device cannot have generated, was counted before, or nobody has reason to believe.

    Raises: InputError, NotFoundError, ConflictError.
    """
    device = state.generation.get(payload.device)
    if device is None or device.owner != payload.owner:
        raise NotFoundError(f"no device {payload.device} of {payload.owner}", code="SW-760")
    spec = state.world.sites[device.site].spec
    source = markets.energy_source(device.source)
    told = (payload.source, payload.market, payload.mg_per_kwh)
    if told != (device.source, markets.market_of(spec.zone), source.mg_per_kwh):
        raise InputError("source, market and factor are not the device's", code=WRONG)
    columns = (payload.start_ms, payload.wh, payload.exported_wh)
    _check_columns(state, payload.first, columns, payload.wh, payload.evidence)
    if max(payload.wh) > device.nameplate_w:
        line = f"device {device.device} has {device.nameplate_w} W and cannot generate {max(payload.wh)} Wh in an hour"
        raise InputError(line, code=WRONG)
    if any(not 0 <= gone <= wh for gone, wh in zip(payload.exported_wh, payload.wh, strict=True)):
        raise InputError("what was exported lies between nothing and what was generated", code=WRONG)
    check_hours(payload.start_ms, state.certificates.issued_to.get(device.device, 0), state.world.at_ms)
    level = state.world.trust.believed(spec, Dimension.RENEWABLES, state.world.at_ms).level
    if level.rank < ENOUGH.rank:
        line = f"the renewables of site {device.site} are {level}, not {ENOUGH}: have evidence of the meter filed"
        raise InputError(line, code=UNPROVEN)


def imported(turn: Turn, payload: CertificatesImported) -> None:
    """Take certificates over; their serials can never come again."""
    registry = turn.state.certificates
    registry.issue(payload.owner, _issues_of_rows(payload))
    for key, first, last in _serials(payload):
        registry.note_import(key, first, last)
    _arm(turn, payload.end_ms)


def check_imported(state: State, payload: CertificatesImported) -> None:
    """Refuse rows that make no sense or were imported before.

    Raises: InputError, ConflictError.
    """
    columns: tuple[Sequence[object], ...] = (
        payload.device,
        payload.source,
        payload.market,
        payload.mg_per_kwh,
        payload.start_ms,
        payload.end_ms,
        payload.serials,
        payload.serial_first,
        payload.serial_last,
    )
    _check_columns(state, payload.first, columns, payload.wh, payload.evidence)
    if not NAME.fullmatch(payload.owner) or not NAME.fullmatch(payload.registry):
        raise InputError("name the registry and an owner", code=WRONG)
    for number, one in enumerate(_issues_of_rows(payload)):
        right = markets.energy_source(one.source).mg_per_kwh == one.mg_per_kwh and markets.is_market(one.market)
        period = 0 <= one.start_ms < one.end_ms <= state.world.at_ms
        texts = PLANT.fullmatch(one.device) and SERIALS.fullmatch(payload.serials[number])
        if not right or not period or not texts:
            raise InputError(f"row {number + 1}: a source, market, period or name cannot be", code=WRONG)
        if one.end_ms + LIFETIME_MS <= state.world.at_ms:
            raise InputError(f"row {number + 1}: its certificates have expired", code=WRONG)
    fresh: dict[str, list[tuple[int, int]]] = {}
    for key, first, last in _serials(payload):
        again = any(first <= other and one <= last for one, other in fresh.get(key, ()))
        if not 0 <= first <= last or again or state.certificates.is_imported(key, first, last):
            raise ConflictError(f"serials {first} to {last} of {key} were imported before", code="SW-762")
        fresh.setdefault(key, []).append((first, last))


def moved(turn: Turn, payload: CertificatesMoved) -> None:
    """Give certificates to another owner."""
    turn.state.certificates.move(payload.bundle, payload.last, payload.to)


def check_moved(state: State, payload: CertificatesMoved) -> None:
    """Refuse to move what is not the owner's or not active. Raises: as `check_taken`."""
    if not NAME.fullmatch(payload.to) or payload.to == payload.owner:
        raise InputError("name another owner to give them to", code=WRONG)
    _check_taken(state, payload)


def cancelled(turn: Turn, payload: CertificatesCancelled) -> None:
    """Set certificates aside."""
    turn.state.certificates.cancel(payload.bundle, payload.last, payload.beneficiary)


def check_cancelled(state: State, payload: CertificatesCancelled) -> None:
    """Refuse a beneficiary who could never count them, since cancelling is for good.

    Raises: InputError, NotFoundError, ConflictError.
    """
    if not BENEFICIARY.fullmatch(payload.beneficiary):
        raise InputError("a beneficiary is site:NAME, tenant:ID or job:ID", code="SW-766")
    kind, _, name = payload.beneficiary.partition(":")
    if kind == "site" and SiteId(name) not in state.world.sites:
        raise NotFoundError(f"no site {name}", code="SW-766")
    if kind == "job" and name not in state.world.jobs.row_of:
        raise NotFoundError(f"no job {name} without a final receipt; nothing could count them", code="SW-766")
    _check_taken(state, payload)


def withdrawn(turn: Turn, payload: CertificatesWithdrawn) -> None:
    """Take back what no final account counts."""
    turn.state.certificates.withdraw(payload.device, payload.start_ms, payload.end_ms)


def check_withdrawn(state: State, payload: CertificatesWithdrawn) -> None:
    """Refuse to withdraw without a verdict on the supply that stands.

    Raises: InputError, NotFoundError, ConflictError.
    """
    known = state.world.trust.verdicts.get(payload.verdict)
    if known is None:
        raise NotFoundError(f"no verdict {payload.verdict}", code="SW-743")
    if known.record.dimension is not Dimension.RENEWABLES or not known.counts:
        line = f"verdict {payload.verdict} does not speak of renewables, or no longer stands"
        raise ConflictError(line, code="SW-767")
    device = state.generation.get(payload.device)
    if device is not None and known.record.site and known.record.site != device.site:
        raise ConflictError(f"verdict {payload.verdict} is about another site", code="SW-767")
    if not 0 <= payload.start_ms < payload.end_ms <= TIME_MAX_MS or not _has_bundles(state, payload.device):
        raise InputError(f"device {payload.device} has no certificates in that time", code=WRONG)


def _has_bundles(state: State, device: str) -> bool:
    return any(one.device == device for one in state.certificates.bundles.values())


def _check_taken(state: State, payload: CertificatesMoved | CertificatesCancelled) -> None:
    registry = state.certificates
    if len(payload.first) != len(payload.bundle) or len(payload.bundle) > ROWS_MAX:
        raise InputError(f"name 1 to {ROWS_MAX} bundles with their first and last ids", code=WRONG)
    registry.check_taken(payload.owner, payload.bundle, payload.last)
    for name, first in zip(payload.bundle, payload.first, strict=True):
        if registry.bundles[name].first != first:
            raise ConflictError(f"bundle {name} begins at {registry.bundles[name].first}", code=STALE)


def _check_columns(
    state: State, first: int, columns: Sequence[Sequence[object]], wh: Sequence[int], evidence: str
) -> None:
    if not 0 < len(wh) <= ROWS_MAX or any(len(column) != len(wh) for column in columns):
        raise InputError(f"columns have 1 to {ROWS_MAX} rows, all the same", code=WRONG)
    if min(wh) < 1:
        raise InputError("a row holds at least one Wh", code=WRONG)
    if not DIGEST.fullmatch(evidence):
        raise InputError("evidence is named by its digest, 64 hex digits", code=WRONG)
    if first != state.certificates.next_id:
        raise ConflictError(f"the next id is {state.certificates.next_id}, not {first}; ask again", code=STALE)
    state.certificates.check_room(sum(wh))


def _issues(payload: CertificatesIssued) -> list[Issue]:
    return [
        Issue(
            device=payload.device,
            source=payload.source,
            market=payload.market,
            mg_per_kwh=payload.mg_per_kwh,
            start_ms=start_ms,
            end_ms=start_ms + HOUR_MS,
            wh=wh,
            exported_wh=gone,
        )
        for start_ms, wh, gone in zip(payload.start_ms, payload.wh, payload.exported_wh, strict=True)
    ]


def _issues_of_rows(payload: CertificatesImported) -> list[Issue]:
    rows = zip(
        payload.device,
        payload.source,
        payload.market,
        payload.mg_per_kwh,
        payload.start_ms,
        payload.end_ms,
        payload.wh,
        strict=True,
    )
    names = ("device", "source", "market", "mg_per_kwh", "start_ms", "end_ms", "wh")
    return [Issue(**dict(zip(names, row, strict=True))) for row in rows]


def _serials(payload: CertificatesImported) -> list[tuple[str, int, int]]:
    rows = zip(payload.serials, payload.serial_first, payload.serial_last, strict=True)
    return [(f"{payload.registry} {serials}", first, last) for serials, first, last in rows]


def _arm(turn: Turn, ends_ms: Sequence[int]) -> None:
    """Look at what expires on the day it does."""
    for day_ms in sorted({ceil_to(end_ms + LIFETIME_MS, DAY_MS) for end_ms in ends_ms}):
        turn.state.add_due(day_ms, "certificates", "")
