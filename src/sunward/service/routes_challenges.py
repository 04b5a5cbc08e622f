"""Challenges: what an agent says while it answers one, how they ended, and the rules by which they are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.errors import NotFoundError
from sunward.model.challenge import (
    ChallengeAnswer,
    ChallengeBegin,
    ChallengeEcho,
    ChallengeNonce,
    ChallengeQuestion,
    ChallengeReady,
    ChallengeResult,
    ChallengeRoots,
    ChallengeRules,
    ChallengeView,
)
from sunward.model.codec import encode
from sunward.model.events import ChallengeRulesSet
from sunward.model.identity import SiteId
from sunward.service.audit import note
from sunward.service.auth import AgentSite, Anyone, Auditor, Operator, Plane
from sunward.service.bodies import Name, answer, once, record_of, takes
from sunward.service.challenging import Challenges

router = APIRouter(tags=["challenges"])


def challenges_of(request: Request) -> Challenges:
    """The runs that go on in this service."""
    found: Challenges = request.app.state.challenges
    return found


Runs = Annotated[Challenges, Depends(challenges_of)]


@router.get("/v1/challenges", response_model=list[ChallengeView])
async def get_challenges(runs: Runs, _caller: Anyone) -> Response:
    """Every open challenge, and how the last one of each pool ended."""
    return answer(runs.views())


@router.get("/v1/challenges/rules", response_model=ChallengeRules)
async def get_rules(control: Plane, _caller: Anyone) -> Response:
    """How this network challenges."""
    return answer(control.state.world.challenges.rules)


@router.post("/v1/challenges/rules", response_model=ChallengeRules, openapi_extra=takes(ChallengeRules))
async def post_rules(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[ChallengeRules, Depends(record_of(ChallengeRules))],
) -> Response:
    """Challenge by these rules from the next full hour of grid time on."""

    async def act(_key: str) -> Response:
        rules = replace(wanted, pays=True)
        if rules != control.state.world.challenges.rules:
            control.commit_one(ChallengeRulesSet(rules=rules))
            note(control, caller, "set_challenge_rules", encode(rules).decode())
        return answer(rules)

    return await once(control, caller.subject, request, act)


@router.post("/v1/sites/{site}/challenge", response_model=list[ChallengeView], status_code=201)
async def post_challenge(control: Plane, runs: Runs, caller: Auditor, request: Request, site: Name) -> Response:
    """Challenge a site's free containers now."""

    async def act(_key: str) -> Response:
        if site not in control.state.world.sites:
            raise NotFoundError(f"no site {site}", code="SW-134")
        opened = runs.ask(SiteId(site))
        note(control, caller, "challenge", f"{site} {' '.join(one.challenge for one in opened)}")
        return answer(opened, 201)

    return await once(control, caller.subject, request, act)


@router.post("/v1/challenges/{challenge}/ready", response_model=ChallengeEcho, openapi_extra=takes(ChallengeReady))
async def post_ready(
    runs: Runs, site: AgentSite, challenge: Name, told: Annotated[ChallengeReady, Depends(record_of(ChallengeReady))]
) -> Response:
    """The store is made."""
    return answer(runs.ready(site, challenge, told))


@router.post("/v1/challenges/{challenge}/begin", response_model=ChallengeNonce, openapi_extra=takes(ChallengeBegin))
async def post_begin(
    runs: Runs, site: AgentSite, challenge: Name, told: Annotated[ChallengeBegin, Depends(record_of(ChallengeBegin))]
) -> Response:
    """The echo is back: the nonce, from which on the time runs."""
    return answer(await runs.begin(site, challenge, told))


@router.post("/v1/challenges/{challenge}/roots", response_model=ChallengeQuestion, openapi_extra=takes(ChallengeRoots))
async def post_roots(
    runs: Runs, site: AgentSite, challenge: Name, told: Annotated[ChallengeRoots, Depends(record_of(ChallengeRoots))]
) -> Response:
    """The roots, which end the time; what is to be opened."""
    return answer(runs.commit(site, challenge, told))


@router.post("/v1/challenges/{challenge}/answer", response_model=ChallengeResult, openapi_extra=takes(ChallengeAnswer))
async def post_answer(
    runs: Runs, site: AgentSite, challenge: Name, told: Annotated[ChallengeAnswer, Depends(record_of(ChallengeAnswer))]
) -> Response:
    """What was asked to be opened; how the challenge ended."""
    return answer(await runs.answer(site, challenge, told))
