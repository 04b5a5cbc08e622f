"""What calls cost: contracts/gas.json within one per cent; `python -m benchmarks.gas --update` accepts it anew."""

from __future__ import annotations

import json

import pytest
from benchmarks import gas as bench

LEAVES = 10_000
CLAIM = f"RewardDistributor.claim of {LEAVES}, "
TOLERANCE = 0.01


@pytest.fixture(scope="module")
def gas() -> dict[str, int]:
    return bench.measure(LEAVES)


def test_gas_is_what_it_was(gas: dict[str, int]) -> None:
    known = json.loads(bench.SNAPSHOT.read_text())
    assert gas.keys() == known.keys()
    assert gas == {name: pytest.approx(amount, rel=TOLERANCE) for name, amount in known.items()}


def test_a_root_costs_the_same_whatever_it_covers(gas: dict[str, int]) -> None:
    few, many = (gas[f"RewardDistributor.propose {count}"] for count in (10, LEAVES))
    # A byte of the root that happens to be 0 costs 12 less to send.
    assert abs(few - many) < 12 * 64


@pytest.mark.parametrize("case", ["first, wallet with tokens", "later", "first, next root waiting"])
def test_a_claim_of_ten_thousand_stays_cheap(gas: dict[str, int], case: str) -> None:
    assert gas[CLAIM + case] <= 80_000
