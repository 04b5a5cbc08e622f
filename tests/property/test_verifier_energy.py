"""Two authors, one specification: whatever batch is signed, verifier and metering split it alike."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sunward.metering.seal import SiteFacts, batch_energy
from sunward.model.datum import Quality
from sunward.model.hardware import PowerState
from sunward.model.reading import ReadingBatch, Span
from sunward.verification.energy import of_batch
from sunward.verification.exact import apportion, nearest

HOUR = 3_600_000


@st.composite
def spans_of(draw, device, lease):
    cuts = sorted(draw(st.sets(st.integers(0, 3 * HOUR), min_size=2, max_size=5)))
    start_j = draw(st.integers(0, 10**9))
    spans = []
    for t0_ms, t1_ms in pairwise(cuts):
        end_j = start_j + draw(st.integers(0, 10**6))
        state = str(draw(st.sampled_from(PowerState)))
        held = draw(lease)
        spans.append(
            Span(device=device, lease=held, state=state, t0_ms=t0_ms, t1_ms=t1_ms, start_j=start_j, end_j=end_j)
        )
        start_j = end_j
    return spans


@st.composite
def batches(draw):
    leases = st.sampled_from(["", "j-1.1", "j-2.1"])
    spans = [span for device in ("g0", "g1", "g2") for span in draw(spans_of(device, leases))]
    spans += draw(st.one_of(st.just([]), spans_of("host", st.just(""))))
    if draw(st.booleans()):
        joules = draw(st.integers(0, 10**8))
        whole = {"device": "meter", "lease": "", "state": "busy", "t0_ms": 0, "t1_ms": 3 * HOUR}
        spans.append(Span(**whole, start_j=0, end_j=joules))
    return ReadingBatch(
        site="s",
        boot="b",
        counter=1,
        t0_ms=0,
        t1_ms=3 * HOUR,
        previous="",
        uncertainty_ppm=0,
        quality=Quality.MODELLED,
        spans=tuple(spans),
    )


@given(batches(), st.integers(1_000_000, 3_000_000))
def test_verifier_and_metering_agree_on_every_part(batch, overhead_ppm):
    mine = of_batch(batch, overhead_ppm)
    theirs, _ = batch_energy(batch, SiteFacts(overhead_ppm=overhead_ppm))
    for name in ("gpu_j", "host_j", "overhead_j", "gpu_ms"):
        found = {part: amount for part, amount in getattr(mine, name).items() if amount}
        assert found == {part: amount for part, amount in getattr(theirs, name).items() if amount}


def test_what_a_meter_counts_while_no_equipment_does_is_nobodys():
    still = {"lease": "", "state": "idle", "t0_ms": 0, "t1_ms": 1_000, "start_j": 0}
    spans = (Span(device="g0", end_j=0, **still), Span(device="meter", end_j=50, **still))
    batch = ReadingBatch(
        site="s",
        boot="b",
        counter=1,
        t0_ms=0,
        t1_ms=1_000,
        previous="",
        uncertainty_ppm=0,
        quality=Quality.MEASURED,
        spans=spans,
    )
    assert of_batch(batch, 1_000_000).overhead_j == {("", 0): 50}
    assert batch_energy(batch, SiteFacts(overhead_ppm=1_000_000))[0].overhead_j == {("", 0): 50}


def test_halves_round_up():
    assert [nearest(Fraction(value, 2)) for value in (-3, -1, 0, 1, 3)] == [-1, 0, 0, 1, 2]


def test_shares_go_by_largest_remainder():
    assert apportion(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert apportion(7, {"a": 1, "b": 5}) == {"a": 1, "b": 6}
    assert apportion(0, {"a": 1}) == {"a": 0}
