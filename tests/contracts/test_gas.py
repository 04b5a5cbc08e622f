"""What calls cost: contracts/gas.json within one per cent; `python -m benchmarks.gas --update` accepts it anew."""

from __future__ import annotations

import json

import pytest
from benchmarks import gas as bench

LEAVES = 10_000
CHEAP = ("first, wallet with tokens", "later", "first, next root waiting")
TOLERANCE = 0.01


def test_calls_cost_what_they_did() -> None:
    # One test, since all of it is measured at once.
    gas = bench.measure(LEAVES)
    known = json.loads(bench.SNAPSHOT.read_text())
    assert gas.keys() == known.keys()
    assert gas == {name: pytest.approx(amount, rel=TOLERANCE) for name, amount in known.items()}
    # A root costs the same whatever it covers; a byte of it that happens to be 0 costs 12 less to send.
    few, many = (gas[f"RewardDistributor.propose {count}"] for count in (10, LEAVES))
    assert abs(few - many) < 12 * 64
    assert max(gas[f"RewardDistributor.claim of {LEAVES}, {case}"] for case in CHEAP) <= 80_000
