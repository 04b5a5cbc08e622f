"""How near a plan is to the best there could be: its cost beside a bound that no plan can go below."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedPool:
    """A pool whose containers are scarce for a while."""

    pool: str
    scarce_ms: int
    """How long in all."""
    mean_usd_micro_per_h: int
    """Shadow price per container and hour, over the time it is scarce."""
    most_usd_micro_per_h: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCertificate:
    """Both figures count energy, carbon, water, ask and margins; waking machines and moving data stand in neither."""

    at_ms: int
    based_on: int
    """Sequence of the last journal record that is known."""
    jobs: int
    """Those that have a place, and only those are compared."""
    exact: int
    """Bounded by the best of all their starts."""
    loose: int
    """With pauses or several counts: bounded by their cheapest hours, as if pauses were free."""
    stays: int
    """Begun, or of a length that nobody knows: counted as they stand on both sides."""
    without: tuple[str, ...]
    """Jobs whose place no option explains."""
    cost_usd_micro: int
    bound_usd_micro: int
    """No plan for the same jobs costs less."""
    gap_ppm: int
    """What at most is lost against the best plan, as a share of the cost."""
    holds: bool
    """False: the plan costs less than it can, or a job has a place that no option explains; it breaks a constraint."""
    pools: tuple[PricedPool, ...]
    """Where shadow prices stand that the bound is worked out with."""
