"""Simulated machines that sleep as a whole, wake by their alarm or a neighbour's call, and sometimes oversleep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunward.engine.orders import orders
from sunward.model.events import AgentSeen, SiteAsleep
from sunward.model.identity import SiteId
from sunward.units import HOUR_MS, MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from sunward.sim.runner import Simulation

GRACE_MS = 30 * SECOND_MS
"""Silence after which an agent is given up."""
NAP_MS = HOUR_MS
"""Longest sleep at a time."""
SHORTEST_MS = 5 * MINUTE_MS


class Naps:
    """Which machines of a simulation sleep."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._number: dict[str, int] = {}
        """Of the present sleep of each site, so that an alarm of an earlier one wakes nobody."""
        self._called: set[str] = set()

    def consider(self, name: str) -> None:
        """A machine with nothing to do asks to sleep, and does when the control plane takes note of it."""
        simulation = self._simulation
        site, now_ms = simulation.sites[name], simulation.now_ms
        wanted = orders(simulation.writer.state, SiteId(name))
        busy = site.runs or site.kept or wanted.leases or wanted.wake or any(one.count for one in wanted.awake)
        until_ms = min(wanted.asleep_until_ms or now_ms + NAP_MS, now_ms + NAP_MS)
        if busy or not site.can_sleep or until_ms - now_ms < site.wake_ms + SHORTEST_MS or until_ms > simulation.end_ms:
            return
        outcome = simulation.writer.commit(now_ms, [SiteAsleep(site=SiteId(name), until_ms=until_ms)])[0]
        if outcome.refused is not None:
            return
        site.lie_down(now_ms)
        simulation.tally.naps += 1
        number = self._number[name] = self._number.get(name, 0) + 1
        draw = simulation.stream(f"nap-{number}", name)
        late_ms = 0
        if draw.random() < simulation.scenario.faults.oversleeps_frac:
            simulation.tally.oversleeps += 1
            late_ms = GRACE_MS + int(draw.integers(MINUTE_MS, HOUR_MS))
            simulation.at(until_ms + GRACE_MS, lambda: self._give_up(name, number))
        simulation.at(until_ms + late_ms, lambda: self._get_up(name, number))

    def wake(self, name: str) -> None:
        """A neighbour calls."""
        simulation = self._simulation
        site = simulation.sites[name]
        if not site.asleep or name in self._called:
            return
        self._called.add(name)
        simulation.tally.woken += 1
        number = self._number[name]
        simulation.at(simulation.now_ms + site.wake_ms, lambda: self._get_up(name, number))

    def _give_up(self, name: str, number: int) -> None:
        if self._simulation.sites[name].asleep and self._number[name] == number:
            self._simulation.lose(name)

    def _get_up(self, name: str, number: int) -> None:
        simulation = self._simulation
        site = simulation.sites[name]
        if not site.asleep or self._number[name] != number:
            return
        self._called.discard(name)
        site.get_up(simulation.now_ms)
        if simulation.writer.state.world.sites[name].up:
            simulation.commit([SiteAsleep(site=SiteId(name), until_ms=0)])
        else:
            simulation.commit([AgentSeen(site=SiteId(name), boot=site.boot)])
        simulation.sync(name)
