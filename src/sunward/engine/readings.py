"""What follows from the readings of a site beyond its seals: cover by day, and verdicts on faults that do not heal.

docs/readings.md holds the table. A fault that only costs its own site time or energy lowers what is covered, and heals
as it passes; one that contradicts what was signed before becomes a verdict once it is no accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sunward.engine.trust import issue, verdict
from sunward.engine.turn import Turn
from sunward.metering.chain import Fault
from sunward.model.events import ReadingsRefused
from sunward.model.identity import SiteId, TenantId
from sunward.model.reading import SiteSeal
from sunward.model.site import SiteSpec
from sunward.model.trust import NETWORK, Consequence, Dimension, Evidence, Level
from sunward.units import DAY_MS, HOUR_MS, PPM, floor_to
from sunward.verification.verdict import Finding
from sunward.world.readings import COVER_MS, WINDOW_MS, ReadingsDay

DAYS = 3
"""On so many days of thirty a fault is no accident: a restored disk or a clock that was set happens once."""
RESETS_A_DAY = 24
"""New boots in one day: a machine that is switched on by the hour stays below it."""
UNSEEN_MS = DAY_MS
"""How long after its readings a boot may be told of; an agent may be cut off for long."""
UNSEEN_MAX = 5
"""Boots never told of that are believed to have died before they could say so."""
LOW_PPM = 50_000
"""What a site meter may count less than its equipment in a day: the vendors state 5 % for the sensors of GPUs."""
LOW_MS = HOUR_MS
"""Least time of a day that can show it."""
VALID_MS = 2 * DAY_MS
"""How long cover counts as evidence: it is measured anew each day."""
FOREIGN = "foreign_lease"
FOR_COVER = (Dimension.ENERGY, Dimension.OVERHEAD)
"""Dimensions in which a word on a key counts for what readings under it cover, and by itself is declared."""
KEY_CHARS = 16


def endorsement_id(key: str, digest: str) -> str:
    """Name of the evidence of an endorsement; it begins alike for all of one key."""
    return f"{_of_key(key)}{digest[:KEY_CHARS]}"


def _of_key(key: str) -> str:
    return f"endorsement.{key[:KEY_CHARS]}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A fault that is a verdict when it stands on so many days."""

    key: str
    faults: frozenset[str]
    days: int
    sentence: str


REPEATED = (
    Repeated(
        key="readings_two_histories",
        faults=frozenset({Fault.CHAIN_BROKEN, Fault.COUNTER_BACKWARDS}),
        days=DAYS,
        sentence="on {days} of the last 30 days the key of {site} signed batches that contradict what it had signed "
        "before: another machine holds the key, or its history is written anew",
    ),
    Repeated(
        key="readings_clock",
        faults=frozenset({Fault.OVERLAP, Fault.CLOCK_BACKWARDS, Fault.SKEW}),
        days=DAYS,
        sentence="on {days} of the last 30 days {site} signed batches for time that had been signed for already or had "
        "not come yet: the hours of its energy cannot be relied on",
    ),
    Repeated(
        key="readings_counters_missing",
        faults=frozenset({Fault.MISSING}),
        days=DAYS,
        sentence="on {days} of the last 30 days counters of {site} left its batches while their machine ran on: what "
        "their devices used then is unknown",
    ),
    Repeated(
        key="readings_foreign_lease",
        faults=frozenset({FOREIGN}),
        days=1,
        sentence="{site} signed energy for a lease that another site holds, on {days} of the last 30 days",
    ),
)


def sealed(turn: Turn, seal: SiteSeal, leased_j: int) -> None:
    """Take in one site's part of a seal; what it says of the days before is looked at once a day."""
    book, name = turn.world.readings, SiteId(seal.site)
    new_day = floor_to(turn.at_ms, DAY_MS) not in book.days.get(seal.site, {})
    idle_j = seal.idle_gpu_j + seal.idle_host_j + seal.idle_overhead_j
    if new_day:
        _look_at_days(turn, name)
    day = book.sealed(seal, leased_j + idle_j + seal.unmetered_j, turn.at_ms)
    book.signed(name, seal.boots, turn.at_ms)
    if seal.faults:
        _judge(turn, name, _found(turn, name, day))


def refused(turn: Turn, payload: ReadingsRefused) -> None:
    """Take in what the ingest refused."""
    for name, fault, count, example in zip(
        payload.sites, payload.faults, payload.counts, payload.examples, strict=True
    ):
        if name in turn.world.sites:
            turn.world.readings.refused(name, fault, count, turn.at_ms)
            _judge(turn, name, _found(turn, name, turn.world.readings.day(name, turn.at_ms)), (example,))


def _look_at_days(turn: Turn, name: SiteId) -> None:
    """Before the first seal of a day: judge the day before, then file what the days covered."""
    days = turn.world.readings.days.get(name, {})
    if days:
        _judge(turn, name, _of_day(turn, name, days[max(days)]))
    week = turn.world.readings.over(name, turn.at_ms, COVER_MS)
    for dimension, key, covered_ms in (
        (Dimension.ENERGY, "counters", week.measured_ms),
        (Dimension.OVERHEAD, "site_meter", week.meter_ms),
    ):
        share_ppm = week.share_ppm(covered_ms)
        if share_ppm and not _lowered(turn, name, dimension):
            cover = _cover(name, dimension, key, share_ppm, turn.at_ms)
            turn.world.trust.file(cover, turn.at_ms)
            _file_endorsed(turn, cover)


def _file_endorsed(turn: Turn, cover: Evidence) -> None:
    """Where somebody vouches for the key, what it covers has their word's level, for as much of it as they speak of."""
    key = turn.world.sites[cover.site].spec.public_key
    known = [
        one.evidence
        for one in turn.world.trust.evidence.get(cover.site, {}).values()
        if one.evidence.evidence.startswith(_of_key(key))
        and one.evidence.dimension == cover.dimension
        and one.evidence.valid_at(turn.at_ms)
    ]
    best = max(known, key=lambda one: (one.value or 0, one.coverage_ppm, one.evidence), default=None)
    if best is not None:
        endorsed = replace(
            cover,
            evidence=f"{cover.evidence}.endorsed",
            level=tuple(Level)[best.value or 0],
            statement=f"{cover.statement}, under a key for which others vouch",
            valid_until_ms=min(cover.valid_until_ms, best.valid_until_ms),
            coverage_ppm=min(cover.coverage_ppm, best.coverage_ppm),
        )
        turn.world.trust.file(endorsed, turn.at_ms)


def key_changed(turn: Turn, spec: SiteSpec) -> None:
    """A word on a key ends with the key."""
    for one in list(turn.world.trust.evidence.get(spec.site, {}).values()):
        name = one.evidence.evidence
        of_old = name.startswith("endorsement.") and not name.startswith(_of_key(spec.public_key))
        if (of_old or name.endswith(".endorsed")) and one.evidence.valid_until_ms > turn.at_ms:
            turn.world.trust.file(replace(one.evidence, valid_until_ms=turn.at_ms), turn.at_ms)


def _cover(name: SiteId, dimension: Dimension, key: str, share_ppm: int, at_ms: int) -> Evidence:
    return Evidence(
        evidence=f"readings.{key}",
        site=name,
        dimension=dimension,
        level=Level.METERED,
        statement="share of the last seven days' time and energy that signed, measured counters cover"
        if dimension is Dimension.ENERGY
        else "share of the last seven days' time and energy that a site meter covers",
        filed_by=TenantId(NETWORK),
        checked_by=NETWORK,
        value=share_ppm,
        unit="ppm",
        valid_from_ms=at_ms,
        valid_until_ms=at_ms + VALID_MS,
        coverage_ppm=share_ppm,
    )


def _lowered(turn: Turn, name: SiteId, dimension: Dimension) -> bool:
    """Whether a verdict on the site's readings stands: its own cover counts again when thirty days have passed."""
    keys = {one.key for one in REPEATED} | {"readings_resets", "readings_boots", "meter_below_equipment"}
    return any(
        one.counts
        and one.record.fault in keys
        and one.record.dimension == dimension
        and one.issued_ms > turn.at_ms - WINDOW_MS
        for one in turn.world.trust.verdicts_on(turn.world.sites[name].spec)
    )


def _found(turn: Turn, name: SiteId, today: ReadingsDay) -> Iterator[tuple[Dimension, Finding]]:
    """What the faults remembered amount to."""
    for one in REPEATED:
        days = turn.world.readings.days_with(name, one.faults) if one.faults & today.faults.keys() else 0
        if days >= one.days:
            figures: dict[str, str | int] = {"site": name, "days": days}
            yield Dimension.ENERGY, Finding(key=one.key, sentence=one.sentence, figures=figures)
    resets = today.faults.get(Fault.RESET, 0)
    if resets > RESETS_A_DAY:
        yield (
            Dimension.ENERGY,
            Finding(
                key="readings_resets",
                sentence="the counters of {site} began anew {resets} times in one day; what ran between is unknown",
                figures={"site": name, "resets": resets},
            ),
        )


def _of_day(turn: Turn, name: SiteId, day: ReadingsDay) -> Iterator[tuple[Dimension, Finding]]:
    """What a whole day shows."""
    if day.meter_ms >= LOW_MS and day.meter_j * (PPM + LOW_PPM) < day.meter_it_j * PPM:
        yield (
            Dimension.OVERHEAD,
            Finding(
                key="meter_below_equipment",
                sentence="in one day the site meter of {site} counted {meter_j} J and the equipment behind it "
                "{equipment_j} J: one of the two is wrong",
                figures={"site": name, "meter_j": day.meter_j, "equipment_j": day.meter_it_j},
            ),
        )
    unseen = turn.world.readings.unseen.get(name, {})
    old = [boot for boot, at_ms in unseen.items() if turn.at_ms - WINDOW_MS <= at_ms <= turn.at_ms - UNSEEN_MS]
    for boot in [boot for boot, at_ms in unseen.items() if at_ms < turn.at_ms - WINDOW_MS]:
        del unseen[boot]
    if len(old) > UNSEEN_MAX:
        yield (
            Dimension.ENERGY,
            Finding(
                key="readings_boots",
                sentence="{boots} boots of the last 30 days signed for {site}, and its agent never told of them",
                figures={"site": name, "boots": len(old)},
            ),
        )


def _judge(
    turn: Turn, name: SiteId, found: Iterator[tuple[Dimension, Finding]], evidence: tuple[str, ...] = ()
) -> None:
    """Issue what was found, once in thirty days for the same fault, whatever an appeal made of it."""
    spec = turn.world.sites[name].spec
    for dimension, finding in found:
        judged = any(
            one.record.fault == finding.key and one.issued_ms > turn.at_ms - WINDOW_MS
            for one in turn.world.trust.verdicts_on(spec)
        )
        if not judged:
            record = verdict(
                finding,
                dimension=dimension,
                consequence=Consequence.LEVEL_LOWERED,
                at_ms=turn.at_ms,
                site=name,
                about=floor_to(turn.at_ms, DAY_MS),
                evidence=evidence,
            )
            issue(turn, record)
