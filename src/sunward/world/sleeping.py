"""What a site's sleep saves and costs, as far as its owner's `doctor` proved it."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.site import SiteSpec, Sleep
from sunward.units import SECOND_MS, joules

ASLEEP = frozenset({Sleep.SUSPEND, Sleep.OFF})
"""States in which the machine itself sleeps; in the others its containers stay awake."""


@dataclass(frozen=True, slots=True)
class Idling:
    """One container when nothing runs on it."""

    asleep_w: float
    """IT watts."""
    wake_ms: int
    wake_j: float


def sleeps(spec: SiteSpec) -> bool:
    """Whether its containers can be put to sleep at all."""
    return spec.sleep in ASLEEP


def idling(spec: SiteSpec, idle_w: float, modelled_w: float) -> Idling:
    """One container of a site: `idle_w` awake, `modelled_w` asleep by the catalogue.

    A site that cannot sleep saves nothing and has nothing to wake. What was measured for the whole site is shared by
    all its containers; a machine asleep never counts as drawing more than awake.
    """
    if not sleeps(spec):
        return Idling(asleep_w=idle_w, wake_ms=0, wake_j=0.0)
    containers = sum(pool.count for pool in spec.pools)
    asleep_w = min(spec.asleep_w / containers, idle_w) if spec.asleep_w else modelled_w
    wake_ms = spec.wake_s * SECOND_MS
    return Idling(asleep_w=asleep_w, wake_ms=wake_ms, wake_j=joules(idle_w, wake_ms))
