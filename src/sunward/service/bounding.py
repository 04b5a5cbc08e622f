"""Physical bounds on what has been sealed: checked beside the event loop, and put on record as verdicts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from sunward.engine.trust import DIGESTS_MAX, verdict
from sunward.errors import InputError
from sunward.metering.seal import Hashed
from sunward.model.site import SiteSpec
from sunward.model.trust import Consequence, Dimension, VerdictRecord
from sunward.service.control import ControlPlane
from sunward.service.judging import judge
from sunward.units import DAY_MS, floor_to
from sunward.verification.bounds import declared_findings, reading_findings
from sunward.verification.verdict import Finding

log = logging.getLogger("sunward.bounds")

LOOK_S = 1.0
SITES_AT_ONCE = 50
"""Checked in one go, so that the loop is asked for little and never waits."""
OF_OVERHEAD = frozenset({"overhead_low", "overhead_declared_low"})


async def keep_bounds(control: ControlPlane) -> None:
    """Check what is sealed, soon after."""
    while True:
        await asyncio.sleep(LOOK_S)
        await check_sealed(control)


async def check_sealed(control: ControlPlane) -> None:
    """Check all that was sealed and not yet checked. It can be undone, so it follows at once; it may be appealed."""
    sealed = control.intake.take_sealed()
    for first in range(0, len(sealed), SITES_AT_ONCE):
        some = sealed[first : first + SITES_AT_ONCE]
        found = await asyncio.to_thread(_check, some, control.clock.grid_ms())
        for record in found:
            try:
                judge(control, [record])
            except InputError as reason:
                # What a check cannot put into words must not end the service.
                log.warning("bounds: %s", reason.message)


def _check(sealed: Sequence[tuple[SiteSpec, Sequence[Hashed]]], at_ms: int) -> list[VerdictRecord]:
    records: list[VerdictRecord] = []
    for spec, hashed in sealed:
        digests = tuple(digest for digest, _ in hashed[:DIGESTS_MAX])
        found = reading_findings(spec, [batch for _, batch in hashed])
        records += [_record(spec, one, at_ms, digests) for one in found]
        records += [_record(spec, one, at_ms, ()) for one in declared_findings(spec)]
    return records


def _record(spec: SiteSpec, finding: Finding, at_ms: int, digests: tuple[str, ...]) -> VerdictRecord:
    """One verdict a day and device of readings, one for each figure declared."""
    of_readings = finding.figures.get("device", ""), floor_to(at_ms, DAY_MS)
    return verdict(
        finding,
        dimension=Dimension.OVERHEAD if finding.key in OF_OVERHEAD else Dimension.ENERGY,
        consequence=Consequence.LEVEL_LOWERED,
        at_ms=at_ms,
        site=spec.site,
        about=of_readings if digests else finding.figures["found_ppm"],
        evidence=digests,
    )
