"""Green priority: a tie-break within one percent of the score, for verified greenness alone, whatever the order."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import assume, given

from sunward.model.codec import encode
from sunward.model.identity import TenantId
from sunward.model.plan import Assignment, Unplaced
from sunward.placement.planner import plan, quote
from sunward.sim.plan_checker import check_plan
from sunward.world.snapshot import JobView, Snapshot
from tests.property.test_placement import QUICK, shuffled, snapshots

LEVELS = st.sampled_from([0, 0, 200_000, 900_000])


def greened(world: Snapshot, levels: list[int], shares: tuple[tuple[str, int], ...] = ()) -> Snapshot:
    """The same world with verified greenness by site, and no margins against change."""
    green = tuple((site, level) for site, level in zip(world.sites, levels, strict=False) if level)
    return replace(world, policy=replace(world.policy, greenness_ppm=green, tenant_shares=shares))


def alone(world: Snapshot, pools: set[str]) -> Snapshot:
    """The same world where no other pool takes work."""
    available = world.pools.available.copy()
    available[[pool not in pools for pool in world.pools.ids]] = 0
    return replace(world, pools=replace(world.pools, available=available))


def green_of(world: Snapshot, pool: str) -> int:
    site = world.sites[world.pools.site[world.pools.ids.index(pool)]]
    return dict(world.policy.greenness_ppm).get(site, 0)


def asked(world: Snapshot) -> JobView:
    """A new job in one piece, whose options are one a pool and start."""
    (one,) = world.jobs
    spec = replace(one.spec, interruptible=False)
    return replace(one, spec=spec, pool="", fixed=False, segments=(), units_done=0, elapsed_ms=0)


@QUICK
@given(snapshots(most_jobs=1), st.lists(LEVELS, min_size=2, max_size=2))
def test_the_greenest_within_one_percent_of_the_best_is_taken(world: Snapshot, levels: list[int]) -> None:
    one = asked(world)
    empty = replace(greened(world, levels), jobs=())
    best = quote(replace(empty, policy=world.policy), one.spec)
    made = quote(empty, one.spec)
    assert isinstance(made, Unplaced) == isinstance(best, Unplaced)
    assume(isinstance(made, Assignment) and isinstance(best, Assignment))
    assert isinstance(made, Assignment)
    assert isinstance(best, Assignment)
    bound = best.terms.total + abs(best.terms.total) // 100
    assert made.terms.total <= bound
    taken = green_of(empty, made.segments[0].pool)
    greener = {pool for pool in empty.pools.ids if green_of(empty, pool) > taken}
    rival = quote(alone(replace(empty, policy=world.policy), greener), one.spec) if greener else None
    assert not isinstance(rival, Assignment) or rival.terms.total > bound
    if not any(levels):
        assert encode(made) == encode(best)


@QUICK
@given(snapshots(), st.lists(LEVELS, min_size=2, max_size=2), st.permutations(range(6)), st.booleans())
def test_greenness_and_shares_are_deterministic_in_any_order(
    world: Snapshot,
    levels: list[int],
    order: list[int],
    weighed: bool,  # noqa: FBT001
) -> None:
    shares = (("t0", 3), ("t1", 1)) if weighed else ()
    jobs = tuple(
        replace(one, spec=replace(one.spec, tenant=TenantId(f"t{number % 3}"))) for number, one in enumerate(world.jobs)
    )
    green = greened(replace(world, jobs=jobs), levels, shares)
    turned = shuffled(green, order)
    policy = turned.policy
    mirrored = replace(policy, greenness_ppm=policy.greenness_ppm[::-1], tenant_shares=policy.tenant_shares[::-1])
    made = plan(green)
    assert encode(plan(replace(turned, policy=mirrored))) == encode(made)
    assert check_plan(green, made) == []
