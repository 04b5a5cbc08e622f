"""What the stress test looks at, out of the state."""

from __future__ import annotations

from sunward.engine.cover import obligation, penalties_of, prices, require_rules
from sunward.engine.state import State
from sunward.model.reserve import Promise
from sunward.model.reserve_views import StressTest
from sunward.settlement.ledger import RESERVE
from sunward.settlement.stress import Behind, Book, Sold, stress
from sunward.world.capacity import withheld


def stress_test(state: State) -> StressTest:
    """The reserve as it is and after every shock. Raises: ConflictError where there is none."""
    rules = require_rules(state)
    return StressTest(at_ms=state.world.at_ms, floor_ppm=rules.floor_ppm, lines=stress(stress_book(state)))


def stress_book(state: State) -> Book:
    """Vault, sold promises in the order they were sold, stakes, and the largest demand so far."""
    book = state.world.reserve
    sold = sorted((one for one in book.promises.values() if one.tenant), key=lambda one: (one.sold_ms, one.promise))
    return Book(
        held_wei=state.ledger.balance(RESERVE),
        prices=prices(state),
        penalties_usd_micro=penalties_of(state),
        promises=tuple(_sold(state, one) for one in sold),
        stakes_wei={
            owner: state.stakes.bonded_wei(state.ledger, owner) for owner in sorted({one.owner for one in sold})
        },
        demand=max(1, book.demand_max),
    )


def _sold(state: State, promise: Promise) -> Sold:
    world = state.world
    behind: dict[str, list[int]] = {}
    for part in promise.backing:
        site = world.sites[part.pool.partition("/")[0]]
        pool = world.pool(part.pool)
        there = pool is not None and site.up and not site.left_ms
        ready = min(part.containers, pool.count - withheld(site, pool)) if there and pool is not None else 0
        sums = behind.setdefault(site.spec.zone, [0, 0])
        sums[0] += part.containers
        sums[1] += max(0, ready)
    return Sold(
        obligation=obligation(promise, world.at_ms),
        owner=promise.owner,
        behind=tuple(
            Behind(zone=zone, containers=containers, ready=ready)
            for zone, (containers, ready) in sorted(behind.items())
        ),
    )
