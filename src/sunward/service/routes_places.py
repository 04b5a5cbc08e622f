"""Places: what is asked of them, whom an anchor is to measure, and what it measured."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from sunward.errors import InputError
from sunward.model.codec import encode
from sunward.model.place import AnchorWish, PlaceRules, RoundTrip
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.service.audit import note
from sunward.service.auth import ANCHOR, OPERATOR, Anyone, Caller, Operator, Plane, allow
from sunward.service.bodies import answer, once, record_of, takes
from sunward.units import MINUTE_MS
from sunward.verification.place import holds, possible_countries

router = APIRouter(tags=["places"])

NOT_SIGNED, NOT_FRESH = "SW-727", "SW-728"
FRESH_MS = 10 * MINUTE_MS
"""Machine time between a measurement and its delivery, with both clocks' faults: else an old one could come again."""
Measurer = Annotated[Caller, Depends(allow(ANCHOR, OPERATOR))]


@router.get("/v1/places/rules", response_model=PlaceRules)
async def get_place_rules(control: Plane, _caller: Anyone) -> Response:
    """What this network asks of the place of its sites, and its anchors."""
    return answer(control.state.world.places.rules)


@router.post("/v1/places/rules", response_model=PlaceRules, openapi_extra=takes(PlaceRules))
async def post_place_rules(
    control: Plane,
    caller: Operator,
    request: Request,
    wanted: Annotated[PlaceRules, Depends(record_of(PlaceRules))],
) -> Response:
    """Ask this from now on; every site is measured anew."""

    async def act(_key: str) -> Response:
        if wanted != control.state.world.places.rules:
            control.commit_one(PlaceRulesSet(rules=wanted))
            note(control, caller, "set_place_rules", encode(wanted).decode())
        return answer(wanted)

    return await once(control, caller.subject, request, act)


@router.get("/v1/places/wishes", response_model=list[AnchorWish])
async def get_wishes(control: Plane, _caller: Measurer, anchor: str) -> Response:
    """Sites that an anchor, named by its key, is to measure now."""
    world = control.state.world
    if world.places.anchor(anchor) is None:
        return answer([])
    now_ms = control.clock.grid_ms()
    sites = (site.spec for _, site in sorted(world.sites.items()) if not site.left_ms)
    return answer(
        [AnchorWish(site=one.site, key=one.public_key) for one in sites if world.places.due(one, anchor, now_ms)]
    )


@router.post("/v1/places/round-trips", response_model=PlaceMeasured, status_code=201, openapi_extra=takes(RoundTrip))
async def post_round_trip(
    control: Plane, _caller: Measurer, trip: Annotated[RoundTrip, Depends(record_of(RoundTrip))]
) -> Response:
    """Take in what an anchor measured; the same again changes nothing."""
    world = control.state.world
    known = world.places.placed.get(trip.site)
    if known is not None and any(one.trip == trip for one in known.trips):
        return answer(PlaceMeasured(trip=trip, countries=known.countries), 201)
    if not holds(trip):
        line = "the round trip is not signed by its anchor, or the nonce not by the site's key; measure anew"
        raise InputError(line, code=NOT_SIGNED)
    if abs(control.clock.machine_ms() - trip.at_ms) > FRESH_MS:
        minutes = FRESH_MS // MINUTE_MS
        line = (
            f"the round trip was not measured within the last {minutes} minutes; set the anchor's clock, measure anew"
        )
        raise InputError(line, code=NOT_FRESH)
    trips = [*(one.trip for one in world.places.beside(trip, control.clock.grid_ms())), trip]
    payload = PlaceMeasured(trip=trip, countries=tuple(sorted(possible_countries(trips))))
    control.commit_one(payload)
    return answer(payload, 201)
