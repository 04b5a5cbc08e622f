"""What anchors measured becomes evidence, a verdict, and the zone that counts where nothing better is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.inputs import Feeds, signal_events
from sunward.engine.orders import orders
from sunward.engine.snapshots import dump, load, state_digest
from sunward.model.commands import IssueReceipt
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import EpochRequested, EvidenceFiled, SignalObserved, SiteEnrolled, TimerFired
from sunward.model.identity import PoolId, SiteId, TenantId
from sunward.model.place import Anchor, PlaceRules, RoundTrip
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.model.receipt import Receipt
from sunward.model.signal import Observation
from sunward.model.site import Phase
from sunward.model.trust import Consequence, Dimension, Evidence, Level
from sunward.placement.planner import plan
from sunward.signals import zones
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import DAY_MS
from sunward.verification.place import possible_countries
from sunward.world.places import counted_zone, dirtiest, possible
from sunward.world.view import take_snapshot
from tests.support.network import HYDRO, Network, assignment, segment
from tests.support.scenarios import SITES, START_MS, job, site

NORTH = SiteId("no-hydro")
OSLO = Anchor(name="oslo", key="a" * 64, lat_udeg=59_910_000, lon_udeg=10_750_000, address="anchor.example:8475")
SYDNEY = Anchor(name="sydney", key="b" * 64, lat_udeg=-33_870_000, lon_udeg=151_210_000, address="[::1]:8475")
RULES = PlaceRules(level=Level.ENDORSED, anchors=(OSLO, SYDNEY), valid_ms=30 * DAY_MS)
WORLD = dirtiest(SITES[0].zone, ())


def network(rules: PlaceRules = RULES) -> Network:
    made = Network()
    made.tell(PlaceRulesSet(rules=rules))
    return made


def trip(anchor: Anchor, rtt_us: int, site: str = NORTH, key: str = "00" * 32) -> RoundTrip:
    return RoundTrip(
        anchor_key=anchor.key,
        lat_udeg=anchor.lat_udeg,
        lon_udeg=anchor.lon_udeg,
        site=SiteId(site),
        site_key=key,
        nonce="",
        answer="",
        rtt_us=rtt_us,
        at_ms=0,
    )


def measure(made: Network, one: RoundTrip) -> tuple[str, ...]:
    beside = made.state.world.places.beside(one, made.at_ms)
    left = tuple(sorted(possible_countries([*(other.trip for other in beside), one])))
    made.tell(PlaceMeasured(trip=one, countries=left))
    return left


def counted(made: Network, site: SiteId = NORTH, after_ms: int = 0) -> str:
    world = made.state.world
    return counted_zone(world, world.sites[site].spec, made.at_ms + after_ms)


def seen(made: Network, level: Level = Level.ENDORSED) -> None:
    visit = Evidence(
        evidence="visit",
        site=NORTH,
        dimension=Dimension.PLACE,
        level=level,
        statement="an auditor was there",
        filed_by=TenantId("p-no-hydro"),
        checked_by="auditor-7",
        valid_until_ms=made.at_ms + 90 * DAY_MS,
    )
    made.tell(EvidenceFiled(evidence=visit))


def believed(made: Network, level: Level) -> None:
    """What is believed of the place, by the one way and by the quick one."""
    world = made.state.world
    spec = world.sites[NORTH].spec
    every = world.trust.all_believed(spec, made.at_ms)
    assert world.trust.ranks(spec, made.at_ms) == tuple(one.level.rank for one in every)
    assert world.trust.believed(spec, Dimension.PLACE, made.at_ms).level is level


def test_without_rules_a_site_counts_where_it_says() -> None:
    made = Network()
    assert counted(made) == "NO-NO1"
    assert orders(made.state, NORTH).anchors == ()
    assert made.state.world.places.is_new


def test_unproven_it_counts_in_the_dirtiest_zone_of_all_until_measured_or_seen() -> None:
    made = network()
    assert counted(made) == WORLD
    left = measure(made, trip(OSLO, 4_000))
    assert {"NO", "SE"} <= set(left)
    near = counted(made)
    means = {one.zone: one.carbon_mean_mgco2e_per_kwh for one in zones.load().zones}
    assert means["NO-NO1"] < means[near] < means[WORLD]
    assert zones.load().zone(near).country in left
    seen(made, Level.DOCUMENTED)
    assert counted(made) == near
    seen(made)
    assert counted(made) == "NO-NO1"
    assert counted(made, after_ms=91 * DAY_MS) == WORLD


def test_a_measurement_is_evidence_that_lapses_with_its_oldest_part() -> None:
    made = network()
    measure(made, trip(OSLO, 4_000))
    made.wait(24 * 10)
    measure(made, trip(SYDNEY, 150_000))
    filed = made.state.world.trust.evidence[NORTH]["round-trips"].evidence
    assert (filed.level, filed.value) == (Level.DECLARED, 4_000)
    assert filed.statement.startswith("round trips to anchors (2) leave ")
    assert filed.valid_until_ms == made.at_ms + 20 * DAY_MS
    assert counted(made, after_ms=20 * DAY_MS - 1) != WORLD
    assert counted(made, after_ms=20 * DAY_MS) == WORLD


def test_where_one_zone_is_left_the_place_is_metered() -> None:
    assert len(possible(("PL",))) == 1
    warsaw = replace(OSLO, lat_udeg=52_230_000, lon_udeg=21_010_000)
    made = network(PlaceRules(level=Level.METERED, anchors=(warsaw,)))
    made.tell(PlaceMeasured(trip=trip(warsaw, 100, "pl-coal"), countries=("PL",)))
    spec = made.state.world.sites["pl-coal"].spec
    found = made.state.world.trust.believed(spec, Dimension.PLACE, made.at_ms)
    assert (found.level, found.cap_ppm) == (Level.METERED, 0)
    assert counted(made, SiteId("pl-coal")) == "PL"


def test_a_country_that_is_excluded_is_a_verdict_and_what_was_seen_counts_no_more() -> None:
    made = network()
    seen(made)
    believed(made, Level.ENDORSED)
    measure(made, trip(SYDNEY, 5_000))
    believed(made, Level.DECLARED)
    (one,) = made.state.world.trust.verdicts.values()
    assert (one.record.fault, one.record.consequence) == ("place_excluded", Consequence.PLACE_UNPROVEN)
    assert counted(made) == dirtiest(SITES[0].zone, ("AU",)) != "NO-NO1"


def test_an_anchor_is_in_the_orders_until_it_has_measured_and_again_at_half_the_time() -> None:
    made = network()
    assert [one.address for one in orders(made.state, NORTH).anchors] == [OSLO.address, SYDNEY.address]
    measure(made, trip(OSLO, 4_000))
    assert [one.key for one in orders(made.state, NORTH).anchors] == [SYDNEY.key]
    made.wait(24 * 15)
    made.tell(TimerFired())
    assert [one.key for one in orders(made.state, NORTH).anchors] == [OSLO.key, SYDNEY.key]


def test_a_new_key_or_new_rules_begin_anew() -> None:
    made = network()
    measure(made, trip(OSLO, 4_000))
    rotated = replace(SITES[0], public_key="cc" * 32)
    made.tell(SiteEnrolled(spec=rotated))
    assert counted(made) == WORLD
    assert len(orders(made.state, NORTH).anchors) == 2
    measure(made, trip(SYDNEY, 160_000, key="cc" * 32))
    assert len(made.state.world.places.placed[NORTH].trips) == 1
    made.tell(PlaceRulesSet(rules=replace(RULES, valid_ms=DAY_MS)))
    assert made.state.world.places.placed == {}
    assert not made.state.world.trust.evidence[NORTH]["round-trips"].evidence.valid_at(made.at_ms)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"anchor_key": "c" * 64}, "SW-726"),
        ({"lat_udeg": 0}, "SW-726"),
        ({"site": "nobody"}, "SW-726"),
        ({"site_key": "11" * 32}, "SW-726"),
    ],
)
def test_only_an_anchor_of_the_network_speaks_of_a_site(changed: dict[str, object], code: str) -> None:
    refusal = network().refusal(PlaceMeasured(trip=replace(trip(OSLO, 1), **changed), countries=()))  # type: ignore[arg-type]
    assert refusal.code == code


@pytest.mark.parametrize(
    "wrong",
    [
        PlaceRules(anchors=(replace(OSLO, key="A"),)),
        PlaceRules(anchors=(replace(OSLO, lat_udeg=90_000_001),)),
        PlaceRules(anchors=(replace(OSLO, address="anchor.example"),)),
        PlaceRules(anchors=(OSLO, replace(SYDNEY, name="oslo"))),
        PlaceRules(anchors=(OSLO, replace(SYDNEY, key=OSLO.key))),
        PlaceRules(valid_ms=0),
    ],
)
def test_rules_name_places_and_each_anchor_once(wrong: PlaceRules) -> None:
    assert Network().refusal(PlaceRulesSet(rules=wrong)).code == "SW-725"


def test_snapshots_keep_what_was_measured() -> None:
    made = network()
    measure(made, trip(OSLO, 4_000))
    assert state_digest(load(dump(made.state))) == state_digest(made.state)


@pytest.fixture(scope="module")
def receipts() -> dict[str, Receipt]:
    """Of one job at a site in Norway: believed as before, counted elsewhere, and seen by an auditor."""
    return {how: _receipt(how) for how in ("before", "unproven", "seen")}


def _receipt(how: str) -> Receipt:
    made = Network() if how == "before" else network()
    if how == "seen":
        seen(made)
    dirty = Observation(
        zone=WORLD,
        kind=SeriesKind.CARBON_AVERAGE_LIFECYCLE,
        start_ms=START_MS,
        values=(900_000,) * 96,
        source="flat",
        quality=Quality.MODELLED,
    )
    made.tell(SignalObserved(observations=(dirty,)))
    made.submit(job("j-1"))
    made.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    made.report("j-1.1", Phase.RUNNING)
    made.wait(2)
    made.report("j-1.1", Phase.FINISHED, units=1_000)
    made.seal(NORTH, {"j-1.1": 3_600_000})
    (receipt,) = [one.receipt for one in made.tell(EpochRequested()) if isinstance(one, IssueReceipt)]
    return receipt


def test_accounts_use_the_zone_that_counts_and_say_so(receipts: dict[str, Receipt]) -> None:
    assert {line.zone for line in receipts["unproven"].lines} == {WORLD}
    assert "declared_zone" in receipts["unproven"].not_proved
    for how in ("before", "seen"):
        assert {line.zone for line in receipts[how].lines} == {"NO-NO1"}
        assert "declared_zone" not in receipts[how].not_proved
    assert receipts["unproven"].location_mg == 9 * receipts["before"].location_mg > 0
    assert receipts["unproven"].market_mg > receipts["before"].market_mg


def test_what_nobody_was_paid_more_or_less_for(receipts: dict[str, Receipt]) -> None:
    assert len({one.price_wei for one in receipts.values()}) == 1
    # What would have been elsewhere is not made worse by sites that prove nothing: nothing is saved against them.
    assert len({one.counterfactuals[-1].carbon_mg for one in receipts.values()}) == 1


def test_plans_cost_the_carbon_of_the_zone_that_counts_at_the_price_of_the_one_declared() -> None:
    feeds = Feeds(ClimatologySource(), ClimatologyForecaster())
    plain, asked = Network(), network()
    seen_sites = []
    for made in (plain, asked):
        made.tell(*signal_events(made.state.world, feeds, made.at_ms))
        seen_sites.append(take_snapshot(made.state.world, made.at_ms))
    before, after = seen_sites
    assert after.zones == before.zones == ("ES", "NO-NO1", "PL")
    assert (after.pools.zone == before.pools.zone).all()
    assert (after.price_usd_per_kwh == before.price_usd_per_kwh).all()
    assert (after.carbon_g_per_kwh == after.carbon_g_per_kwh[0]).all()
    assert (after.carbon_g_per_kwh.mean(axis=1) > before.carbon_g_per_kwh.mean(axis=1)).all()
    assert (after.pools.available == before.pools.available).all()


def test_sites_of_one_zone_that_count_differently_stand_apart() -> None:
    feeds = Feeds(ClimatologySource(), ClimatologyForecaster())
    neighbour = site("no-fjord", "NO-NO1", "NO", "H100-SXM", 2, 1.1, 2.0)
    made = Network(sites=(*SITES, neighbour))
    made.tell(PlaceRulesSet(rules=RULES))
    seen(made)
    made.tell(*signal_events(made.state.world, feeds, made.at_ms))
    snapshot = take_snapshot(made.state.world, made.at_ms)
    assert snapshot.zones == ("ES", "NO-NO1", "NO-NO1", "PL")
    carbon = dict(zip(snapshot.pools.ids, snapshot.carbon_g_per_kwh[snapshot.pools.zone].mean(axis=1), strict=True))
    assert carbon[HYDRO] < carbon[PoolId("no-fjord/H100-SXM")]
    made.submit(job("j-1", carbon_price_usd_per_t=5_000))
    found = plan(take_snapshot(made.state.world, made.at_ms))
    assert [one.pool for given in found.assignments for one in given.segments] == [HYDRO]
