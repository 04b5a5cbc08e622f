"""The benchmark of promises with a few jobs: each is accounted for, and shares that are not kept fail it."""

from __future__ import annotations

from benchmarks.promises import KINDS, Outcome, network, outcomes, summary, watch

from sunward.model.job import LengthKind


def test_every_job_is_refused_or_has_an_outcome():
    simulation, specs = network(0, 12, arrivals_h=4)
    found = watch(simulation)
    told = list(outcomes(specs, found))
    refused = sum(state == "refused" for state, _ in found.ended.values())
    assert len(told) + refused == len(specs) == 12
    assert all(spec.length_kind is not LengthKind.KNOWN and spec.promise_ppm for spec in specs.values())
    assert simulation.tally.plan_violations == []
    result = summary(told, [found], refused, 0)
    assert result["promises"] == len(told)
    assert set(result["by_kind"]) == set(KINDS)
    assert simulation.writer.state.world.lengths.classes, "what ended was learnt"


def test_a_share_below_what_was_stated_fails():
    kept, broken = (Outcome("lognormal", 900_000, one, "" if one else "ran_longer") for one in (True, False))
    others = [Outcome("lognormal", stated, True, "") for stated in (500_000, 800_000, 950_000, 990_000)]
    assert summary([kept] * 90 + [broken] * 10 + others, [], 0, 0)["holds"]
    result = summary([kept] * 70 + [broken] * 30 + others, [], 0, 0)
    assert not result["holds"]
    assert result["broken_by"] == {"ran_longer": 30}
    assert not summary([kept] * 90 + others, [], 0, 1)["holds"], "a plan that breaks a rule is no way to keep a word"
