"""Shared nodes, any sequence: leases, idle and overhead are the counters, to the joule, by both authors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sunward.metering.chain import Fault, check_next, refused
from sunward.metering.seal import SiteFacts, seal
from sunward.metering.wire import HOST, METER, SPANS_PER_COUNTER_MAX, check_batch
from sunward.model.codec import digest
from sunward.model.datum import Quality
from sunward.model.events import ReadingsSealed
from sunward.model.reading import ReadingBatch, Span
from sunward.units import DAY_MS, PPM
from sunward.verification.energy import of_batch, unmetered_j
from sunward.verification.reading import faults as contradictions

START_MS = 1_686_528_000_000 + 59 * 60_000
"""One minute before a whole hour, so that spans often cross one."""
GPUS = ("gpu0", "gpu1", "gpu2", "gpu3")
NAMES = (*GPUS, HOST, METER)
FIGURES = ("gpu_j", "host_j", "overhead_j")
STATES = ("idle", "asleep", "waking", "off", "draining")


@dataclass(slots=True)
class Gauge:
    """One counter as it truly stands."""

    joules: int
    since_ms: int
    since_j: int
    lease: str = ""
    state: str = "idle"
    seen: bool = True


@dataclass(slots=True)
class Account:
    """What the signed spans say, summed by a third, plain hand."""

    counted: Counter[str] = field(default_factory=Counter)
    gap_ms: int = 0


class SharedNode(RuleBasedStateMachine):
    """A site of four GPUs whose leases, counters and batches come in any order."""

    @initialize(
        joules=st.lists(st.integers(0, 10**9), min_size=6, max_size=6),
        overhead_ppm=st.integers(PPM, 3 * PPM),
        metered=st.booleans(),
    )
    def begin(self, joules: list[int], overhead_ppm: int, metered: bool) -> None:  # noqa: FBT001  drawn
        self.now_ms = self.t0_ms = START_MS
        self.gauges = {name: Gauge(start, START_MS, start) for name, start in zip(NAMES, joules, strict=True)}
        self.gauges[METER].seen = metered
        self.facts = SiteFacts(overhead_ppm=overhead_ppm)
        self.boots = self.leases = 0
        self.closed: list[Span] = []
        self.tip: tuple[ReadingBatch | None, str] = (None, "")
        self.sealed: ReadingBatch | None = None
        self.waiting: list[tuple[str, ReadingBatch]] = []
        self.account = Account()
        self.results: list[ReadingsSealed] = []
        self.signed: list[ReadingBatch] = []
        self.unbroken = True
        """No counter ever left the batches, none was looked away from, and the meter was never low."""

    @rule(
        ms=st.one_of(st.integers(1, 200_000), st.integers(1, 5_000_000)),
        powers=st.lists(st.integers(0, 40_000), min_size=6, max_size=6),
        low=st.sampled_from((False, False, False, True)),
        still=st.booleans(),
    )
    def time_passes(self, ms: int, powers: list[int], low: bool, still: bool) -> None:  # noqa: FBT001  drawn
        """The site meter counts what the others do and more, now and then less: a clamp on the wrong phase."""
        powers = [0, 0, 0, 0, 0, powers[-1]] if still else powers
        if self.now_ms + ms - self.t0_ms > DAY_MS:
            return
        self.now_ms += ms
        spent = dict(zip(NAMES, powers, strict=True))
        self.unbroken &= not (low and self.gauges[METER].seen)
        it_j = sum(joules for name, joules in spent.items() if name != METER)
        spent[METER] = it_j // 2 if low else it_j + spent[METER]
        for name, joules in spent.items():
            self.gauges[name].joules += joules

    @rule(name=st.sampled_from(GPUS), lease=st.sampled_from(("", "j-a", "j-b", "j-c")), state=st.sampled_from(STATES))
    def work_changes(self, name: str, lease: str, state: str) -> None:
        """A lease starts, ends or moves to another device; a container sleeps or wakes."""
        self._cut(name)
        self.leases += 1
        gauge = self.gauges[name]
        gauge.lease, gauge.state = (f"{lease}.{self.leases}", "busy") if lease else ("", state)

    @rule(name=st.sampled_from(NAMES), share=st.integers(0, 100))
    def cut_anywhere(self, name: str, share: int) -> None:
        """A span ends at a moment of the past, with some value between; a sensor that samples in part does that."""
        gauge = self.gauges[name]
        at_ms = gauge.since_ms + (self.now_ms - gauge.since_ms) * share // 100
        at_j = gauge.since_j + (gauge.joules - gauge.since_j) * share // 100
        self._cut(name, at_ms, at_j)

    @rule(name=st.sampled_from(NAMES))
    def comes_or_goes(self, name: str) -> None:
        """A counter disappears from the batches, or is back; meanwhile it counts on."""
        gauge = self.gauges[name]
        self._cut(name)
        gauge.seen = not gauge.seen
        self.unbroken = False
        gauge.since_ms, gauge.since_j = self.now_ms, gauge.joules

    @rule(name=st.sampled_from(NAMES))
    def looks_away(self, name: str) -> None:
        """A hole within a batch: no span holds what the counter does now."""
        self.gauges[name].since_ms, self.gauges[name].since_j = self.now_ms, self.gauges[name].joules
        self.unbroken &= name != METER or not self.gauges[METER].seen

    @precondition(lambda self: self.now_ms > self.t0_ms)
    @rule()
    def sign(self) -> None:
        for name in NAMES:
            self._cut(name)
        previous, previous_hash = self.tip
        batch = ReadingBatch(
            site="s-1",
            boot=f"b-{self.boots}",
            counter=1 if previous is None else previous.counter + 1,
            t0_ms=self.t0_ms,
            t1_ms=self.now_ms,
            previous=previous_hash,
            uncertainty_ppm=0,
            quality=Quality.MEASURED,
            spans=tuple(sorted(self.closed, key=lambda span: (span.device, span.t0_ms))),
        )
        check_batch(batch)
        assert not list(contradictions(batch))
        found = check_next(previous, previous_hash, batch, seen=False, received_ms=self.now_ms)
        assert not refused(found)
        self._count(batch, previous, found)
        self.tip = (batch, digest(batch))
        self.waiting.append((self.tip[1], batch))
        self.signed.append(batch)
        self.closed, self.t0_ms = [], self.now_ms

    @rule(ms=st.integers(0, 4_000_000), joules=st.integers(0, 10**6), reset=st.booleans())
    def stops(self, ms: int, joules: int, reset: bool) -> None:  # noqa: FBT001  drawn
        """The agent dies with what it has not signed; its counters go on, or begin anew under another boot."""
        self.now_ms += ms
        it_j = (len(NAMES) - 1) * joules
        self.boots += reset
        for gauge in self.gauges.values():
            # The site meter sees what all others use.
            more = it_j if gauge is self.gauges[METER] else joules
            gauge.joules = more if reset else gauge.joules + more
            gauge.since_ms, gauge.since_j = self.now_ms, gauge.joules
        self.closed, self.t0_ms = [], self.now_ms

    @precondition(lambda self: self.waiting)
    @rule(order=st.randoms(use_true_random=False))
    def seal_all(self, order) -> None:
        order.shuffle(self.waiting)
        known = {} if self.sealed is None else {"s-1": self.sealed}
        self.results.append(seal("0", self.waiting, {"s-1": self.facts}, known))
        self.sealed, self.waiting = self.tip[0], []

    @invariant()
    def both_authors_add_up(self) -> None:
        if not getattr(self, "results", None) or self.waiting:
            return
        assert sum(seal.sites[0].gap_ms for seal in self.results) == self.account.gap_ms
        for result in self.results:
            for name in FIGURES:
                assert min(getattr(result.leases, name), default=0) >= 0
        for name in FIGURES:
            assert self._metered(name) == self.account.counted[name]
        if self.unbroken:
            unmetered = sum(seal.sites[0].unmetered_j for seal in self.results)
            assert sum(map(self._metered, FIGURES)) + unmetered == self._truth()

    def teardown(self) -> None:
        if not getattr(self, "signed", None):
            return
        self._signed_again()

    def _signed_again(self) -> None:
        """The verifier's own sums, batch by batch, are those of the seals, lease by lease and hour by hour."""
        if self.waiting:
            self.results.append(
                seal("0", self.waiting, {"s-1": self.facts}, {} if self.sealed is None else {"s-1": self.sealed})
            )
        theirs: Counter[tuple[str, str, int]] = Counter()
        for result in self.results:
            columns = result.leases
            for name in (*FIGURES, "gpu_ms"):
                for lease, hour_ms, amount in zip(columns.lease, columns.hour_ms, getattr(columns, name), strict=True):
                    theirs[name, lease, hour_ms] += amount
        mine: Counter[tuple[str, str, int]] = Counter()
        idle: Counter[str] = Counter()
        before = None
        for batch in self.signed:
            parts = of_batch(batch, self.facts.overhead_ppm)
            for name in (*FIGURES, "gpu_ms"):
                for (lease, hour_ms), amount in getattr(parts, name).items():
                    if lease:
                        mine[name, lease, hour_ms] += amount
                    else:
                        idle[name] += amount
            idle["unmetered_j"] += unmetered_j(before, batch, self.facts.overhead_ppm)
            before = batch
        assert +mine == +theirs
        for name in FIGURES:
            assert idle[name] == sum(getattr(result.sites[0], f"idle_{name}") for result in self.results)
        assert idle["unmetered_j"] == sum(result.sites[0].unmetered_j for result in self.results)

    def _cut(self, name: str, at_ms: int | None = None, at_j: int | None = None) -> None:
        gauge = self.gauges[name]
        end_ms, end_j = (self.now_ms, gauge.joules) if at_ms is None or at_j is None else (at_ms, at_j)
        many = sum(span.device == name for span in self.closed) >= SPANS_PER_COUNTER_MAX - 2
        if not gauge.seen or end_ms <= gauge.since_ms or (many and at_ms is not None):
            return
        self.closed.append(
            Span(
                device=name,
                lease=gauge.lease,
                state=gauge.state,
                t0_ms=gauge.since_ms,
                t1_ms=end_ms,
                start_j=gauge.since_j,
                end_j=end_j,
            )
        )
        gauge.since_ms, gauge.since_j = end_ms, end_j

    def _metered(self, name: str) -> int:
        return sum(
            sum(getattr(result.leases, name)) + getattr(result.sites[0], f"idle_{name}") for result in self.results
        )

    def _count(self, batch: ReadingBatch, previous: ReadingBatch | None, found: tuple[Fault, ...]) -> None:
        """A plain sum of spans; what is not in any span is unmetered."""
        counted: Counter[str] = Counter()
        for span in batch.spans:
            counted[span.device] += span.end_j - span.start_j
        gpu_j, host_j = sum(counted[name] for name in GPUS), counted[HOST]
        covered_ms = sum(span.t1_ms - span.t0_ms for span in batch.spans if span.device == METER)
        if covered_ms == batch.t1_ms - batch.t0_ms:
            overhead_j = max(0, counted[METER] - gpu_j - host_j)
        else:
            overhead_j = sum(self._ratio(span) for span in batch.spans if span.device != METER)
        self.account.counted.update({"gpu_j": gpu_j, "host_j": host_j, "overhead_j": overhead_j})
        same_boot = previous is not None and previous.boot == batch.boot
        assert (Fault.UNMETERED in found) == any(self._steps(batch, previous if same_boot else None))
        left = {span.device for span in previous.spans} - set(counted) if previous and same_boot else set()
        assert (Fault.MISSING in found) == bool(left)
        self.unbroken &= not left
        assert (Fault.RESET in found) == (previous is not None and not same_boot)
        self.account.gap_ms += batch.t0_ms - previous.t1_ms if previous else 0

    def _ratio(self, span: Span) -> int:
        extra = self.facts.overhead_ppm - PPM
        return span.end_j * extra // PPM - span.start_j * extra // PPM

    def _truth(self) -> int:
        """What the site meter counted from the first span to the last of each boot; without one, the ratio of IT."""
        total = 0
        for boot in {batch.boot for batch in self.signed}:
            spans = [span for batch in self.signed if batch.boot == boot for span in batch.spans]
            names = {span.device for span in spans}
            for name in {METER} & names or names:
                mine = [span for span in spans if span.device == name]
                low, high = mine[0].start_j, mine[-1].end_j
                extra = 0 if name == METER else self.facts.overhead_ppm - PPM
                total += high - low + high * extra // PPM - low * extra // PPM
        return total

    def _steps(self, batch: ReadingBatch, previous: ReadingBatch | None) -> list[int]:
        """Joules from the end of each span to the start of the next one of its counter."""
        steps = []
        for name in NAMES:
            spans = [span for one in (previous, batch) if one for span in one.spans if span.device == name]
            follows = previous is not None and any(span.device == name for span in previous.spans)
            last = [span for span in previous.spans if span.device == name][-1:] if follows else []
            mine = last + [span for span in spans if span in batch.spans]
            steps += [after.start_j - before.end_j for before, after in pairwise(mine)]
        return steps


SharedNode.TestCase.settings = settings(
    deadline=None, max_examples=25, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
test_any_sequence = SharedNode.TestCase
