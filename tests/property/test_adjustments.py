"""Revisions of hours whose receipts are final: entries beside them that add up, whatever is revised, in any order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.engine import snapshots
from sunward.engine.writer import replay
from sunward.model.commands import CloseEpoch, IssueReceipt, PostAdjustments
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import EpochRequested, SignalObserved
from sunward.model.identity import ZoneId
from sunward.model.signal import Observation
from sunward.model.site import Phase
from sunward.units import DAY_MS, HOUR_MS, emissions_mg
from sunward.verification.exact import J_IN_KWH
from sunward.world import closed
from sunward.world.signalbook import REVISABLE_MS
from tests.support.network import HYDRO, SOLAR, Network, assignment, of_kind, segment
from tests.support.scenarios import START_MS, job

CARBON = SeriesKind.CARBON_AVERAGE_LIFECYCLE
NORTH, SOUTH = ZoneId("NO-NO1"), ZoneId("ES")


def network() -> Network:
    """Two receipts are final, of awkward energies in the first hour, in two zones."""
    made = Network()
    made.submit(job("j-1"), job("j-2"), job("j-3"))
    made.plan(
        assignment("j-1", segment(HYDRO, 0, 1)),
        assignment("j-2", segment(HYDRO, 0, 1)),
        assignment("j-3", segment(SOLAR, 0, 1)),
    )
    for lease in ("j-1.1", "j-2.1", "j-3.1"):
        made.report(lease, Phase.RUNNING)
    made.wait(1)
    for lease in ("j-1.1", "j-2.1", "j-3.1"):
        made.report(lease, Phase.FINISHED, units=1_000)
    made.seal("no-hydro", {"j-1.1": 3_600_001, "j-2.1": 77})
    made.seal("es-solar", {"j-3.1": 1_234_567})
    return made


def close(made: Network):
    commands = made.tell(EpochRequested())
    (statement,) = [one.statement for one in of_kind(commands, CloseEpoch)]
    return {one.receipt.job: one.receipt for one in of_kind(commands, IssueReceipt)}, statement


def observed(zone: ZoneId, hour: int, *values: int, kind: SeriesKind = CARBON) -> SignalObserved:
    observation = Observation(
        zone=zone,
        kind=kind,
        start_ms=START_MS + hour * HOUR_MS,
        values=values,
        source="revised",
        quality=Quality.MEASURED,
    )
    return SignalObserved(observations=(observation,))


def posted(commands):
    return [one for command in of_kind(commands, PostAdjustments) for one in command.adjustments]


REVISIONS = st.lists(
    st.tuples(
        st.sampled_from([NORTH, SOUTH, ZoneId("PL")]),
        st.integers(-1, 2),
        st.lists(st.integers(0, 900_001), min_size=1, max_size=3),
        st.sampled_from([CARBON, CARBON, SeriesKind.PRICE]),
        st.booleans(),
    ),
    max_size=8,
)


@given(REVISIONS)
@settings(max_examples=40)
def test_adjustments_add_up_to_the_receipt_computed_again(revisions):
    made = network()
    receipts, first = close(made)
    assert set(receipts) == {"j-1", "j-2", "j-3"}
    found, statements = [], [first]
    balances = made.state.ledger.to_record()
    for zone, hour, values, kind, then_close in revisions:
        found += posted(made.tell(observed(zone, hour, *values, kind=kind)))
        if then_close:
            statements.append(close(made)[1])
    statements.append(close(made)[1])
    book = made.state.world.signals
    for name, receipt in receipts.items():
        again = sum(
            emissions_mg(line.gpu_j + line.host_j + line.overhead_j, book.at(line.zone, CARBON, line.hour_ms).value)
            for line in receipt.lines
        )
        assert sum(one.new_mg - one.old_mg for one in found if one.job == name) == again - receipt.location_mg
    change = sum(one.new_mg - one.old_mg for one in found)
    assert sum(one.adjusted_location_mg for one in statements) == change
    assert sum(one.adjustments for one in statements) == len(found)
    market = sum(receipt.market_mg for receipt in receipts.values())
    owed = max(first.location_mg + change, market) - max(first.location_mg, market)
    assert sum(one.adjusted_liability_mg for one in statements) == owed
    assert made.state.liability_mg == sum(one.liability_mg for one in statements) + owed
    assert made.state.ledger.to_record() == balances, "no price follows a revision"
    assert snapshots.state_digest(replay(made.journal.read())) == snapshots.state_digest(made.state)
    assert snapshots.state_digest(snapshots.load(snapshots.dump(made.state))) == snapshots.state_digest(made.state)


def test_an_entry_says_what_it_changes_and_chains_to_the_one_before():
    made = network()
    receipts, _ = close(made)
    one, two = posted(made.tell(observed(NORTH, 0, 40_000)))
    assert [(entry.job, entry.epoch, entry.posted_epoch) for entry in (one, two)] == [("j-1", 1, 2), ("j-2", 1, 2)]
    assert (one.old_mg_per_kwh, one.old_mg) == (100_000, receipts["j-1"].location_mg)
    assert (one.new_mg_per_kwh, one.new_mg) == (40_000, round(3_600_001 * 40_000 / J_IN_KWH))
    assert (one.zone, one.hour_ms, one.cause) == (NORTH, START_MS, "signal_revised")
    assert one.sequence == made.state.world.sequence
    again = posted(made.tell(observed(NORTH, 0, 50_000)))
    assert [(entry.old_mg_per_kwh, entry.old_mg) for entry in again] == [(40_000, one.new_mg), (40_000, two.new_mg)]
    assert posted(made.tell(observed(NORTH, 0, 50_000))) == [], "the same word again changes nothing"


def test_what_is_not_final_takes_the_newest_value_and_posts_nothing():
    made = network()
    assert posted(made.tell(observed(NORTH, 0, 40_000))) == []
    receipts, statement = close(made)
    assert receipts["j-1"].lines[0].carbon_mg_per_kwh == 40_000
    assert statement.adjustments == 0


def test_what_is_kept_is_bounded_in_time_and_number(monkeypatch):
    made = network()
    close(made)
    world = made.state.world
    assert world.closed.count == 3
    made.wait((REVISABLE_MS + DAY_MS) / HOUR_MS)
    close(made)
    assert (world.closed.count, world.closed.lines) == (0, {})
    assert 1 not in world.closed.epochs
    assert posted(made.tell(observed(NORTH, 0, 40_000))) == []
    monkeypatch.setattr(closed, "LINES_MAX", 0)
    crowded = network()
    close(crowded)
    assert crowded.state.world.closed.count == 0
