"""What anyone with a token may see: the grid, the sites, the plan, the clock."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from sunward.model.certificate import PlanCertificate
from sunward.model.records import FeedLine, GridView, PlanView
from sunward.model.request import SiteView
from sunward.model.wire import ClockMapping
from sunward.service import views
from sunward.service.auth import AUDITOR, OPERATOR, Anyone, Auditor, Plane
from sunward.service.bodies import answer, page_of
from sunward.service.certifying import certified
from sunward.service.limits import Solving

router = APIRouter(tags=["grid"])

HOURS_MAX = 168
PAGE_MAX = 1_000


@router.get("/v1/grid", response_model=GridView)
async def get_grid(
    control: Plane,
    _caller: Anyone,
    zone: str,
    hours: Annotated[int, Query(ge=1, le=HOURS_MAX)] = 24,
    past: Annotated[int, Query(ge=0, le=HOURS_MAX)] = 0,
) -> Response:
    """Carbon intensity (average, life-cycle) and price of the hours ahead in a zone; `past` adds hours gone."""
    return answer(views.grid_view(control, zone, hours, past))


@router.get("/v1/feeds", response_model=list[FeedLine])
async def get_feeds(control: Plane, _caller: Anyone) -> Response:
    """How every series of a live feed stands: what counts now, how old it is, and what failed last."""
    live = control.feeds.live
    return answer(live.status(control.clock.grid_ms()) if live is not None else ())


@router.get("/v1/sites", response_model=list[SiteView])
async def get_sites(
    control: Plane,
    _caller: Anyone,
    after: Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{0,63}$")] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> Response:
    """Sites of the network now, by name; the header Sunward-Next names the last one where more follow."""
    sites = control.state.world.sites
    names = sorted(name for name in sites if name > after and not sites[name].left_ms)[: limit + 1]
    return page_of([views.site_view(control, sites[name]) for name in names], limit, lambda view: view.site)


@router.get("/v1/plan", response_model=PlanView)
async def get_plan(control: Plane, caller: Anyone) -> Response:
    """What is planned now; operator and auditor see every job, all others their own."""
    return answer(views.plan_view(control, None if caller.has(OPERATOR, AUDITOR) else caller.subject))


@router.get("/v1/plan/certificate", response_model=PlanCertificate)
async def get_certificate(control: Plane, _caller: Auditor, _place: Solving) -> Response:
    """What the plan costs beside a bound that no plan for the same jobs goes below."""
    return answer(await certified(control))


@router.get("/v1/clock", response_model=ClockMapping)
async def get_clock(control: Plane, _caller: Anyone) -> Response:
    """How grid time follows machine time."""
    return answer(control.clock.mapping)
