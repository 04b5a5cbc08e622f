"""Challenges over the API: asked for, drawn, answered honestly, late, twice, falsely, and after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from sunward.agent.challenge import Prover
from sunward.agent.challenge_store import ProcessorStore
from sunward.model.challenge import BeaconValue, ChallengeAnswer, ChallengeOrder, ChallengeRules
from sunward.model.codec import decode
from sunward.model.trust import Dimension, Level
from sunward.service import challenging
from sunward.units import HOUR_MS
from tests.api.harness import Agent, Service
from tests.api.test_sites import acts

RULES = ChallengeRules(fill_ppm=1, awake_milli_per_epoch=10**6)
PATHS = {"rules": "/v1/challenges/rules", "ask": "/v1/sites/no-hydro/challenge"}


class Runner:
    """An agent's side of one challenge, step by step."""

    def __init__(self, service: Service, agent: Agent, order: ChallengeOrder) -> None:
        self.service, self.agent, self.order = service, agent, order
        self.prover = Prover(order.size, ProcessorStore(bytes.fromhex(order.seed), order.size))
        self.prover.fill()
        self.echo = self.nonce = ""
        self.roots: tuple[str, ...] = ()

    def post(self, step: str, **body: Any) -> httpx.Response:
        path = f"/v1/challenges/{self.order.challenge}/{step}"
        return self.service.ask("POST", path, token=self.agent.token, json={"boot": self.agent.boot} | body)

    def start(self) -> None:
        self.echo = self.post("ready").json()["echo"]
        self.service.machine.ms += 40
        self.nonce = self.post("begin", echo=self.echo).json()["nonce"]
        self.roots = self.prover.commit(bytes.fromhex(self.nonce))

    def commit(self) -> str:
        response = self.post("roots", nonce=self.nonce, roots=self.roots)
        assert response.status_code == 200, response.text
        return str(response.json()["seed"])

    def answer(self, question: str) -> ChallengeAnswer:
        openings = self.prover.answer(bytes.fromhex(question))
        return ChallengeAnswer(boot=self.agent.boot, nonce=self.nonce, openings=openings)

    def tell(self, answer: ChallengeAnswer) -> httpx.Response:
        path = f"/v1/challenges/{self.order.challenge}/answer"
        return self.service.ask("POST", path, token=self.agent.token, json=answer)


@pytest.fixture
def runner(service: Service, agent: Agent) -> Runner:
    service.ok("POST", PATHS["rules"], "operator", json=RULES)
    agent.sync()
    assert len(service.ok("POST", PATHS["ask"], "operator")) == 1
    (order,) = agent.sync().orders.challenges
    return Runner(service, agent, order)


def state(service: Service) -> str:
    (one,) = service.ok("GET", "/v1/challenges")
    return str(one["state"])


def verdicts(service: Service) -> list[str]:
    return [one.record.fault for one in service.control.state.world.trust.verdicts.values()]


def test_an_honest_answer_passes_and_is_evidence(service: Service, agent: Agent, runner: Runner) -> None:
    assert state(service) == "open"
    runner.start()
    service.machine.ms += 500
    question = runner.commit()
    assert state(service) == "committed"
    assert runner.tell(runner.answer(question)).json() == {"passed": True, "findings": []}
    (one,) = service.ok("GET", "/v1/challenges")
    assert (one["state"], one["elapsed_ms"], one["containers"], one["faults"]) == ("passed", 500, 2, [])
    assert one["allowed_ms"] > 500
    assert one["beacon"]["label"] == "local beacon: the operator could have chosen it"
    world = service.control.state.world
    (filed,) = world.trust.evidence["no-hydro"].values()
    assert (filed.evidence.dimension, filed.evidence.level) == (Dimension.IDENTITY, Level.DECLARED)
    assert "too little to show the model" in filed.evidence.statement
    assert agent.sync().orders.challenges == ()
    assert acts(service)[-2:] == ["set_challenge_rules", "challenge"]
    kinds = [one.event.kind for one in service.control.store.read(0)]
    assert kinds.index("challenge_committed") < kinds.index("challenge_judged")


def test_every_step_may_come_again(service: Service, runner: Runner) -> None:
    runner.start()
    assert runner.post("begin", echo=runner.echo).json()["nonce"] == runner.nonce
    question = runner.commit()
    assert runner.commit() == question
    answer = runner.answer(question)
    first, again = runner.tell(answer), runner.tell(answer)
    assert first.json() == again.json() == {"passed": True, "findings": []}
    assert verdicts(service) == []


def test_a_late_answer_is_a_verdict(service: Service, runner: Runner) -> None:
    runner.start()
    service.machine.ms += 60_000
    refused = runner.post("roots", nonce=runner.nonce, roots=runner.roots)
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-775")
    assert "the products took 60000 ms" in refused.json()["detail"]
    assert (state(service), verdicts(service)) == ("failed", ["challenge_late"])
    assert runner.post("roots", nonce=runner.nonce, roots=runner.roots).json()["code"] == "SW-773"


def test_roots_made_to_suit_the_question_are_refused(service: Service, runner: Runner) -> None:
    runner.start()
    question = runner.commit()
    other = ("00" * 32, *runner.roots[1:])
    refused = runner.post("roots", nonce=runner.nonce, roots=other)
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-773")
    assert runner.tell(runner.answer(question)).json()["passed"]


def test_false_products_are_a_verdict_that_can_be_slashed(service: Service, runner: Runner) -> None:
    runner.start()
    runner.roots = Prover.commit(runner.prover, b"another nonce".ljust(32))
    told = runner.tell(runner.answer(runner.commit())).json()
    assert not told["passed"]
    assert "is not what the store gives" in told["findings"][0]
    assert verdicts(service) == ["challenge_product"]
    (judged,) = service.control.state.world.trust.verdicts.values()
    assert judged.record.consequence == "slashable"
    # What was answered is kept, for whoever decides on an appeal.
    (digest,) = judged.record.evidence
    assert service.control.objects.has(digest)


def test_the_answer_to_an_earlier_challenge_is_refused(service: Service, agent: Agent, runner: Runner) -> None:
    runner.start()
    answer = runner.answer(runner.commit())
    assert runner.tell(answer).json()["passed"]
    service.ok("POST", PATHS["ask"], "operator")
    (order,) = agent.sync().orders.challenges
    assert order.seed != runner.order.seed
    second = Runner(service, agent, order)
    assert second.tell(answer).json()["code"] == "SW-773"
    second.start()
    assert second.post("roots", nonce=runner.nonce, roots=runner.roots).json()["code"] == "SW-773"
    second.commit()
    assert second.tell(answer).json()["code"] == "SW-773"
    findings = second.tell(replace(answer, nonce=second.nonce)).json()["findings"]
    assert findings


def test_a_crashed_agent_begins_anew_with_a_new_nonce(service: Service, agent: Agent, runner: Runner) -> None:
    runner.start()
    first, echo = runner.nonce, runner.echo
    question = runner.commit()
    agent.boot = "boot-2"
    agent.sync()
    assert runner.post("begin", echo=echo).json()["code"] == "SW-773"
    runner.start()
    assert runner.nonce != first
    stale = replace(runner.answer(question), nonce=first)
    assert runner.commit() != question
    assert runner.tell(stale).json()["code"] == "SW-773"
    assert runner.tell(runner.answer(runner.commit())).json()["passed"]


def test_what_was_committed_to_outlives_the_service(
    service: Service, agent: Agent, runner: Runner, tmp_path: Path
) -> None:
    runner.start()
    question = runner.commit()
    home, machine = service.home, service.machine
    service.close()
    later = Service(home, machine)
    try:
        runner.service = agent.service = later
        assert runner.commit() == question
        assert runner.tell(runner.answer(question)).json()["passed"]
    finally:
        later.close()
        service.loop = later.loop
        service.close = lambda: None  # type: ignore[method-assign]


def test_a_run_that_the_service_forgot_begins_anew(service: Service, agent: Agent, runner: Runner) -> None:
    runner.start()
    service.app.state.challenges._runs.clear()
    assert runner.post("roots", nonce=runner.nonce, roots=runner.roots).json()["code"] == "SW-773"
    runner.start()
    assert runner.tell(runner.answer(runner.commit())).json()["passed"]


def test_anothers_challenge_is_not_there(service: Service, runner: Runner) -> None:
    other = Agent(service, site="de-other", zone="DE", boot="boot-x")
    other.join()
    mine, runner.agent = runner.agent, other
    assert runner.post("ready").status_code == 404
    runner.agent = mine
    assert runner.post("ready").status_code == 200
    assert runner.post("begin", echo="").json()["code"] == "SW-773"


@pytest.mark.parametrize("roots", [[], ["zz"] * 48, ["00" * 32] * 47])
def test_roots_that_are_none_are_refused(runner: Runner, roots: list[str]) -> None:
    runner.start()
    assert runner.post("roots", nonce=runner.nonce, roots=roots).json()["code"] == "SW-778"


def test_candidates_are_fixed_before_the_value_is_asked_for(service: Service, agent: Agent) -> None:
    asked: list[int] = []

    class Told:
        def after(self, machine_ms: int) -> BeaconValue:
            asked.append(machine_ms)
            return BeaconValue(source="test", round=1, value="ab" * 32, label="test")

    runs = service.app.state.challenges
    runs._beacon = Told()
    service.ok("POST", PATHS["rules"], "operator", json=RULES)
    agent.sync()
    service.loop.run_until_complete(runs.draw())
    assert asked == []
    service.pass_grid(HOUR_MS)
    fixed = service.control.state.world.challenges.draw
    assert [one.pool for one in fixed.candidates] == ["no-hydro/A100-SXM-80GB"]
    service.loop.run_until_complete(runs.draw())
    assert asked == [service.control.clock.machine_ms()]
    assert len(agent.sync().orders.challenges) == 1
    kinds = [(one.sequence, one.event.kind) for one in service.control.store.read(0)]
    assert max(kinds, key=lambda one: one[1] == "challenges_drawn")[0] > fixed.sequence


def test_rules_are_read_by_all_and_set_by_the_operator(service: Service) -> None:
    assert service.ok("GET", PATHS["rules"])["awake_milli_per_epoch"] == 0
    told = service.ok("POST", PATHS["rules"], "operator", json=RULES)
    assert decode(service.ask("GET", PATHS["rules"]).content, ChallengeRules) == replace(RULES, pays=True)
    assert told["fill_ppm"] == 1
    refused = service.ask("POST", PATHS["rules"], "operator", json=replace(RULES, fill_ppm=0))
    assert refused.json()["code"] == "SW-772"


def test_a_site_without_free_containers_is_not_challenged(service: Service, agent: Agent) -> None:
    assert service.ask("POST", "/v1/sites/nowhere/challenge", "operator").status_code == 404
    refused = service.ask("POST", PATHS["ask"], "operator")
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-774")


@pytest.fixture
def pair(service: Service, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> tuple[Runner, Runner]:
    """Two sites of one owner, drawn together."""
    monkeypatch.setattr(challenging, "WAIT_S", 0.01)
    other = Agent(service, site="de-other", zone="DE", boot="boot-x")
    other.join()
    service.ok("POST", PATHS["rules"], "operator", json=RULES)
    for one in (agent, other):
        one.sync()
    service.pass_grid(HOUR_MS)
    service.loop.run_until_complete(service.app.state.challenges.draw())
    first, second = (Runner(service, one, one.sync().orders.challenges[0]) for one in (agent, other))
    return first, second


def test_what_is_drawn_together_begins_together(service: Service, pair: tuple[Runner, Runner]) -> None:
    first, second = pair
    echo = first.post("ready").json()["echo"]
    waiting = first.post("begin", echo=echo)
    assert (waiting.status_code, waiting.json()["code"]) == (409, "SW-779")
    second.start()
    # The first one's time has run since then, though it asks only now: it cannot use the second one's device first.
    service.machine.ms += 60_000
    first.nonce = first.post("begin", echo=echo).json()["nonce"]
    first.roots = first.prover.commit(bytes.fromhex(first.nonce))
    assert first.post("roots", nonce=first.nonce, roots=first.roots).json()["code"] == "SW-775"
    assert verdicts(service) == ["challenge_late"]


def test_who_is_not_ready_is_left_behind(service: Service, pair: tuple[Runner, Runner]) -> None:
    first, second = pair
    echo = first.post("ready").json()["echo"]
    assert first.post("begin", echo=echo).status_code == 409
    service.machine.ms += challenging.PATIENCE_MS
    first.nonce = first.post("begin", echo=echo).json()["nonce"]
    first.roots = first.prover.commit(bytes.fromhex(first.nonce))
    assert first.tell(first.answer(first.commit())).json()["passed"]
    for runner in pair:
        assert runner.post("ready").status_code == 409
    assert second.post("ready").json()["code"] == "SW-775"


def test_a_joint_run_is_not_begun_anew(service: Service, pair: tuple[Runner, Runner]) -> None:
    first, second = pair
    echo = first.post("ready").json()["echo"]
    first.post("begin", echo=echo)
    second.start()
    assert second.post("ready").json()["code"] == "SW-775"
    assert second.tell(second.answer(second.commit())).json()["passed"]
