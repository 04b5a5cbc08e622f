"""Jobs of unknown and estimated length over REST: what is expected, promised and set aside, and what ends teach."""

from __future__ import annotations

from typing import Any

import pytest

from sunward.model.codec import decode, encode
from sunward.model.job import LengthKind
from sunward.model.request import LengthOutlook, Quote
from sunward.units import HOUR_MS
from sunward.verification.bundle import Bundle
from sunward.verification.receipt import verify
from tests.api.harness import JOB, SPEED, Agent, Service, finish, start

HOUR_S = 3_600
UNKNOWN = {"length_s": 0, "length_kind": "unknown", "units": 1, "deadline_s": 48 * HOUR_S}


def quote(service: Service, **changes: object) -> Quote:
    return decode(encode(service.ok("POST", "/v1/quotes", json=JOB | UNKNOWN | changes)), Quote)


def told(shown: Quote) -> LengthOutlook:
    assert shown.outlook is not None
    return shown.outlook


def refusal(service: Service, **changes: object) -> Any:
    return service.ask("POST", "/v1/quotes", json=JOB | UNKNOWN | changes).json()


def test_a_quote_tells_what_is_expected_what_95_of_100_need_and_what_is_promised(
    service: Service, agent: Agent
) -> None:
    agent.sync()
    shown = quote(service)
    about = told(shown)
    assert shown.assignment is not None
    assert about.like_jobs == 0
    assert 0.5 * HOUR_S < about.expected_s < about.upper_s
    assert 0 < shown.price_usd_micro < about.upper_usd_micro
    assert about.promise_ppm == 950_000
    assert about.timeout_s == 48 * HOUR_S, "no limit was named: what the deadline leaves"
    rate = service.control.state.world.wei_per_usd_micro
    assert shown.escrow_wei == about.upper_usd_micro * rate


def test_a_quote_for_a_known_length_tells_nothing_of_that(service: Service, agent: Agent) -> None:
    agent.sync()
    assert quote(service, length_s=HOUR_S, length_kind="known").outlook is None


def test_an_estimate_scales_what_is_expected(service: Service, agent: Agent) -> None:
    agent.sync()
    one, two = (told(quote(service, length_kind="estimated", length_s=hours * HOUR_S)) for hours in (1, 2))
    assert two.expected_s == pytest.approx(2 * one.expected_s, rel=0.2)
    assert one.upper_s > HOUR_S
    assert one.timeout_s == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"length_s": HOUR_S},
        {"length_kind": "known"},
        {"promise": 0.999},
        {"promise": 0.2},
        {"timeout_s": HOUR_S},
        {"gpus_max": 2, "speedup": [1.0, 1.8]},
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    service: Service, agent: Agent, changes: dict[str, Any]
) -> None:
    agent.sync()
    problem = refusal(service, **changes)
    assert problem["code"] == "SW-179"
    assert "\n" not in problem["detail"]


def test_what_cannot_be_promised_is_refused_before_it_is_sent(service: Service, agent: Agent) -> None:
    agent.sync()
    shown = quote(service, deadline_s=HOUR_S)
    assert shown.assignment is None
    assert shown.unplaced is not None
    assert shown.unplaced.reason == "deadline"
    assert quote(service, deadline_s=HOUR_S, promise=0.5).assignment is not None


def test_the_record_holds_the_promise_and_a_name_nobody_can_read(service: Service, agent: Agent) -> None:
    agent.sync()
    job = service.ok("POST", "/v1/jobs", json=JOB | UNKNOWN | {"family": "nightly-eval", "promise": 0.9})["job"]
    jobs = service.control.state.world.jobs
    spec = jobs.spec(jobs.row_of[job])
    assert (spec.length_kind, spec.promise_ppm, spec.counterfactual) == (LengthKind.UNKNOWN, 900_000, 2)
    assert spec.family.startswith("f-")
    assert "nightly" not in spec.family
    assert spec.timeout_ms == 48 * HOUR_MS


def test_a_job_without_deadline_may_name_its_longest_wait(service: Service, agent: Agent) -> None:
    agent.sync()
    job = service.ok("POST", "/v1/jobs", json=JOB | UNKNOWN | {"deadline_s": 0, "wait_max_s": 6 * HOUR_S})["job"]
    jobs = service.control.state.world.jobs
    spec = jobs.spec(jobs.row_of[job])
    assert (spec.wait_max_ms, spec.timeout_ms) == (6 * HOUR_MS, 24 * HOUR_MS)
    assert spec.deadline_ms > service.control.clock.grid_ms() + 30 * HOUR_MS


def test_what_ended_jobs_took_is_what_the_next_is_expected_to_take(service: Service, agent: Agent) -> None:
    before = told(quote(service)) if agent.sync() else None
    job, lease = start(service, agent, **UNKNOWN)
    service.pass_grid(4 * HOUR_MS)
    agent.meter(lease)
    finish(service, agent, lease)
    after = told(quote(service))
    assert before is not None
    assert (before.like_jobs, after.like_jobs) == (0, 1)
    assert after.expected_s > before.expected_s
    service.control.seal_now()
    service.ok("POST", "/v1/epochs/close", "operator")
    receipt = service.ok("GET", f"/v1/jobs/{job}/receipt")["receipt"]
    assert [(one["kind"], one["stated_ppm"], one["kept"]) for one in receipt["promises"]] == [
        ("finish_by", 950_000, True)
    ]
    assert [one["name"] for one in receipt["counterfactuals"]] == ["run-now-origin/2", "run-now-mean-site/2"]
    bundle = decode(service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content, Bundle)
    verdict = verify(bundle, service.control.key.public_key().public_bytes_raw().hex())
    assert verdict.ok, [finding.text for finding in verdict.findings]
    stated = bundle.receipt.replace('"stated_ppm":950000', '"stated_ppm":990000')
    assert not verify(Bundle(**{name: getattr(bundle, name) for name in Bundle.__slots__} | {"receipt": stated})).ok
    assert SPEED > 1
