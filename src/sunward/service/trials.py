"""Trials of Wake-on-LAN: for a short while the neighbours of a machine are asked to wake it. Never journalled."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sunward.errors import InputError
from sunward.model.identity import SiteId, TenantId
from sunward.model.site import SiteOrders, SiteSpec, WakeCall
from sunward.model.wire import WakeTrial
from sunward.units import SECOND_MS
from sunward.world.state import World

LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class _Trial:
    """One machine that wants to be woken, on the machine clock."""

    site: SiteId
    owner: TenantId
    lan: str
    mac: str
    from_ms: int
    to_ms: int


class Trials:
    """The trials that go on; one for each machine."""

    def __init__(self) -> None:
        self._trials: dict[str, _Trial] = {}

    def begin(self, world: World, spec: SiteSpec, wanted: WakeTrial, now_ms: int) -> int:
        """Ask the neighbours for calls; how many are awake. Without any nothing is asked.

        Raises: InputError for what is no address or network, or takes too long.
        """
        if (
            not wanted.lan
            or not wanted.mac
            or not 0 <= wanted.after_s <= LONGEST_S
            or not 0 < wanted.for_s <= LONGEST_S
        ):
            raise InputError(f"name lan and mac, and at most {LONGEST_S} seconds", code="SW-199")
        from_ms = now_ms + wanted.after_s * SECOND_MS
        to_ms = from_ms + wanted.for_s * SECOND_MS
        trial = _Trial(spec.site, spec.owner, wanted.lan, wanted.mac, from_ms, to_ms)
        awake = sum(
            _is_neighbour(trial, site.spec) and site.up and not site.asleep_until_ms for site in world.sites.values()
        )
        if awake:
            self._trials[spec.site] = trial
        return awake

    def added(self, orders: SiteOrders, world: World, now_ms: int) -> SiteOrders:
        """Orders with the calls of the trials that go on now."""
        if not self._trials:
            return orders
        self._trials = {name: trial for name, trial in self._trials.items() if now_ms < trial.to_ms}
        spec = world.sites[orders.site].spec
        calls = tuple(
            WakeCall(site=trial.site, mac=trial.mac)
            for _, trial in sorted(self._trials.items())
            if trial.from_ms <= now_ms and _is_neighbour(trial, spec)
        )
        return replace(orders, wake=(*orders.wake, *calls)) if calls else orders


def _is_neighbour(trial: _Trial, spec: SiteSpec) -> bool:
    """Never across owners or networks."""
    return spec.site != trial.site and (spec.owner, spec.lan) == (trial.owner, trial.lan)
