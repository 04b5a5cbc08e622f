"""Every pair of tenants on every route there is: nothing of one is seen, or changed, by the other."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from sunward.model.staking_events import StakeRequested
from sunward.units import DAY_MS, HOUR_MS
from tests.api.harness import JOB, Agent, Service, finish
from tests.api.test_challenges import RULES

NOBODY = {
    "job": "j-aaaaaaaaaa",
    "lease": "j-aaaaaaaaaa.1",
    "digest": "0" * 64,
    "hash_": "0" * 64,
    "site": "nowhere",
    "ceiling": "g-none",
    "promise": "r-none",
    "call": "rc-none",
}
"""Identifiers that no tenant ever had."""
OPEN = {"/healthz"}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


@dataclass
class Party:
    """A tenant with a site of its own, whose every private word carries a mark."""

    mark: str
    tenant: str
    token: str
    agent: Agent
    job: str
    lease: str
    digest: str
    ceiling: str
    evidence: str
    verdict: str
    challenge: str
    promise: str
    call: str

    def fill(self, path: str) -> str:
        """A route's path with this tenant's identifiers."""
        own = {
            "job": self.job,
            "lease": self.lease,
            "digest": self.digest,
            "hash_": NOBODY["hash_"],
            "site": self.agent.site,
            "tenant": self.tenant,
            "ceiling": self.ceiling,
            "evidence": self.evidence,
            "verdict": self.verdict,
            "challenge": self.challenge,
            "epoch": "1",
            "address": "0x" + "1" * 40,
            "promise": self.promise,
            "call": self.call,
        }
        return re.sub(r"\{(\w+)\}", lambda part: own[part[1]], path)


def parties(service: Service) -> list[Party]:
    found = []
    for number in range(3):
        mark, tenant = f"private-{number}-word", f"t-{number}"
        token = service.token(tenant, "tenant", "provider")
        service.ok("POST", "/v1/account/deposits", token=token, json={"amount_usd": 50.0})
        agent = Agent(service, site=f"site-{number}")
        enrolment = service.ok("POST", "/v1/enrolments", token=token, json={"note": mark})["token"]
        body = {"token": enrolment, "spec": agent.spec}
        agent.token = service.ok("POST", "/v1/agents/enroll", token="", json=body)["token"]
        agent.metered_to_ms = service.control.clock.grid_ms()
        digest = service.ask("PUT", "/v1/objects", token=token, content=f"bundle {mark}".encode()).json()["digest"]
        asked = JOB | {
            "name": f"name-{mark}",
            "command": ["python", f"command-{mark}"],
            "env": {"KEY": f"env-{mark}"},
            "bundle": digest,
        }
        agent.sync()
        job = service.ok("POST", "/v1/jobs", token=token, json=asked)["job"]
        lease = run(service, agent)
        path = f"/v1/leases/{lease}/log?offset=0"
        assert service.ask("POST", path, token=agent.token, content=f"log {mark}".encode()).is_success
        finish(service, agent, lease, f"output {mark}".encode())
        assert service.ok("GET", f"/v1/jobs/{job}", token=token)["state"] == "finished"
        limit = {"kw": 7.5, "until_ms": service.control.clock.grid_ms() + HOUR_MS}
        ceiling = service.ok("POST", f"/v1/sites/{agent.site}/ceilings", token=token, json=limit)["ceiling"]
        found.append(
            Party(
                mark,
                tenant,
                token,
                agent,
                job,
                lease,
                digest,
                ceiling,
                *trust(service, agent, token, mark),
                *promised(service, agent, token),
            )
        )
    return found


def trust(service: Service, agent: Agent, token: str, mark: str) -> tuple[str, str, str]:
    """Evidence, a verdict and a challenge of a tenant's site; its papers and its appeal are private."""
    paper = base64.b64encode(f"paper {mark}".encode()).decode()
    told = {"dimension": "age", "statement": "an invoice", "document": paper}
    told["valid_until_ms"] = service.control.clock.grid_ms() + 30 * DAY_MS
    evidence = service.ok("POST", f"/v1/sites/{agent.site}/evidence", token=token, json=told)["evidence"]["evidence"]
    wrong = {"dimension": "age", "fault": "age_false", "sentence": "the invoice is of another card"}
    verdict = service.ok("POST", f"/v1/sites/{agent.site}/verdicts", "auditor", json=wrong)["record"]["verdict"]
    service.ok("POST", f"/v1/verdicts/{verdict}/appeal", token=token, json={"text": f"appeal {mark}"})
    service.ok("POST", "/v1/challenges/rules", "operator", json=RULES)
    agent.sync()
    (challenge,) = service.ok("POST", f"/v1/sites/{agent.site}/challenge", "operator")
    return evidence, verdict, challenge["challenge"]


def promised(service: Service, agent: Agent, token: str) -> tuple[str, str]:
    """A promise of the tenant's site that it bought itself, and a call of it."""
    service.ok("POST", "/v1/reserve/rules", "operator", json={})
    service.ok("POST", "/v1/reserve/usd", "operator", json={"usd_held_micro": 10**12})
    now_ms = service.control.clock.grid_ms()
    offer = {
        "backing": [{"pool": agent.spec.pools[0].pool, "containers": 1}],
        "end_ms": now_ms + 30 * DAY_MS,
        "notice_ms": HOUR_MS,
        "premium_usd_micro_per_h": 1_000,
    }
    promise = service.ok("POST", "/v1/reserve/promises", token=token, json=offer)["promise"]
    owner = service.control.state.world.reserve.promises[promise].owner
    bonded = StakeRequested(owner=owner, request="chain-1", amount_wei=10**18, on_chain=True)
    service.control.commit_one(bonded)
    service.ok("POST", f"/v1/reserve/promises/{promise}/buy", token=token)
    wanted = {"containers": 1, "until_ms": now_ms + 20 * DAY_MS}
    called = service.ok("POST", f"/v1/reserve/promises/{promise}/call", token=token, json=wanted)
    return promise, called["calls"][0]["call"]


def run(service: Service, agent: Agent) -> str:
    """Until the agent's job runs; its lease."""
    for _ in range(12):
        service.plan()
        leases = agent.sync().orders.leases
        if leases:
            agent.report(leases[0].lease, "accepted")
            agent.report(leases[0].lease, "running")
            return leases[0].lease
        agent.meter()
        service.pass_grid(HOUR_MS // 12)
    raise AssertionError(f"nothing for {agent.site}")


def routes(service: Service) -> Iterator[tuple[str, str]]:
    for route in service.app.routes:
        if isinstance(route, APIRoute) and route.path not in OPEN:
            for method in sorted(route.methods & set(METHODS)):
                yield method, route.path


@pytest.fixture
def three(tmp_path: Path) -> Iterator[tuple[Service, list[Party]]]:
    service = Service(tmp_path / "home")
    yield service, parties(service)
    service.close()


def test_no_pair_of_tenants_sees_or_changes_anything_of_the_other(three: tuple[Service, list[Party]]) -> None:
    service, found = three
    before = {party.mark: owned(service, party) for party in found}
    asked = 0
    for method, path in routes(service):
        if method not in ("GET", "HEAD") and "{" not in path:
            continue  # It names nothing of anybody's: it acts on the caller's own.
        for theirs, mine in permutations(found, 2):
            probes = [("", mine.token)]
            if theirs is found[0]:
                # Once each: with the words that other roles may add, and with the token of an agent.
                probes += [(f"?tenant={theirs.tenant}&month=2025-06", mine.token), ("", mine.agent.token)]
            for query, token in probes:
                wanted = theirs.fill(path)
                answer = service.ask(method, wanted + query, token=token, json={})
                asked += 1
                assert answer.status_code < 500, (method, wanted, answer.text)
                assert theirs.mark not in answer.text, (method, wanted, answer.text)
                assert theirs.job in wanted or theirs.job not in answer.text, (method, wanted, answer.text)
    assert asked >= 10 * 30
    assert {party.mark: owned(service, party) for party in found} == before


def owned(service: Service, party: Party) -> dict[str, object]:
    """What a tenant has, as it sees it itself."""
    reads = ("/v1/jobs", "/v1/account", "/v1/stakes", "/v1/rewards", "/v1/reserve/promises", f"/v1/jobs/{party.job}")
    reads += (f"/v1/jobs/{party.job}/history",)
    found: dict[str, object] = {path: service.ok("GET", path, token=party.token) for path in reads}
    for path in (f"/v1/jobs/{party.job}/logs", f"/v1/jobs/{party.job}/output", f"/v1/objects/{party.digest}"):
        found[path] = service.ask("GET", path, token=party.token).content
    for path in (f"/v1/sites/{party.agent.site}/{what}" for what in ("ceilings", "audit")):
        found[path] = service.ok("GET", path, token=party.token)
    return found


def test_what_belongs_to_another_is_told_like_what_never_was(three: tuple[Service, list[Party]]) -> None:
    service, (mine, theirs, _) = three
    for method, path in routes(service):
        if "{job}" not in path and "{digest}" not in path:
            continue
        never = re.sub(r"\{(\w+)\}", lambda part: NOBODY[part[1]], path)
        foreign = service.ask(method, theirs.fill(path), token=mine.token, json={})
        missing = service.ask(method, never, token=mine.token, json={})
        assert foreign.status_code == missing.status_code == 404, (method, path, foreign.text, missing.text)
        told = foreign.text.replace(theirs.job, "X").replace(theirs.digest, "X")
        assert told == missing.text.replace(NOBODY["job"], "X").replace(NOBODY["digest"], "X")
