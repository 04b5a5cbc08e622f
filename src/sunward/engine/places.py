"""What is asked of places, and what anchors measured: evidence, and a verdict where a site cannot be where it says."""

from __future__ import annotations

import re
from dataclasses import replace

from sunward.engine import trust
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import InputError, NotFoundError
from sunward.model.events import EvidenceFiled
from sunward.model.identity import TenantId
from sunward.model.place import Anchor
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.model.site import SiteSpec
from sunward.model.trust import NETWORK, Consequence, Dimension, Evidence, Level
from sunward.units import DAY_MS, MICRO
from sunward.verification.place import place_findings
from sunward.world.places import Dated, Placed, possible

BAD_RULES, NO_ANCHOR = "SW-725", "SW-726"
ROUND_TRIPS = "round-trips"
"""Name of the evidence; what is measured anew takes its place."""
ANCHORS_MAX = 100
VALID_MAX_MS = 366 * DAY_MS
KEY = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
ADDRESS = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}:[0-9]{1,5}")
LAT_MAX, LON_MAX = 90 * MICRO, 180 * MICRO


def rules_set(turn: Turn, payload: PlaceRulesSet) -> None:
    """Ask this from now on; what was measured by other rules counts no more."""
    book = turn.world.places
    for site in sorted(book.placed):
        filed = turn.world.trust.evidence.get(site, {}).get(ROUND_TRIPS)
        if filed is not None:
            turn.world.trust.file(replace(filed.evidence, valid_until_ms=turn.at_ms), turn.at_ms)
    book.placed.clear()
    book.rules = payload.rules
    for site in sorted(turn.world.sites):
        turn.orders_changed(turn.world.sites[site].spec.site)
    turn.request_plan("place")


def check_rules(state: State, payload: PlaceRulesSet) -> None:
    """Refuse rules that name no place, or one anchor twice.

    Raises: InputError.
    """
    del state
    rules = payload.rules
    wrong = [one.name for one in rules.anchors if not _is_anchor(one)]
    if wrong:
        line = f"anchor {wrong[0][:40]!r} needs a name of letters and digits, a key of 64 hex digits, a place on Earth "
        raise InputError(f"{line}and an address as host:port", code=BAD_RULES)
    for told in ([one.name for one in rules.anchors], [one.key for one in rules.anchors]):
        if len(set(told)) < len(told):
            raise InputError("each anchor has a name and a key of its own", code=BAD_RULES)
    if len(rules.anchors) > ANCHORS_MAX or not 0 < rules.valid_ms <= VALID_MAX_MS:
        line = f"at most {ANCHORS_MAX} anchors, and measurements that count for at most {VALID_MAX_MS // DAY_MS} days"
        raise InputError(line, code=BAD_RULES)


def measured(turn: Turn, payload: PlaceMeasured) -> None:
    """Take in a measurement: evidence of the place, and a verdict where that excludes the country declared."""
    book, trip = turn.world.places, payload.trip
    site = turn.world.sites[trip.site]
    dated = Dated(trip=trip, at_ms=turn.at_ms)
    placed = Placed(trips=(*book.beside(trip, turn.at_ms), dated), countries=payload.countries)
    book.placed[trip.site] = placed
    told = EvidenceFiled(evidence=_evidence(site.spec, placed, book.rules.valid_ms))
    try:
        trust.check_filed(turn.state, told)
        trust.evidence_filed(turn, told)
    except InputError:
        # It has no room: that is its owner's to change, and the measurement counts all the same.
        turn.request_plan("place")
    for finding in place_findings(site.spec.site, site.spec.zone, payload.countries, len(placed.trips)):
        record = trust.verdict(
            finding,
            dimension=Dimension.PLACE,
            consequence=Consequence.PLACE_UNPROVEN,
            at_ms=turn.at_ms,
            site=site.spec.site,
            about=turn.state.epoch,
        )
        trust.issue(turn, record)
    turn.orders_changed(site.spec.site)


def check_measured(state: State, payload: PlaceMeasured) -> None:
    """Refuse the word of somebody who is no anchor here, or about a site or key that is none.

    Raises: InputError, NotFoundError.
    """
    trip = payload.trip
    site = state.world.sites.get(trip.site)
    if site is None or site.left_ms or site.spec.public_key != trip.site_key:
        raise NotFoundError(f"no site {trip.site} that signs with the key {trip.site_key[:16]}", code=NO_ANCHOR)
    anchor = state.world.places.anchor(trip.anchor_key)
    if anchor is None or (anchor.lat_udeg, anchor.lon_udeg) != (trip.lat_udeg, trip.lon_udeg):
        line = f"{trip.anchor_key[:16]} is no anchor of this network, or stands elsewhere; the operator names them"
        raise InputError(f"{line} (`sunward network place`)", code=NO_ANCHOR)


def _evidence(spec: SiteSpec, placed: Placed, valid_ms: int) -> Evidence:
    """What round trips show: its zone, where no other one is left; else only where the site is not."""
    left = possible(placed.countries)
    first_ms = min(one.at_ms for one in placed.trips)
    return Evidence(
        evidence=ROUND_TRIPS,
        site=spec.site,
        dimension=Dimension.PLACE,
        level=Level.METERED if left == (spec.zone,) else Level.DECLARED,
        statement=f"round trips to anchors ({len(placed.trips)}) leave {len(left)} of {len(possible(()))} zones",
        filed_by=TenantId(NETWORK),
        checked_by=NETWORK,
        value=min(one.trip.rtt_us for one in placed.trips),
        unit="µs, the shortest",
        valid_from_ms=first_ms,
        valid_until_ms=first_ms + valid_ms,
    )


def _is_anchor(one: Anchor) -> bool:
    return bool(
        NAME.fullmatch(one.name)
        and KEY.fullmatch(one.key)
        and ADDRESS.fullmatch(one.address)
        and abs(one.lat_udeg) <= LAT_MAX
        and abs(one.lon_udeg) <= LON_MAX
    )
