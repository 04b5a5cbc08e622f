"""What a provider can do to be believed more, step by step, in each dimension."""

from __future__ import annotations

from collections.abc import Mapping

from sunward.model.trust import Dimension, Level
from sunward.model.trust_views import Step

_IDENTITY = (
    Step(level=Level.DOCUMENTED, sentence="file the invoices of the GPUs, and have an auditor check them"),
    Step(level=Level.METERED, sentence="let the agent answer the network's GPU challenges, awake and inside leases"),
    Step(level=Level.ENDORSED, sentence="have an independent party see the GPUs on site and file what it saw"),
    Step(level=Level.ATTESTED, sentence="run the GPUs in confidential mode and file the report that they sign"),
)
_ENERGY = (
    Step(level=Level.DOCUMENTED, sentence="file the data sheet of the meter that the agent reads, and have it checked"),
    Step(level=Level.METERED, sentence="have the agent read real counters without gaps, and stay within the bounds"),
    Step(level=Level.ENDORSED, sentence="have an independent party compare a day with a meter of its own and file it"),
    Step(level=Level.ATTESTED, sentence="use a meter that signs its readings with a key of its own"),
)
_OVERHEAD = (
    Step(level=Level.DOCUMENTED, sentence="file twelve months of electricity bills beside the computers' energy"),
    Step(level=Level.METERED, sentence="give the agent the site's meter, so that overhead is meter less computers"),
    Step(level=Level.ENDORSED, sentence="have an independent party confirm that the meter sees cooling and all else"),
    Step(level=Level.ATTESTED, sentence="have the ratio certified after ISO/IEC 30134-2 and file the signed report"),
)
_RENEWABLES = (
    Step(level=Level.DOCUMENTED, sentence="file the contract of the supply, and have an auditor check it"),
    Step(level=Level.METERED, sentence="meter on-site generation on its own, and keep its certificates here"),
    Step(level=Level.ENDORSED, sentence="have an independent party confirm plant, nameplate and what is exported"),
    Step(level=Level.ATTESTED, sentence="cancel certificates of the same hours and market, signed by their registry"),
)
_PLACE = (
    Step(level=Level.DOCUMENTED, sentence="file an electricity bill that names the address, and have it checked"),
    Step(level=Level.METERED, sentence="let anchors measure round-trip times, so that far zones are excluded"),
    Step(level=Level.ENDORSED, sentence="have an independent party visit the address and file what it saw"),
    Step(level=Level.ATTESTED, sentence="file an extract of the metering point that the grid operator signed"),
)
_AGE = (
    Step(level=Level.DOCUMENTED, sentence="file invoices with serial numbers and dates, and have them checked"),
    Step(level=Level.ENDORSED, sentence="have an independent party compare the serial numbers on site"),
    Step(level=Level.ATTESTED, sentence="file the maker's signed record of the serial numbers"),
)
STEPS: Mapping[Dimension, tuple[Step, ...]] = {
    Dimension.IDENTITY: _IDENTITY,
    Dimension.ENERGY: _ENERGY,
    Dimension.OVERHEAD: _OVERHEAD,
    Dimension.RENEWABLES: _RENEWABLES,
    Dimension.PLACE: _PLACE,
    Dimension.AGE: _AGE,
}


def next_step(dimension: Dimension, level: Level) -> Step | None:
    """The next step above a level; none at the top."""
    return next((step for step in STEPS[dimension] if step.level.rank > level.rank), None)
