"""Energy is neither made nor lost, wherever spans and batches are cut and however they arrive."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sunward.metering.seal import SiteFacts, seal
from sunward.metering.split import largest_remainder
from sunward.metering.wire import HOST, METER, check_batch
from sunward.model.codec import digest
from sunward.model.datum import Quality
from sunward.model.events import ReadingsSealed
from sunward.model.reading import ReadingBatch, Span

START = 1_686_528_000_000 + 59 * 60_000
"""One minute before a whole hour, so that spans often cross it."""
LENGTH = 180_000
STATES = ("idle", "busy", "asleep", "waking", "off")
STEADY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""A loaded machine is no failure."""
LEASES = ("", "j-a.1", "j-b.1", "j-b.2")


@st.composite
def counters(draw: st.DrawFn, device: str) -> list[Span]:
    """Spans of one counter over the whole window, without holes."""
    cuts = sorted(draw(st.sets(st.integers(1, LENGTH - 1), max_size=4)))
    edges = [START, *(START + cut for cut in cuts), START + LENGTH]
    joules = draw(st.integers(0, 10**9))
    spans = []
    for t0_ms, t1_ms in pairwise(edges):
        end_j = joules + draw(st.integers(0, 50_000))
        lease = "" if device in (HOST, METER) else draw(st.sampled_from(LEASES))
        state = "busy" if lease else draw(st.sampled_from(STATES))
        spans.append(
            Span(device=device, lease=lease, state=state, t0_ms=t0_ms, t1_ms=t1_ms, start_j=joules, end_j=end_j)
        )
        joules = end_j
    return spans


@st.composite
def windows(draw: st.DrawFn, site: str = "s-1", *, metered: bool | None = None) -> ReadingBatch:
    """One batch of several devices and a host; the site meter, if any, counts at least what they do."""
    spans = [span for name in ("gpu0", "gpu1", "gpu2", HOST) for span in draw(counters(name))]
    if draw(st.booleans()) if metered is None else metered:
        it_j = sum(span.end_j - span.start_j for span in spans)
        start_j = draw(st.integers(0, 10**9))
        end_j = start_j + it_j + draw(st.integers(0, 10**6))
        spans.append(
            Span(
                device=METER,
                lease="",
                state="busy",
                t0_ms=START,
                t1_ms=START + LENGTH,
                start_j=start_j,
                end_j=end_j,
            )
        )
    return ReadingBatch(
        site=site,
        boot="b-1",
        counter=1,
        t0_ms=START,
        t1_ms=START + LENGTH,
        previous="",
        uncertainty_ppm=0,
        quality=Quality.MODELLED,
        spans=tuple(spans),
    )


def cut_span(span: Span, at_ms: int, share: int) -> list[Span]:
    """A span in two at a moment inside it, with some counter value between the ends."""
    if not span.t0_ms < at_ms < span.t1_ms:
        return [span]
    at_j = span.start_j + (span.end_j - span.start_j) * share // 100
    return [replace(span, t1_ms=at_ms, end_j=at_j), replace(span, t0_ms=at_ms, start_j=at_j)]


def cut_batch(batch: ReadingBatch, at_ms: int, share: int) -> list[ReadingBatch]:
    """A batch in two; spans over the cut are cut with it."""
    spans = [piece for span in batch.spans for piece in cut_span(span, at_ms, share)]
    first = replace(batch, t1_ms=at_ms, spans=tuple(span for span in spans if span.t1_ms <= at_ms))
    second = replace(batch, counter=2, t0_ms=at_ms, previous="ab" * 32)
    return [first, replace(second, spans=tuple(span for span in spans if span.t0_ms >= at_ms))]


def sealed(batches: list[ReadingBatch], overhead_ppm: int = 1_237_501) -> ReadingsSealed:
    for batch in batches:
        check_batch(batch)
    facts = {batch.site: SiteFacts(overhead_ppm=overhead_ppm) for batch in batches}
    hashed = [(digest(batch), batch) for batch in batches]
    return seal("shard-0", hashed, facts, {})


def counted(batch: ReadingBatch, devices: set[str]) -> int:
    return sum(span.end_j - span.start_j for span in batch.spans if span.device in devices)


def total(result: ReadingsSealed, name: str) -> int:
    return sum(getattr(result.leases, name)) + sum(getattr(site, f"idle_{name}") for site in result.sites)


def by_lease(result: ReadingsSealed, name: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for lease, amount in zip(result.leases.lease, getattr(result.leases, name), strict=True):
        found[lease] += amount
    return found


def assert_same_totals(before: ReadingsSealed, after: ReadingsSealed) -> None:
    for name in ("gpu_j", "host_j", "overhead_j"):
        assert total(after, name) == total(before, name)
    for name in ("gpu_j", "gpu_ms"):
        assert by_lease(after, name) == by_lease(before, name)


@STEADY
@given(windows())
def test_the_parts_add_up_to_the_counters(batch: ReadingBatch) -> None:
    result = sealed([batch])
    assert total(result, "gpu_j") == counted(batch, {"gpu0", "gpu1", "gpu2"})
    assert total(result, "host_j") == counted(batch, {HOST})
    if any(span.device == METER for span in batch.spans):
        everything = total(result, "gpu_j") + total(result, "host_j") + total(result, "overhead_j")
        assert everything == counted(batch, {METER})
    assert min((*result.leases.host_j, *result.leases.overhead_j, 0)) == 0


@STEADY
@given(windows(metered=False), st.integers(1, LENGTH - 1), st.integers(0, 100))
def test_cutting_batches_anywhere_changes_no_total(batch: ReadingBatch, cut: int, share: int) -> None:
    assert_same_totals(sealed([batch]), sealed(cut_batch(batch, START + cut, share)))


@STEADY
@given(windows(metered=False), st.integers(1, LENGTH - 1), st.integers(0, 100))
def test_cutting_spans_anywhere_changes_no_total(batch: ReadingBatch, cut: int, share: int) -> None:
    spans = tuple(piece for span in batch.spans for piece in cut_span(span, START + cut, share))
    assert_same_totals(sealed([batch]), sealed([replace(batch, spans=spans)]))


@STEADY
@given(windows(metered=True), st.integers(1, LENGTH - 1), st.integers(0, 100))
def test_cutting_a_metered_batch_keeps_the_meter(batch: ReadingBatch, cut: int, share: int) -> None:
    result = sealed(cut_batch(batch, START + cut, share))
    everything = total(result, "gpu_j") + total(result, "host_j") + total(result, "overhead_j")
    if result.sites[0].faults:
        # One half of the meter now counts less than its equipment: named, and nothing the devices counted is lost.
        assert result.sites[0].faults == ("meter_low",)
        assert everything > counted(batch, {METER})
    else:
        assert everything == counted(batch, {METER})


@STEADY
@given(windows("s-1"), windows("s-2"), windows("s-3"), st.randoms(use_true_random=False))
def test_the_order_in_which_sites_arrive_changes_nothing(
    one: ReadingBatch, two: ReadingBatch, three: ReadingBatch, random: object
) -> None:
    batches = [*cut_batch(one, START + 60_000, 50), *cut_batch(two, START + 60_000, 50), three]
    expected = sealed(batches)
    random.shuffle(batches)  # type: ignore[attr-defined]
    assert sealed(batches) == expected


@STEADY
@given(windows("s-1"), windows("s-2"))
def test_one_site_never_changes_another(one: ReadingBatch, two: ReadingBatch) -> None:
    both = sealed([one, two])
    assert both.sites == (*sealed([one]).sites, *sealed([two]).sites)


@STEADY
@given(
    st.integers(0, 10**15),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any),
)
def test_a_split_is_exact_and_within_one_of_the_true_share(amount: int, weights: list[int]) -> None:
    shares = largest_remainder(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - amount * weight) < sum(weights)
