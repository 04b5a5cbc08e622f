"""Certificates through the engine: who may do what, what final accounts claim, and what becomes of the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.engine import snapshots
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.commands import CloseEpoch, IssueReceipt
from sunward.model.events import (
    EpochRequested,
    TimerFired,
    VerdictIssued,
)
from sunward.model.granular_events import (
    CertificatesMoved,
    CertificatesWithdrawn,
    GenerationDeclared,
)
from sunward.model.identity import SiteId, TenantId
from sunward.model.receipt import RESIDUAL_MISSING, EpochStatement, Receipt
from sunward.model.site import Phase
from sunward.model.trust import APPEAL_MS, Consequence, Dimension, Level, VerdictRecord
from sunward.settlement.certificates import LIFETIME_MS
from sunward.units import DAY_MS, HOUR_MS, J_PER_KWH, J_PER_WH, emissions_mg
from tests.support.network import SOLAR, Network, assignment, segment
from tests.support.scenarios import START_MS, job
from tests.support.supply import OWNER, ROOF, SITE, bundles, cancel, issued, metered, wind, with_roof

USED_J = 9_000_001
"""2,500 Wh and one joule."""


def verdict(network: Network, name: str = "v-1", **changes) -> VerdictRecord:
    one = VerdictRecord(
        verdict=name,
        dimension=Dimension.RENEWABLES,
        fault="shaded",
        sentence="no sun there",
        consequence=Consequence.LEVEL_LOWERED,
        at_ms=network.at_ms,
        appeal_until_ms=network.at_ms + APPEAL_MS,
        issued_by="network",
        site=SITE,
    )
    return replace(one, **changes)


def ran(network: Network, *jobs: str) -> None:
    """Jobs that finished at the Spanish site, each with the energy of the first hour."""
    network.submit(*map(job, jobs))
    network.plan(*(assignment(name, segment(SOLAR, 2, 4)) for name in jobs))
    for name in jobs:
        network.report(f"{name}.1", Phase.RUNNING)
    network.wait(1)
    for name in jobs:
        network.report(f"{name}.1", Phase.FINISHED, units=1_000)
    network.seal("es-solar", {f"{name}.1": USED_J for name in jobs})


def closed(network: Network) -> tuple[list[Receipt], EpochStatement]:
    """What closing the epoch makes final."""
    commands = network.tell(EpochRequested())
    receipts = [one.receipt for one in commands if isinstance(one, IssueReceipt)]
    (statement,) = (one.statement for one in commands if isinstance(one, CloseEpoch))
    return receipts, statement


def test_a_receipt_claims_for_its_job_then_its_tenant_then_its_site() -> None:
    network = with_roof()
    ran(network, "j-1")
    network.tell(issued(network, 700))
    network.tell(wind(network, 3_000, serial=1))
    network.tell(wind(network, 400, serial=2))
    network.tell(cancel(network, 0, 700, "site:es-solar"))
    network.tell(cancel(network, 1, 1_000, "tenant:t-alpha"))
    network.tell(cancel(network, 3, 400, "job:j-1"))
    (receipt,), statement = closed(network)
    (line,) = receipt.lines
    assert [(one.first, one.last, one.source) for one in line.certificates] == [
        (3_701, 4_100, "wind"),
        (701, 1_700, "wind"),
        (1, 700, "solar"),
    ]
    residual_j = USED_J - 2_100 * J_PER_WH
    counted = 1_400 * J_PER_WH * 11_000 + 700 * J_PER_WH * 48_000 + residual_j * line.market_mg_per_kwh
    assert receipt.market_mg == line.market_mg == (counted * 2 + J_PER_KWH) // (2 * J_PER_KWH)
    assert receipt.location_mg == emissions_mg(USED_J, 100_000)
    assert (line.market, receipt.market_basis) == ("ES", "certificates, residual missing")
    assert statement.market_mg == receipt.market_mg
    (supply,) = statement.supply
    assert (supply.site, supply.matched_wh) == ("es-solar", (2_100, 0))
    assert sum(supply.facility_j) == USED_J + 50
    assert supply.renewable_ppm == supply.carbon_free_ppm == 2_100 * J_PER_WH * 1_000_000 // (USED_J + 50)


def test_certificates_are_shared_by_no_two_receipts() -> None:
    network = with_roof()
    ran(network, "j-1", "j-2")
    network.tell(issued(network, 4_000))
    network.tell(cancel(network, 0, 4_000, "site:es-solar"))
    receipts, _ = closed(network)
    claimed = [[(one.first, one.last) for one in receipt.lines[0].certificates] for receipt in receipts]
    assert claimed == [[(1, 2_500)], [(2_501, 4_000)]]
    assert [receipt.market_basis for receipt in receipts] == ["certificates", "certificates, residual missing"]
    assert network.state.certificates.totals()["claimed"] == 4_000


@pytest.mark.parametrize(
    "changes",
    [
        {"start_ms": (START_MS + HOUR_MS,), "end_ms": (START_MS + 2 * HOUR_MS,)},
        {"end_ms": (START_MS + 2 * HOUR_MS,)},
        {"start_ms": (START_MS - 24 * HOUR_MS,)},
        {"market": ("FR",)},
    ],
    ids=["another hour", "two hours", "a day", "another market"],
)
def test_what_is_not_of_the_same_hour_and_market_is_never_matched(changes) -> None:
    network = with_roof()
    ran(network, "j-1")
    network.tell(wind(network, **changes))
    network.tell(cancel(network, 0, 1_000_000, "job:j-1"))
    (receipt,), statement = closed(network)
    assert receipt.lines[0].certificates == ()
    assert (receipt.market_basis, statement.supply) == (RESIDUAL_MISSING, ())
    assert network.state.certificates.totals()["cancelled"] == 1_000_000


def test_idle_energy_takes_what_leases_leave() -> None:
    network = with_roof()
    network.seal("es-solar")
    network.tell(issued(network, 10, 500))
    network.tell(cancel(network, 0, 10, "site:es-solar"))
    network.tell(cancel(network, 1, 500, "site:es-solar"))
    # 50 J of idle energy are less than a Wh.
    assert closed(network)[1].supply == ()
    network.state.idle_hours["es-solar"] = {START_MS + HOUR_MS: 360_000}
    _, statement = closed(network)
    (supply,) = statement.supply
    assert supply.hour_ms == (START_MS + HOUR_MS,)
    assert [(one.first, one.last) for one in supply.idle_claims] == [(11, 110)]
    assert (supply.renewable_ppm, supply.carbon_free_ppm) == (1_000_000, 1_000_000)


def test_idle_energy_leaves_alone_what_an_unsettled_lease_could_claim() -> None:
    network = with_roof()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(SOLAR, 2, 6)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(1)
    network.seal("es-solar", {"j-1.1": USED_J})
    network.tell(issued(network, 2_600))
    network.tell(cancel(network, 0, 2_600, "site:es-solar"))
    network.state.idle_hours["es-solar"] = {START_MS: 10**7}
    (supply,) = closed(network)[1].supply
    assert supply.matched_wh == (99,)


def test_nuclear_is_carbon_free_and_not_renewable() -> None:
    network = with_roof()
    ran(network, "j-1")
    network.tell(wind(network, source=("nuclear",), mg_per_kwh=(12_000,)))
    network.tell(cancel(network, 0, 1_000_000, "tenant:t-alpha"))
    (supply,) = closed(network)[1].supply
    assert supply.renewable_ppm == 0
    assert supply.carbon_free_ppm == 2_500 * J_PER_WH * 1_000_000 // (USED_J + 50)


def test_what_was_exported_counts_nowhere() -> None:
    network = with_roof()
    network.tell(issued(network, 1_000, exported=(600,)))
    mine, gone = bundles(network)
    assert (mine.wh, gone.wh, gone.state) == (400, 600, "exported")
    assert isinstance(network.refusal(cancel(network, 1, 600, "site:es-solar")), ConflictError)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"wh": (5_001,)}, "SW-761"),
        ({"wh": (0,)}, "SW-761"),
        ({"exported_wh": (101,)}, "SW-761"),
        ({"exported_wh": ()}, "SW-761"),
        ({"market": "FR"}, "SW-761"),
        ({"source": "wind"}, "SW-761"),
        ({"mg_per_kwh": 1}, "SW-761"),
        ({"evidence": ""}, "SW-761"),
        ({"start_ms": (START_MS + 1,)}, "SW-761"),
        ({"start_ms": (START_MS + 2 * HOUR_MS,)}, "SW-761"),
        ({"first": 2}, "SW-763"),
        ({"device": "windmill"}, "SW-760"),
        ({"owner": TenantId("p-other")}, "SW-760"),
    ],
)
def test_generation_that_cannot_be_is_refused(changes, code) -> None:
    network = with_roof()
    assert network.refusal(replace(issued(network, 100), **changes)).code == code


def test_an_hour_is_issued_once() -> None:
    network = with_roof()
    network.tell(issued(network, 100))
    again = network.refusal(issued(network, 100))
    assert (type(again), again.code) == (ConflictError, "SW-762")
    network.tell(issued(network, 100, first_hour=1))


@pytest.mark.parametrize("level", [Level.DECLARED, Level.DOCUMENTED])
def test_generation_that_nobody_metered_becomes_no_certificate(level) -> None:
    network = Network()
    network.tell(metered(level), GenerationDeclared(device=ROOF))
    network.wait(2)
    network.tell(TimerFired())
    assert network.refusal(issued(network, 100)).code == "SW-765"


def test_a_verdict_stops_issuing_and_takes_back_what_is_not_claimed() -> None:
    network = with_roof()
    ran(network, "j-1")
    network.tell(issued(network, 3_000, 800))
    network.tell(cancel(network, 0, 3_000, "site:es-solar"))
    closed(network)
    taken_back = CertificatesWithdrawn(device="roof", start_ms=START_MS, end_ms=START_MS + DAY_MS, verdict="v-1")
    assert isinstance(network.refusal(taken_back), NotFoundError)
    network.tell(VerdictIssued(verdict=verdict(network)), taken_back)
    totals = network.state.certificates.totals()
    assert (totals["claimed"], totals["withdrawn"], totals["active"]) == (2_500, 1_300, 0)
    network.wait(1)
    assert network.refusal(issued(network, 100, first_hour=2)).code == "SW-765"


@pytest.mark.parametrize(("start_ms", "end_ms"), [(5, 5), (-1, 5), (0, 2**70)])
def test_what_is_withdrawn_lies_in_time(start_ms, end_ms) -> None:
    network = with_roof()
    network.tell(issued(network, 100))
    network.tell(VerdictIssued(verdict=verdict(network)))
    event = CertificatesWithdrawn(device="roof", start_ms=start_ms, end_ms=end_ms, verdict="v-1")
    assert network.refusal(event).code == "SW-761"


def test_only_a_verdict_on_the_supply_withdraws() -> None:
    network = with_roof()
    network.tell(issued(network, 100))
    other = verdict(network, "v-2", dimension=Dimension.AGE)
    elsewhere = verdict(network, "v-3", site=SiteId("no-hydro"))
    network.tell(VerdictIssued(verdict=other), VerdictIssued(verdict=elsewhere))
    for name in ("v-2", "v-3"):
        event = CertificatesWithdrawn(device="roof", start_ms=0, end_ms=START_MS + DAY_MS, verdict=name)
        assert network.refusal(event).code == "SW-767"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"serial_first": (9,)}, "SW-762"),
        ({"serial_first": (-1,), "serial_last": (3,)}, "SW-762"),
        ({"source": ("coal",)}, "SW-760"),
        ({"mg_per_kwh": (0,)}, "SW-761"),
        ({"market": ("Atlantis",)}, "SW-761"),
        ({"end_ms": (START_MS,)}, "SW-761"),
        ({"end_ms": (START_MS + 9 * HOUR_MS,)}, "SW-761"),
        ({"start_ms": (0,), "end_ms": (START_MS - LIFETIME_MS,)}, "SW-761"),
        ({"device": ("Windpark",)}, "SW-761"),
        ({"owner": TenantId("")}, "SW-761"),
        ({"wh": 0}, "SW-761"),
        ({"wh": 2**53}, "SW-761"),
    ],
)
def test_imports_that_cannot_be_or_came_before_are_refused(changes, code) -> None:
    network = with_roof()
    network.tell(wind(network))
    assert network.refusal(wind(network, **{"serial": 18, **changes})).code == code


def test_serials_come_once_even_within_one_file() -> None:
    network = with_roof()
    one = wind(network)
    twice = {
        name: getattr(one, name) * 2
        for name in ("device", "source", "market", "mg_per_kwh", "start_ms", "end_ms", "wh", "serials")
    }
    numbers = {"serial_first": (1, 5), "serial_last": (5, 9)}
    assert network.refusal(replace(one, **twice, **numbers)).code == "SW-762"
    network.tell(replace(one, **twice, **numbers | {"serial_last": (4, 9)}))
    assert network.refusal(wind(network, serial=9)).code == "SW-762"


def test_what_was_read_before_it_changed_is_refused() -> None:
    network = with_roof()
    network.tell(issued(network, 100))
    stale = cancel(network, 0, 40, "site:es-solar")
    network.tell(stale)
    assert network.refusal(stale).code == "SW-763"
    rest = bundles(network)[1]
    moved = CertificatesMoved(owner=OWNER, to=TenantId("b"), bundle=(rest.bundle,), first=(1,), last=(100,))
    assert network.refusal(moved).code == "SW-763"
    assert network.refusal(replace(moved, first=(41,), owner=TenantId("b"), to=OWNER)).code == "SW-763"
    assert network.refusal(replace(moved, first=(41,), to=OWNER)).code == "SW-761"
    network.tell(replace(moved, first=(41,)))
    assert bundles(network)[1].owner == "b"


@pytest.mark.parametrize("beneficiary", ["site:nowhere", "job:j-none", "everyone", "tenant:"])
def test_a_beneficiary_that_could_never_count_them_is_refused(beneficiary) -> None:
    network = with_roof()
    network.tell(issued(network, 100))
    assert network.refusal(cancel(network, 0, 1, beneficiary)).code == "SW-766"


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "a/b"},
        {"nameplate_w": 0},
        {"latitude_micro": 90_000_001},
        {"year": 1},
        {"source": "coal"},
        {"site": SiteId("nowhere")},
        {"owner": TenantId("p-other")},
    ],
)
def test_devices_that_cannot_be_are_refused(changes) -> None:
    with pytest.raises(InputError):
        raise Network().refusal(GenerationDeclared(device=replace(ROOF, **changes)))


def test_a_device_stays_what_it_was_declared_as() -> None:
    network = with_roof()
    assert network.refusal(GenerationDeclared(device=replace(ROOF, source="wind"))).code == "SW-760"
    network.tell(GenerationDeclared(device=replace(ROOF, nameplate_w=6_000)))
    assert network.state.generation["roof"].nameplate_w == 6_000


def test_certificates_expire_a_year_after_their_hour() -> None:
    network = with_roof(epoch_ms=800 * DAY_MS)
    network.tell(issued(network, 100))
    network.tell(cancel(network, 0, 10, "site:es-solar"))
    network.wait(364 * 24)
    assert network.state.certificates.totals()["active"] == 90
    network.wait(2 * 24)
    totals = network.state.certificates.totals()
    assert (totals["active"], totals["expired"], totals["cancelled"]) == (0, 90, 10)


def test_a_snapshot_holds_them_all() -> None:
    network = with_roof()
    ran(network, "j-1")
    network.tell(issued(network, 700, 800, exported=(0, 5)))
    network.tell(wind(network, 3_000))
    network.tell(cancel(network, 0, 700, "site:es-solar"))
    again = snapshots.load(snapshots.dump(network.state))
    assert snapshots.state_digest(again) == snapshots.state_digest(network.state)
    assert again.certificates == network.state.certificates
    assert (again.generation, again.idle_hours) == (network.state.generation, network.state.idle_hours)
