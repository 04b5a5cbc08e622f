"""Enrolment, the network's rules, rates, readings and signals as the engine takes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine.inputs import Feeds, signal_events, zones_in_use
from sunward.errors import ConflictError, InputError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import AgentSeen, Deposited, NetworkStarted, RateObserved, SiteEnrolled
from sunward.model.identity import SiteId, TenantId, ZoneId
from sunward.model.plan import PolicyInputs
from sunward.model.site import Phase, PoolSpec
from sunward.signals.typical import ClimatologyForecaster, ClimatologySource
from sunward.units import HOUR_MS
from tests.support.network import HYDRO, Network, assignment, segment
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


def test_the_ask_stands_until_the_jobs_it_was_asked_of_are_paid():
    dearer = SiteEnrolled(spec=replace(SPEC, ask_usd_micro_per_gpu_h=10**9))
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    assert network.refusal(dearer).code == "SW-138"
    idle = Network()
    idle.tell(dearer)
    assert idle.state.world.sites["no-hydro"].spec.ask_usd_micro_per_gpu_h == 10**9


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
