"""Machines that sleep: who could wake one, and when it can be awake."""

from __future__ import annotations

from sunward.units import SECOND_MS
from sunward.world.state import Site, World

CALL_PATIENCE = 2
"""So many times its latency is waited for a machine that was called; then only its own alarm counts."""


def neighbours(world: World, name: str) -> list[Site]:
    """Awake sites of the same owner on the same local network as a site that sleeps and can be woken by them."""
    site = world.sites.get(name)
    if site is None or not site.asleep_until_ms or not site.spec.lan or not site.spec.wake_mac:
        return []
    where = (site.spec.owner, site.spec.lan)
    return [
        other
        for other in world.sites.values()
        if other.up and not other.asleep_until_ms and (other.spec.owner, other.spec.lan) == where
    ]


def ready_ms(world: World, site: Site, now_ms: int) -> int:
    """The first moment at which a site that sleeps can be awake; 0 for one that is awake."""
    if not site.asleep_until_ms or not neighbours(world, site.spec.site):
        return site.asleep_until_ms
    wake_ms = site.spec.wake_s * SECOND_MS
    if site.called_ms and now_ms > site.called_ms + CALL_PATIENCE * wake_ms:
        return site.asleep_until_ms
    return min(site.asleep_until_ms, (site.called_ms or now_ms) + wake_ms)
