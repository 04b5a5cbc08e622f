"""What faults of readings cost beyond the seal: cover that falls and heals, and verdicts on what contradicts itself."""

from __future__ import annotations

import pytest

from sunward.engine.readings import DAYS, RESETS_A_DAY, UNSEEN_MAX
from sunward.engine.snapshots import dump, load, state_digest
from sunward.model.datum import Quality
from sunward.model.events import AgentSeen, AppealDecided, AppealFiled, ReadingsRefused
from sunward.model.identity import SiteId, TenantId
from sunward.model.trust import Appeal, Decision, Dimension, Level
from sunward.units import DAY_MS, HOUR_MS, PPM
from sunward.world.readings import COVER_MS, WINDOW_MS
from tests.support.network import Network
from tests.support.scenarios import SITES

SITE = SiteId(SITES[0].site)
MEASURED = {"covered_ms": HOUR_MS, "quality": Quality.MEASURED}


def refuse(network: Network, fault: str, count: int = 1) -> None:
    network.tell(ReadingsRefused(sites=(SITE,), faults=(fault,), counts=(count,), examples=("d" * 64,)))


def verdicts(network: Network) -> list[tuple[str, Dimension]]:
    known = network.state.world.trust.verdicts.values()
    return [(one.record.fault, one.record.dimension) for one in known]


def believed(network: Network, dimension: Dimension = Dimension.ENERGY):
    world = network.state.world
    return world.trust.believed(world.sites[SITE].spec, dimension, network.at_ms)


def measured_days(network: Network, days: int, **changes) -> None:
    for _ in range(days):
        network.seal(SITE, **MEASURED | changes)
        network.wait(24)


def test_measured_time_is_evidence_and_a_gap_lowers_it_until_it_has_passed() -> None:
    network = Network()
    measured_days(network, 3)
    assert (believed(network).level, believed(network).resting_on.coverage_ppm) == (Level.METERED, PPM)
    network.seal(SITE, **MEASURED, gap_ms=HOUR_MS)
    network.wait(24)
    network.seal(SITE, **MEASURED)
    assert believed(network).level is Level.DECLARED
    assert believed(network).resting_on.coverage_ppm == 4 * PPM // 5
    network.wait(24)
    measured_days(network, COVER_MS // DAY_MS + 1)
    assert believed(network).resting_on.coverage_ppm == PPM
    assert verdicts(network) == []


def test_modelled_time_is_no_evidence_and_unmetered_joules_count_like_time() -> None:
    network = Network()
    measured_days(network, 2, quality=Quality.MODELLED)
    assert believed(network).resting_on is None
    measured_days(network, 2, quality=Quality.MODELLED, meter_ms=HOUR_MS, meter_j=50, meter_it_j=50, unmetered_j=50)
    overhead = believed(network, Dimension.OVERHEAD).resting_on
    assert overhead.coverage_ppm == 333_333 * 150 // 200
    assert network.state.world.sites[SITE].idle_j == 4 * 50 + 2 * 50


def test_evidence_that_is_not_renewed_is_over() -> None:
    network = Network()
    measured_days(network, 2)
    assert believed(network).level is Level.METERED
    network.wait(49)
    assert believed(network).level is Level.DECLARED


@pytest.mark.parametrize("fault", ["chain_broken", "counter_backwards", "overlap", "clock_backwards", "skew"])
def test_a_fault_that_happens_once_costs_nothing_and_on_three_days_the_level(fault: str) -> None:
    network = Network()
    measured_days(network, 2)
    for day in range(DAYS):
        assert verdicts(network) == []
        refuse(network, fault, count=40)
        refuse(network, fault)
        network.seal(SITE, **MEASURED)
        network.wait(24 if day < DAYS - 1 else 0)
    ((key, dimension),) = verdicts(network)
    assert dimension is Dimension.ENERGY
    assert key in ("readings_two_histories", "readings_clock")
    (judged,) = network.state.world.trust.verdicts.values()
    assert "3 of the last 30 days" in judged.record.text
    assert judged.record.evidence == ("d" * 64,)
    measured_days(network, 20)
    assert believed(network).level is Level.DECLARED
    measured_days(network, 12)
    assert believed(network).level is Level.METERED
    assert len(verdicts(network)) == 1


def test_an_appeal_that_succeeds_gives_the_cover_back_and_the_same_days_are_not_judged_again() -> None:
    network = Network()
    measured_days(network, 1)
    for _ in range(DAYS):
        refuse(network, "skew")
        measured_days(network, 1)
    (name,) = network.state.world.trust.verdicts
    network.tell(AppealFiled(appeal=Appeal(verdict=name, by=SITES[0].owner, digest="b" * 64)))
    network.tell(
        AppealDecided(decision=Decision(verdict=name, by=TenantId("a-eve"), upheld=False, reason="a bad clock"))
    )
    refuse(network, "skew")
    measured_days(network, 2)
    assert believed(network).level is Level.METERED
    assert len(verdicts(network)) == 1


@pytest.mark.parametrize("fault", ["gap", "signature", "malformed", "foreign_site", "replay"])
def test_what_a_lost_message_or_a_stranger_can_cause_is_counted_and_no_more(fault: str) -> None:
    network = Network()
    for _ in range(10):
        refuse(network, fault, count=9)
        network.wait(24)
    assert verdicts(network) == []
    assert network.state.world.readings.over(SITE, network.at_ms, WINDOW_MS).faults == {fault: 90}


def test_energy_signed_for_the_lease_of_another_site_is_judged_at_once() -> None:
    network = Network()
    refuse(network, "foreign_lease")
    assert verdicts(network) == [("readings_foreign_lease", Dimension.ENERGY)]


def test_counters_that_leave_and_come_back_are_judged_by_days() -> None:
    network = Network()
    for _ in range(DAYS):
        assert verdicts(network) == []
        network.seal(SITE, **MEASURED, faults=("missing", "unmetered"))
        network.wait(24)
    assert verdicts(network) == [("readings_counters_missing", Dimension.ENERGY)]


def test_counters_that_begin_anew_by_the_hour_are_judged_in_their_day() -> None:
    network = Network()
    for number in range(RESETS_A_DAY):
        network.seal(SITE, **MEASURED, faults=("reset",), boots=(f"b-{number}",))
    assert verdicts(network) == []
    network.seal(SITE, **MEASURED, faults=("reset",), boots=("b-x", "b-y"))
    assert verdicts(network) == [("readings_resets", Dimension.ENERGY)]


def test_boots_that_the_agent_never_told_of_are_judged_when_they_are_many() -> None:
    network = Network()
    for number in range(UNSEEN_MAX + 1):
        network.seal(SITE, **MEASURED, faults=("reset",), boots=(f"b-{number}",))
        network.tell(AgentSeen(site=SITE, boot=f"b-{number}"))
    measured_days(network, 3)
    assert verdicts(network) == []
    for number in range(UNSEEN_MAX + 1):
        network.seal(SITE, **MEASURED, faults=("reset",), boots=(f"hidden-{number}",))
    network.wait(48)
    measured_days(network, 1)
    assert verdicts(network) == [("readings_boots", Dimension.ENERGY)]


@pytest.mark.parametrize(("meter_j", "judged"), [(96, False), (95, True)])
def test_a_site_meter_may_be_below_its_equipment_by_what_sensors_err(meter_j: int, judged: bool) -> None:  # noqa: FBT001
    network = Network()
    network.seal(SITE, **MEASURED, meter_ms=HOUR_MS, meter_j=meter_j, meter_it_j=100, faults=("meter_low",))
    network.wait(24)
    network.seal(SITE, **MEASURED)
    assert verdicts(network) == ([("meter_below_equipment", Dimension.OVERHEAD)] if judged else [])


def test_a_low_minute_is_no_low_day() -> None:
    network = Network()
    network.seal(SITE, **MEASURED, meter_ms=60_000, meter_j=1, meter_it_j=100, faults=("meter_low",))
    network.seal(SITE, **MEASURED, meter_ms=HOUR_MS, meter_j=5_000, meter_it_j=4_000)
    network.wait(24)
    network.seal(SITE, **MEASURED)
    assert verdicts(network) == []


def test_a_snapshot_keeps_what_was_counted() -> None:
    network = Network()
    refuse(network, "skew", count=3)
    network.seal(SITE, **MEASURED, faults=("reset",), boots=("b-1",))
    again = load(dump(network.state))
    assert again.world.readings == network.state.world.readings
    assert state_digest(again) == state_digest(network.state)
    assert again.world.readings.unseen == {SITE: {"b-1": network.at_ms}}


def test_what_is_older_than_thirty_days_is_forgotten() -> None:
    network = Network()
    refuse(network, "skew")
    network.wait(31 * 24)
    refuse(network, "gap")
    assert list(network.state.world.readings.days[SITE]) == [network.at_ms - network.at_ms % DAY_MS]
