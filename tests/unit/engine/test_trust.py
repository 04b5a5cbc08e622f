"""Evidence and verdicts: what counts when, what an appeal stops, and who may say what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.engine.inputs import plan_event
from sunward.engine.snapshots import dump, load, state_digest
from sunward.engine.trust import EVIDENCE_MAX, verdict
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.commands import IssueReceipt
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import (
    AppealDecided,
    AppealFiled,
    EpochRequested,
    EvidenceFiled,
    ForecastIssued,
    TimerFired,
    VerdictIssued,
)
from sunward.model.identity import SiteId, TenantId, ZoneId
from sunward.model.job import JobState
from sunward.model.signal import Forecast
from sunward.model.site import Phase
from sunward.model.trust import (
    APPEAL_MS,
    DECIDE_MS,
    Appeal,
    Consequence,
    Decision,
    Dimension,
    Evidence,
    Level,
    Standing,
    VerdictRecord,
    cap_ppm,
)
from sunward.units import DAY_MS, HOUR_MS, PPM
from sunward.verification.verdict import Finding
from sunward.world.crowd_view import simple
from sunward.world.tick import take_tick
from sunward.world.view import take_snapshot
from tests.support.network import HYDRO, SOLAR, Network, assignment, of_kind, segment, unplaced
from tests.support.scenarios import SITES, START_MS, job

NORTH = SITES[0]
OWNER, AUDITOR = NORTH.owner, TenantId("a-eve")
SLOW = Finding(
    key="challenge_late",
    sentence="the GPU answered after {took} ms; a {model} answers within {limit} ms",
    figures={"took": 900, "model": "H100-SXM", "limit": 400},
)


def evidence(name: str = "e-1", **changes) -> Evidence:
    told = Evidence(
        evidence=name,
        site=SiteId(NORTH.site),
        dimension=Dimension.IDENTITY,
        level=Level.METERED,
        statement="invoice of four H100",
        digest="a" * 64,
        filed_by=OWNER,
        checked_by=AUDITOR,
        valid_until_ms=START_MS + 30 * DAY_MS,
    )
    return replace(told, **changes)


def late(consequence: Consequence = Consequence.SLASHABLE, **changes) -> VerdictRecord:
    words = {"dimension": Dimension.IDENTITY, "at_ms": START_MS, "site": NORTH.site}
    return verdict(SLOW, consequence=consequence, **words | changes)


def believed(network: Network, dimension: Dimension = Dimension.IDENTITY):
    return network.state.world.trust.believed(NORTH, dimension, network.at_ms)


def judged(network: Network, record: VerdictRecord):
    return network.state.world.trust.verdicts[record.verdict]


def appeal(record: VerdictRecord, by: TenantId = OWNER) -> AppealFiled:
    return AppealFiled(appeal=Appeal(verdict=record.verdict, by=by, digest="b" * 64))


def decide(record: VerdictRecord, *, upheld: bool, by: TenantId = AUDITOR) -> AppealDecided:
    return AppealDecided(decision=Decision(verdict=record.verdict, by=by, upheld=upheld, reason="ran it again"))


def test_without_evidence_everything_is_declared_and_counts_nothing():
    network = Network()
    found = network.state.world.trust.all_believed(NORTH, network.at_ms)
    assert [one.dimension for one in found] == list(Dimension)
    assert {(one.level, one.cap_ppm, one.resting_on) for one in found} == {(Level.DECLARED, 0, None)}


def test_evidence_counts_for_its_own_dimension_and_the_minimum_is_shown():
    network = Network()
    network.tell(EvidenceFiled(evidence=evidence()))
    assert (believed(network).level, believed(network).cap_ppm) == (Level.METERED, 500_000)
    assert believed(network, Dimension.PLACE).level is Level.DECLARED
    assert network.state.world.trust.weakest(NORTH, network.at_ms) is Level.DECLARED
    for number, dimension in enumerate(Dimension):
        network.tell(EvidenceFiled(evidence=evidence(f"e-{number}", dimension=dimension, level=list(Level)[-1])))
    network.tell(EvidenceFiled(evidence=evidence("e-5", dimension=Dimension.AGE, level=Level.DOCUMENTED)))
    assert network.state.world.trust.weakest(NORTH, network.at_ms) is Level.DOCUMENTED


def test_a_word_and_a_paper_bring_nothing_nor_a_measurement_of_place_or_age():
    caps = {one: [cap_ppm(one, level) for level in Level] for one in Dimension}
    assert caps[Dimension.ENERGY] == [0, 0, 500_000, 800_000, PPM]
    assert caps[Dimension.PLACE] == caps[Dimension.AGE] == [0, 0, 0, 800_000, PPM]
    assert all(steps == sorted(steps) for steps in caps.values())


def test_evidence_counts_from_its_beginning_to_its_end():
    network = Network()
    until_ms = START_MS + 2 * HOUR_MS
    network.tell(EvidenceFiled(evidence=evidence(valid_from_ms=START_MS + HOUR_MS, valid_until_ms=until_ms)))
    levels = []
    for _ in range(3):
        levels.append(believed(network).level)
        network.wait(1)
    assert levels == [Level.DECLARED, Level.METERED, Level.DECLARED]


@given(st.lists(st.tuples(st.sampled_from(Level), st.integers(1, PPM)), min_size=1, max_size=5))
def test_cover_is_never_added_up_and_what_is_not_covered_counts_nothing(told):
    network = Network()
    for number, (level, cover) in enumerate(told):
        network.tell(EvidenceFiled(evidence=evidence(f"e-{number}", level=level, coverage_ppm=cover)))
    found = believed(network)
    assert found.cap_ppm == max(cap_ppm(Dimension.IDENTITY, level) * cover // PPM for level, cover in told)
    full = [level.rank for level, cover in told if cover >= 950_000]
    assert found.level.rank == max(full, default=0)


def test_what_only_the_owner_has_seen_is_declared():
    network = Network()
    for checker in ("", OWNER):
        refused = network.refusal(EvidenceFiled(evidence=evidence(checked_by=checker)))
        assert refused.code == "SW-740"
        assert "someone other than its owner" in refused.message
    network.tell(EvidenceFiled(evidence=evidence(checked_by="", level=Level.DECLARED)))
    assert believed(network).cap_ppm == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"evidence": "a b"},
        {"statement": ""},
        {"statement": "x" * 501},
        {"statement": "two\nlines"},
        {"digest": "A" * 64},
        {"unit": "\x1b[2J"},
        {"value": 2**53 + 1},
        {"value": -(2**64)},
        {"coverage_ppm": 0},
        {"coverage_ppm": PPM + 1},
        {"valid_from_ms": -1},
        {"valid_from_ms": START_MS + 40 * DAY_MS},
        {"valid_until_ms": START_MS},
        {"valid_until_ms": 2**60},
    ],
    ids=repr,
)
def test_evidence_that_says_nothing_is_refused(changes):
    assert Network().refusal(EvidenceFiled(evidence=evidence(**changes))).code == "SW-740"


def test_evidence_of_no_site_is_refused():
    refused = Network().refusal(EvidenceFiled(evidence=evidence(site=SiteId("nowhere"))))
    assert isinstance(refused, NotFoundError)


def test_a_site_holds_so_much_evidence_and_what_ended_makes_room():
    network = Network()
    until_ms = START_MS + HOUR_MS
    for number in range(EVIDENCE_MAX):
        network.tell(EvidenceFiled(evidence=evidence(f"e-{number}", valid_until_ms=until_ms + number)))
    assert network.refusal(EvidenceFiled(evidence=evidence("e-more"))).code == "SW-741"
    network.tell(EvidenceFiled(evidence=evidence("e-0", statement="again")))
    network.wait(2)
    network.tell(TimerFired(), EvidenceFiled(evidence=evidence("e-more")))
    known = network.state.world.trust.evidence[NORTH.site]
    assert len(known) == EVIDENCE_MAX
    assert "e-0" in known
    assert "e-1" not in known


def test_a_verdict_lowers_at_once_what_was_filed_before_it():
    network = Network()
    network.tell(EvidenceFiled(evidence=evidence()), EvidenceFiled(evidence=evidence("p", dimension=Dimension.PLACE)))
    network.tell(VerdictIssued(verdict=late(Consequence.LEVEL_LOWERED)))
    assert believed(network).level is Level.DECLARED
    assert believed(network, Dimension.PLACE).level is Level.METERED
    network.wait(1)
    network.tell(EvidenceFiled(evidence=evidence("e-2")))
    assert believed(network).level is Level.METERED


def test_a_verdict_on_an_owner_lowers_all_its_sites():
    network = Network()
    network.tell(EvidenceFiled(evidence=evidence()))
    network.tell(VerdictIssued(verdict=late(site="", owner=OWNER)))
    assert believed(network).level is Level.DECLARED
    other = network.state.world.sites["es-solar"].spec
    assert list(network.state.world.trust.verdicts_on(other)) == []


def test_found_again_it_is_the_same_verdict():
    network = Network()
    network.tell(VerdictIssued(verdict=late()))
    network.wait(1)
    network.tell(VerdictIssued(verdict=late(at_ms=network.at_ms)), VerdictIssued(verdict=late(about="hour 2")))
    known = network.state.world.trust.verdicts
    assert [one.record.at_ms for one in known.values()] == [START_MS, START_MS]
    assert judged(network, late()).record.text == "the GPU answered after 900 ms; a H100-SXM answers within 400 ms"


def test_nothing_irreversible_follows_while_it_may_be_appealed():
    network = Network()
    network.tell(VerdictIssued(verdict=late()))
    book = network.state.world.trust
    assert book.slashable(NORTH, START_MS + APPEAL_MS - 1) == ()
    assert book.slashable(NORTH, START_MS + APPEAL_MS) == (late(),)
    assert judged(network, late()).standing(START_MS + APPEAL_MS) is Standing.FINAL


@pytest.mark.parametrize("upheld", [True, False])
def test_an_appeal_stops_it_until_it_is_decided(upheld):
    network = Network()
    network.tell(EvidenceFiled(evidence=evidence()), VerdictIssued(verdict=late()), appeal(late()))
    book, much_later = network.state.world.trust, START_MS + 4 * APPEAL_MS
    assert judged(network, late()).standing(much_later) is Standing.APPEALED
    assert book.slashable(NORTH, much_later) == ()
    assert believed(network).level is Level.DECLARED
    network.tell(decide(late(), upheld=upheld))
    assert book.slashable(NORTH, network.at_ms) == ((late(),) if upheld else ())
    assert believed(network).level is (Level.DECLARED if upheld else Level.METERED)
    assert judged(network, late()).standing(network.at_ms) is (Standing.UPHELD if upheld else Standing.DISMISSED)


def test_who_may_appeal_and_when():
    network = Network()
    assert network.refusal(appeal(late())).code == "SW-743"
    network.tell(VerdictIssued(verdict=late()))
    assert isinstance(network.refusal(appeal(late(), TenantId("p-other"))), NotFoundError)
    network.tell(appeal(late()))
    assert isinstance(network.refusal(appeal(late())), ConflictError)
    later = Network()
    later.tell(VerdictIssued(verdict=late()))
    later.wait(APPEAL_MS / HOUR_MS)
    refused = later.refusal(appeal(late()))
    assert (refused.code, "final" in refused.message) == ("SW-744", True)


def test_who_may_decide_and_when():
    network = Network()
    mine = late(issued_by="a-first")
    network.tell(VerdictIssued(verdict=mine))
    assert network.refusal(decide(mine, upheld=True)).code == "SW-744"
    network.tell(appeal(mine))
    for side in (OWNER, TenantId("a-first")):
        assert network.refusal(decide(mine, upheld=True, by=side)).code == "SW-745"
    network.tell(decide(mine, upheld=False))
    assert network.refusal(decide(mine, upheld=True)).code == "SW-744"


@pytest.mark.parametrize(
    "changes",
    [
        {"sentence": "{0}"},
        {"sentence": "{took.__class__} {model} {limit}"},
        {"sentence": "{took!r} {model} {limit}"},
        {"sentence": "{took:>9999999} {model} {limit}"},
        {"sentence": "{took"},
        {"sentence": "{took}"},
        {"sentence": "no figures"},
        {"sentence": ""},
        {"figures": {"took": 1, "model": "\x07", "limit": 2}},
        {"figures": {"took": 2**64, "model": "x", "limit": 2}},
        {"fault": "Challenge late"},
        {"verdict": "../x"},
        {"site": "", "owner": ""},
        {"site": "nowhere"},
        {"evidence": ("x",)},
        {"appeal_until_ms": START_MS + APPEAL_MS - 1},
        {"at_ms": START_MS - 2 * HOUR_MS, "appeal_until_ms": START_MS - 2 * HOUR_MS + APPEAL_MS},
        {"consequence": Consequence.PLACE_UNPROVEN},
    ],
    ids=repr,
)
def test_a_verdict_that_nobody_could_understand_or_appeal_is_refused(changes):
    assert isinstance(Network().refusal(VerdictIssued(verdict=replace(late(), **changes))), InputError)


def test_receipts_are_held_until_the_verdict_ends():
    network = Network()
    held = late(Consequence.RECEIPTS_HELD, lease="j-1.2")
    network.tell(VerdictIssued(verdict=held))
    book = network.state.world.trust
    assert [book.holds(NORTH, job, network.at_ms) for job in ("j-1", "j-2")] == [True, False]
    assert not book.holds(NORTH, "j-1", network.at_ms + APPEAL_MS)
    network.tell(VerdictIssued(verdict=late(Consequence.RECEIPTS_HELD)))
    assert book.holds(NORTH, "j-2", network.at_ms)


def test_a_snapshot_holds_it_all():
    network = Network()
    before = dump(network.state)
    assert load(before).world.trust.verdicts == {}
    network.tell(EvidenceFiled(evidence=evidence()), VerdictIssued(verdict=late()), appeal(late()))
    network.tell(decide(late(), upheld=True), VerdictIssued(verdict=late(site="", owner=OWNER)))
    again = load(dump(network.state))
    assert state_digest(again) == state_digest(network.state)
    assert again.world.trust.all_believed(NORTH, START_MS) == network.state.world.trust.all_believed(NORTH, START_MS)
    assert len(list(again.world.trust.verdicts_on(NORTH))) == 2


def worked(network: Network) -> None:
    """A job that has run and is metered."""
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000})


def receipts(network: Network) -> list[str]:
    return [one.receipt.job for one in of_kind(network.tell(EpochRequested()), IssueReceipt)]


def test_a_held_receipt_waits_for_the_end_of_its_verdict():
    network = Network()
    worked(network)
    held = late(Consequence.RECEIPTS_HELD, lease="j-1.1", at_ms=network.at_ms)
    network.tell(VerdictIssued(verdict=held), appeal(held))
    assert receipts(network) == []
    network.tell(decide(held, upheld=False))
    assert receipts(network) == ["j-1"]


def test_an_appeal_that_nobody_decides_holds_no_receipt_for_ever():
    network = Network()
    worked(network)
    held = late(Consequence.RECEIPTS_HELD, at_ms=network.at_ms)
    network.tell(VerdictIssued(verdict=held), appeal(held))
    spec = network.state.world.sites[NORTH.site].spec
    last_ms = held.appeal_until_ms + DECIDE_MS
    assert [network.state.world.trust.holds(spec, "j-1", at_ms) for at_ms in (last_ms - 1, last_ms)] == [True, False]


def test_the_planner_sees_what_is_believed_of_each_pool():
    network = Network()
    assert take_snapshot(network.state.world, network.at_ms).pools.evidence is None
    network.tell(EvidenceFiled(evidence=evidence()))
    pools = take_snapshot(network.state.world, network.at_ms).pools
    levels = dict(zip(pools.ids, pools.evidence.tolist(), strict=True))
    assert levels[HYDRO] == [Level.METERED.rank, 0, 0, 0, 0, 0]
    assert levels[SOLAR] == [0] * 6


def test_a_job_that_asks_for_evidence_is_planned_alone_and_not_in_a_crowd():
    network = Network()
    network.submit(job("j-1"), job("j-2", evidence=("place=metered",)))
    jobs = network.state.world.jobs
    rows = np.array([jobs.row_of["j-1"], jobs.row_of["j-2"]])
    assert simple(network.state.world, rows).tolist() == [True, False]
    assert jobs.spec(int(rows[1])).evidence == ("place=metered",)


def test_a_receipt_says_at_which_level_its_sites_are_believed():
    network = Network()
    network.tell(EvidenceFiled(evidence=evidence()), EvidenceFiled(evidence=evidence("p", dimension=Dimension.PLACE)))
    worked(network)
    record = late(Consequence.PLACE_UNPROVEN, dimension=Dimension.PLACE, at_ms=network.at_ms)
    network.tell(VerdictIssued(verdict=record))
    (issued,) = of_kind(network.tell(EpochRequested()), IssueReceipt)
    assert issued.receipt.not_proved[:3] == ("gpu_identity_metered", "place_declared", "device_age_declared")


def test_a_job_that_had_a_place_waits_when_its_evidence_ends_and_one_without_is_refused():
    network = Network()
    network.submit(job("j-1", evidence=("place=metered",)), job("j-2", evidence=("place=metered",)))
    network.plan(assignment("j-1", segment(HYDRO, 1, 3)))
    ended = (replace(unplaced(name, permanent=True), reason="evidence") for name in ("j-1", "j-2"))
    network.plan(leave=tuple(ended))
    assert [network.job_state(name) for name in ("j-1", "j-2")] == [JobState.SUBMITTED, JobState.REFUSED]


def flat_forecasts() -> ForecastIssued:
    issued = tuple(
        Forecast(
            zone=ZoneId(zone),
            kind=kind,
            issued_ms=START_MS,
            start_ms=START_MS,
            p10=(100_000,) * 168,
            p50=(100_000,) * 168,
            p90=(100_000,) * 168,
            source="flat",
            quality=Quality.FORECAST,
        )
        for zone in ("ES", "NO-NO1", "PL")
        for kind in (SeriesKind.CARBON_AVERAGE_LIFECYCLE, SeriesKind.PRICE)
    )
    return ForecastIssued(forecasts=issued, digest="d" * 64)


def test_what_runs_goes_on_where_no_other_site_is_believed_enough():
    network = Network()
    network.tell(EvidenceFiled(evidence=evidence()))
    network.submit(job("j-1", interruptible=True, evidence=("identity=metered",)))
    network.plan(assignment("j-1", segment(HYDRO, 0, 3)))
    network.report("j-1.1", Phase.RUNNING)
    network.tell(VerdictIssued(verdict=late(Consequence.LEVEL_LOWERED)), flat_forecasts())
    proposed = plan_event(take_tick(network.state.world, network.at_ms))
    assert (proposed.plan.assignments, proposed.plan.unplaced) == ((), ())
    network.tell(proposed)
    assert network.job_state("j-1") is JobState.RUNNING
    network.wait(0.1)
    network.tell(EvidenceFiled(evidence=evidence("e-2", statement="seen again")))
    proposed = plan_event(take_tick(network.state.world, network.at_ms))
    assert [one.segments[0].pool for one in proposed.plan.assignments] == [HYDRO]
