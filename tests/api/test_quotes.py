"""What a quote says about waiting longer."""

from __future__ import annotations

from sunward.model.codec import decode, encode
from sunward.model.request import Quote
from tests.api.harness import JOB, Agent, Service

DAY_S = 86_400
HOUR_S = 3_600


def quote(service: Service, **changes: object) -> Quote:
    return decode(encode(service.ok("POST", "/v1/quotes", json=JOB | changes)), Quote)


def test_a_quote_shows_what_later_deadlines_would_bring(service: Service) -> None:
    agent = Agent(service, "es-solar", "ES")
    agent.join()
    agent.sync()
    shown = quote(service, policy="greenest", length_s=HOUR_S, deadline_s=4 * HOUR_S)
    assert shown.assignment is not None
    assert [option.finish_by_s for option in shown.waiting] == [6 * HOUR_S, 8 * HOUR_S, 16 * HOUR_S]
    carbon = [shown.assignment.carbon_mg, *(option.carbon_mg for option in shown.waiting)]
    assert carbon == sorted(carbon, reverse=True), "more time never costs a greenest job carbon here"
    assert carbon[-1] < carbon[0], "sixteen hours from midnight reach the sun"
    assert all(option.start_ms >= shown.start_ms and option.price_usd_micro > 0 for option in shown.waiting)
    last = shown.waiting[-1]
    alone = quote(service, policy="greenest", length_s=HOUR_S, deadline_s=last.finish_by_s)
    assert alone.assignment is not None
    assert (alone.price_usd_micro, alone.assignment.carbon_mg, alone.start_ms) == (
        last.price_usd_micro,
        last.carbon_mg,
        last.start_ms,
    )


def test_a_deadline_too_short_is_refused_with_those_that_would_do(service: Service, agent: Agent) -> None:
    agent.sync()
    shown = quote(service, length_s=3 * HOUR_S, deadline_s=HOUR_S)
    assert shown.unplaced is not None
    assert shown.unplaced.reason == "deadline"
    assert [option.finish_by_s for option in shown.waiting] == [4 * HOUR_S]


def test_deadlines_stay_within_what_a_job_may_be_open(service: Service, agent: Agent) -> None:
    agent.sync()
    longest = quote(service, deadline_s=21 * DAY_S)
    assert longest.assignment is not None
    assert longest.waiting == ()
