"""What the REST API says and takes of the reserve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StressLine:
    """What one shock leaves of the reserve."""

    shock: str
    """`now`, `token`, `region`, `demand` or `all`."""
    dark: str
    """The zone that is out; empty: none."""
    fall_ppm: int
    """How far the token fell."""
    demand_factor: int
    value_usd_micro: int
    liability_usd_micro: int
    coverage_ppm: int | None
    """Null where nothing is owed."""
    asked: int
    """Containers that are called."""
    delivered: int
    """Of these, how many could be ready."""
    first_broken: str
    """The first promise whose cost nobody can bear; empty: none."""
