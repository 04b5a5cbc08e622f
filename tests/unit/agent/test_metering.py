from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.meters import ModelledMeter
from sunward.agent.devices import ASLEEP, IDLE, DeviceState
from sunward.agent.identity import public_key
from sunward.agent.metering import Recorder
from sunward.agent.outbox import Outbox
from sunward.errors import SourceError
from sunward.metering.chain import Fault, check_next
from sunward.metering.wire import batch_hash, decode_batch
from sunward.model.hardware import PowerState, WorkClass
from sunward.model.reading import ReadingBatch
from sunward.units import MINUTE_MS

T0 = 1_749_600_000_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BUSY = DeviceState(PowerState.BUSY, "job-a.1", WorkClass.TRAINING)


class FailingMeter(ModelledMeter):
    fails = False

    def read(self, at_ms: int) -> dict[str, int]:
        if self.fails:
            raise SourceError("the sensor does not answer")
        return super().read(at_ms)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


def meter_of(outbox: Outbox, at_ms: int = T0) -> FailingMeter:
    return FailingMeter({"gpu-0": "L40S", "gpu-1": "L40S"}, at_ms, start_j=outbox.head().counters_j)


def recorder_of(outbox: Outbox, meter: ModelledMeter, at_ms: int = T0, boot: str = "boot-1") -> Recorder:
    return Recorder("site", boot, meter, outbox, KEY, at_ms)


def batches(outbox: Outbox) -> list[ReadingBatch]:
    """All batches, checked as the ingest checks them."""
    previous, previous_hash, found = None, "", []
    for _, raw in outbox.unsent(10_000):
        batch = decode_batch(raw, public_key(KEY))
        faults = check_next(previous, previous_hash, batch, seen=False, received_ms=batch.t1_ms)
        assert set(faults) <= {Fault.RESET}
        previous, previous_hash = batch, batch_hash(raw)
        found.append(batch)
    return found


def observe(recorder: Recorder, first: DeviceState, second: DeviceState, at_ms: int) -> tuple[str, ...]:
    host = PowerState.BUSY if PowerState.BUSY in (first.state, second.state) else PowerState.IDLE
    return recorder.observe({"gpu-0": first, "gpu-1": second}, host, at_ms)


def test_every_minute_is_signed_once_and_spans_are_cut_where_a_lease_begins_and_ends(outbox: Outbox) -> None:
    meter = meter_of(outbox)
    recorder = recorder_of(outbox, meter, T0 + 10_000)
    assert recorder.advance(T0 + 20_000) == ()
    observe(recorder, IDLE, ASLEEP, T0 + 20_000)
    observe(recorder, BUSY, ASLEEP, T0 + 45_000)
    recorder.advance(T0 + 2 * MINUTE_MS + 1)
    observe(recorder, IDLE, ASLEEP, T0 + 2 * MINUTE_MS + 1_000)
    recorder.advance(T0 + 3 * MINUTE_MS)
    found = batches(outbox)
    assert [(b.t0_ms - T0, b.t1_ms - T0) for b in found] == [(10_000, 60_000), (60_000, 120_000), (120_000, 180_000)]
    spans = [(s.state, s.lease, s.t0_ms - T0, s.t1_ms - T0) for b in found for s in b.spans if s.device == "gpu-0"]
    assert spans == [
        ("asleep", "", 10_000, 20_000),
        ("idle", "", 20_000, 45_000),
        ("busy", "job-a.1", 45_000, 60_000),
        ("busy", "job-a.1", 60_000, 120_000),
        ("busy", "job-a.1", 120_000, 121_000),
        ("idle", "", 121_000, 180_000),
    ]
    assert {b.quality for b in found} == {"modelled"}


def test_the_spans_add_up_to_the_counters(outbox: Outbox) -> None:
    meter = meter_of(outbox)
    recorder = recorder_of(outbox, meter)
    for minute in range(1, 90):
        now_ms = T0 + minute * 47_123
        recorder.advance(now_ms)
        observe(recorder, BUSY if minute % 3 else IDLE, IDLE if minute % 5 else ASLEEP, now_ms)
    end_ms = T0 + 100 * MINUTE_MS + 123
    assert recorder.finish(end_ms) == ()
    spent: dict[str, int] = {}
    for batch in batches(outbox):
        for span in batch.spans:
            spent[span.device] = spent.get(span.device, 0) + span.end_j - span.start_j
    assert spent == meter.read(end_ms) == outbox.head().counters_j
    assert outbox.head().t1_ms == end_ms


def test_a_long_pause_of_the_loop_is_caught_up_minute_by_minute(outbox: Outbox) -> None:
    recorder = recorder_of(outbox, meter_of(outbox))
    recorder.advance(T0 + 30 * MINUTE_MS + 5)
    assert len(batches(outbox)) == 30


def test_a_restart_continues_chain_and_counters_under_a_new_boot(outbox: Outbox) -> None:
    recorder = recorder_of(outbox, meter_of(outbox))
    observe(recorder, BUSY, IDLE, T0)
    recorder.advance(T0 + 2 * MINUTE_MS)
    before = outbox.head()
    later_ms = T0 + 9 * MINUTE_MS
    again = recorder_of(outbox, meter_of(outbox, later_ms), later_ms, "boot-2")
    again.advance(later_ms + MINUTE_MS)
    last = batches(outbox)[-1]
    assert (last.counter, last.previous, last.boot) == (before.counter + 1, before.hash, "boot-2")
    assert {span.device: span.start_j for span in last.spans} == before.counters_j


def test_a_failing_meter_is_said_and_no_joule_is_lost_or_invented(outbox: Outbox) -> None:
    meter = meter_of(outbox)
    recorder = recorder_of(outbox, meter)
    observe(recorder, IDLE, IDLE, T0)
    recorder.advance(T0 + MINUTE_MS)
    meter.fails = True
    assert recorder.advance(T0 + 2 * MINUTE_MS) == ("the sensor does not answer",)
    assert observe(recorder, BUSY, IDLE, T0 + 2 * MINUTE_MS) == ("the sensor does not answer",)
    meter.fails = False
    # Boundaries that passed meanwhile are read late, and the lease counts from the first reading.
    assert recorder.advance(T0 + 3 * MINUTE_MS) == ()
    assert observe(recorder, BUSY, IDLE, T0 + 3 * MINUTE_MS) == ()
    recorder.advance(T0 + 4 * MINUTE_MS)
    leased = [(s.t0_ms - T0, s.t1_ms - T0) for b in batches(outbox) for s in b.spans if s.lease]
    assert leased == [(3 * MINUTE_MS, 4 * MINUTE_MS)]
    assert outbox.head().counters_j == meter.read(T0 + 4 * MINUTE_MS)


def test_a_refused_power_cap_is_a_remark(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = meter_of(outbox)
    recorder = recorder_of(outbox, meter)
    monkeypatch.setattr(meter, "set_state", lambda *_: "power limit not permitted")
    assert observe(recorder, BUSY, ASLEEP, T0 + 5) == ("power limit not permitted",)


def test_minutes_that_a_full_outbox_cannot_take_are_in_the_next_batch(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sunward.agent.outbox.BUSY_TIMEOUT_S", 0.01)
    outbox = Outbox(tmp_path / "outbox.db")
    recorder = recorder_of(outbox, meter_of(outbox))
    observe(recorder, BUSY, ASLEEP, T0 + 30_000)
    with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (problem,) = recorder.advance(T0 + MINUTE_MS)
        assert problem.endswith("outbox.db failed: database is locked")
        # The work goes on, with spans that end after the minute that could not be signed.
        observe(recorder, IDLE, ASLEEP, T0 + MINUTE_MS + 10_000)
        assert recorder.advance(T0 + 2 * MINUTE_MS) == (problem,)
        observe(recorder, BUSY, ASLEEP, T0 + 2 * MINUTE_MS + 10_000)
        with pytest.raises(SourceError, match="is locked"):
            outbox.acknowledge(1)
    assert recorder.advance(T0 + 4 * MINUTE_MS) == ()
    found = batches(outbox)
    assert [(one.t0_ms - T0, one.t1_ms - T0) for one in found] == [(0, 180_000), (180_000, 240_000)]
    spans = [span for one in found for span in one.spans if span.device == "gpu-0"]
    assert [span.t0_ms for span in spans[1:]] == [span.t1_ms for span in spans[:-1]]
    assert [span.start_j for span in spans[1:]] == [span.end_j for span in spans[:-1]]
