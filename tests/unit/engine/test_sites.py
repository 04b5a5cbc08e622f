"""Enrolment, the network's rules, rates, readings and signals as the engine takes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.inputs import Feeds, signal_events, zones_in_use
from sunward.errors import ConflictError, InputError
from sunward.model.commands import IssueReceipt
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import AgentSeen, Deposited, EpochRequested, NetworkStarted, RateObserved, SiteEnrolled
from sunward.model.identity import SiteId, TenantId, ZoneId
from sunward.model.plan import PolicyInputs
from sunward.model.site import Phase, PoolSpec, Sleep
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import HOUR_MS
from tests.support.network import HYDRO, Network, assignment, of_kind, segment
from tests.support.scenarios import SITES, START_MS, TENANT, job

SPEC = SITES[0]
POOL = SPEC.pools[0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"overhead_ppm": 999_999}, "SW-130"),
        ({"pools": ()}, "SW-131"),
        ({"zone": ZoneId("XX-NOWHERE")}, None),
        ({"cooling": "snow"}, None),
        ({"pools": (replace(POOL, count=3),)}, "SW-133"),
        ({"pools": (replace(POOL, pool="other/H100-SXM"),)}, "SW-133"),
        ({"pools": (POOL, POOL)}, "SW-133"),
        ({"pools": (replace(POOL, devices=("g", "g", "g", "g")),)}, "SW-133"),
        ({"pools": (replace(POOL, gpu_model="H100", pool="no-hydro/H100"),)}, "SW-132"),
        ({"site": SiteId("a/b"), "pools": (replace(POOL, pool="a/b/H100-SXM"),)}, "SW-133"),
    ],
)
def test_declarations_that_cannot_be_true_are_refused(changes, code):
    refused = Network(sites=()).refusal(SiteEnrolled(spec=replace(SPEC, **changes)))
    assert isinstance(refused, InputError)
    assert code in (None, refused.code)


@pytest.mark.parametrize("changes", [{"owner": TenantId("thief")}, {"zone": ZoneId("SE-SE1")}, {"country": "SE"}])
def test_a_site_stays_where_and_whose_it_is(changes):
    assert isinstance(Network().refusal(SiteEnrolled(spec=replace(SPEC, **changes))), ConflictError)


def test_a_lease_is_paid_at_the_ask_it_was_offered_at():
    network = Network()
    network.submit(job("j-1", interruptible=True))
    network.plan(assignment("j-1", segment(HYDRO, 0, 1), segment(HYDRO, 2, 3)))
    network.report("j-1.1", Phase.RUNNING)
    network.tell(SiteEnrolled(spec=replace(SPEC, ask_usd_micro_per_gpu_h=4_000_000)))
    network.wait(1)
    network.report("j-1.1", Phase.SUSPENDED, units=500, checkpoint=500)
    network.wait(1)
    network.report("j-1.2", Phase.RUNNING, units=500)
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000, "j-1.2": 1_000})
    (receipt,) = [one.receipt for one in of_kind(network.tell(EpochRequested()), IssueReceipt)]
    assert receipt.price_usd_micro == 2_400_000 + 4_000_000
    assert [line.offered > 0 for line in receipt.attempts] == [True, True]


def test_what_a_receipt_says_of_a_site_stands_until_it_is_final():
    wetter = SiteEnrolled(spec=replace(SPEC, water_ml_per_kwh=1))
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    assert network.refusal(wetter).code == "SW-138"
    Network().tell(wetter)


@pytest.mark.parametrize(
    "changes",
    [
        {"closed_hours_utc": (24,)},
        {"closed_hours_utc": (-1,)},
        {"closed_hours_utc": (3, 2)},
        {"closed_hours_utc": (3, 3)},
        {"closed_hours_utc": tuple(range(24))},
        {"wake_s": -1},
        {"asleep_w": -1},
        {"payout": "0x12"},
        {"payout": "x" * 42},
        {"gpu_year": 1999},
    ],
)
def test_terms_that_cannot_be_are_refused(changes):
    assert Network().refusal(SiteEnrolled(spec=replace(SPEC, **changes))).code == "SW-190"


def test_terms_that_can_be_are_taken():
    terms = {"closed_hours_utc": (0, 23), "payout": "0x" + "aB" * 20, "gpu_year": 2022, "sleep": Sleep.OFF}
    network, spec = Network(), replace(SPEC, **terms)
    network.tell(SiteEnrolled(spec=spec))
    assert network.state.world.sites[spec.site].spec == spec


def test_a_network_begins_once():
    again = NetworkStarted(network="other", policy=PolicyInputs(), epoch_ms=HOUR_MS)
    assert isinstance(Network().refusal(again), ConflictError)


def test_money_never_runs_backwards():
    network = Network()
    assert network.refusal(Deposited(tenant=TENANT, amount_wei=0)).code == "SW-124"
    rate = RateObserved(wei_per_usd_micro=-1, sources=("x",), quality=Quality.MODELLED)
    assert network.refusal(rate).code == "SW-125"


def test_a_word_from_an_unknown_site_is_refused():
    assert Network().refusal(AgentSeen(site=SiteId("nowhere"), boot="b")).code == "SW-134"


def test_energy_for_leases_nobody_knows_is_told_and_never_spread():
    network = Network()
    network.seal("no-hydro", {"j-9.1": 500})
    assert network.state.world.late_j == 500
    assert network.state.world.sites["no-hydro"].idle_j == 50
    assert len(network.state.world.energy) == 0


def test_a_seal_of_one_site_does_not_fall_over_leases_of_another():
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.seal("es-solar", {"j-1.1": 70})
    network.seal("no-hydro", {"j-1.1": 30})
    assert sum(network.state.world.energy.ints["gpu_j"]) == 100


def test_hours_that_passed_unseen_are_asked_for_again():
    network = Network()
    network.submit(job("j-1", origin_zone=ZoneId("FR")))
    feeds = Feeds(ClimatologySource(), ClimatologyForecaster())
    world = network.state.world
    assert zones_in_use(world, ["SE-SE1"]) == ("ES", "FR", "NO-NO1", "PL", "SE-SE1")
    network.at_ms = START_MS + 5 * HOUR_MS
    network.tell(*signal_events(world, feeds, network.at_ms))
    kind = SeriesKind.CARBON_AVERAGE_LIFECYCLE
    assert all(world.signals.at("FR", kind, START_MS + n * HOUR_MS) is not None for n in range(6))
    assert world.signals.at("FR", kind, START_MS).quality is not Quality.FORECAST
    assert signal_events(world, feeds, network.at_ms) == []


def test_a_device_pool_is_known_by_its_id():
    network = Network()
    assert isinstance(network.state.world.pool(HYDRO), PoolSpec)
    assert network.state.world.pool("no-hydro/L4") is None
    assert network.state.world.pool("nowhere/L4") is None
