"""What plans are made by changes by an event, and only within what plans can stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sunward.engine import snapshots
from sunward.errors import InputError
from sunward.model.commands import RequestPlan
from sunward.model.events import PolicySet
from sunward.model.plan import PolicyInputs
from sunward.world.view import take_snapshot
from tests.support.network import Network


def set_policy(network: Network, **changes: object) -> Sequence[object]:
    return network.tell(PolicySet(policy=replace(network.state.world.network.policy, **changes)))  # type: ignore[arg-type]


def test_the_next_plan_is_made_by_it_and_a_restart_remembers_it() -> None:
    network = Network()
    told = set_policy(network, tenant_shares=(("t-alpha", 3), ("t-beta", 1)), water_price_usd_micro_per_l=7)
    assert any(isinstance(one, RequestPlan) for one in told)
    for state in (network.state, snapshots.load(snapshots.dump(network.state))):
        seen = take_snapshot(state.world, state.world.at_ms).policy
        assert (seen.tenant_shares, seen.water_price_usd_micro_per_l) == ((("t-alpha", 3), ("t-beta", 1)), 7)
        assert state.world.network.provider_share_bps == network.state.world.network.provider_share_bps


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"slots": 97}, "slots of plans stay"),
        ({"slot_ms": PolicyInputs().slot_ms * 2}, "slots of plans stay"),
        ({"tenant_shares": (("b", 1), ("a", 1))}, "alphabetical"),
        ({"tenant_shares": (("a", 1), ("a", 2))}, "once"),
        ({"tenant_shares": (("a", 0),)}, "must be 1 to 1000000, not 0"),
        ({"tenant_shares": (("a", -3),)}, "not -3"),
        ({"tenant_shares": (("a", 10**6 + 1),)}, "not 1000001"),
        ({"tenant_shares": (("", 1),)}, "weight of ''"),
        ({"water_price_usd_micro_per_l": -1}, "water_price_usd_micro_per_l must be 0 to"),
        ({"transfer_usd_micro_per_gb": 10**18}, "transfer_usd_micro_per_gb must be"),
        ({"delay_ppm_per_h": 10**7}, "delay_ppm_per_h must be"),
    ],
)
def test_what_no_plan_could_be_made_by_is_refused(changes: dict[str, object], line: str) -> None:
    network = Network()
    before = network.state.world.network
    with pytest.raises(InputError, match=line) as refused:
        set_policy(network, **changes)
    assert refused.value.code == "SW-710"
    assert network.state.world.network == before
