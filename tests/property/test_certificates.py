"""No Wh is ever used twice: the registry against a list of single certificates, whatever is asked in whatever order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sunward.errors import InputError
from sunward.model.granular import CertificateState, bundle_hash
from sunward.model.identity import TenantId
from sunward.settlement.certificates import KEPT_MS, LIFETIME_MS, Issue, Registry, check_hours
from sunward.units import HOUR_MS

OWNERS = st.sampled_from([TenantId("a"), TenantId("b")])
DEVICES = st.sampled_from(["sun", "wind"])
MARKETS = {"sun": "ES", "wind": "NO-NO1"}
FOR = st.sampled_from(["site:s", "tenant:t", "job:j"])
HOURS = st.integers(0, 3)


@dataclass
class Wh:
    """One certificate, by itself."""

    device: str
    start_ms: int
    hourly: bool
    owner: str
    state: str = "active"
    beneficiary: str = ""
    forgotten: bool = False
    """Ended so long ago that the registry only counts it."""


class Book(RuleBasedStateMachine):
    """Steps of the registry, each also taken certificate by certificate."""

    @initialize()
    def begin(self) -> None:
        self.registry = Registry()
        self.model: list[Wh] = []
        self.hour = 0
        self.claimed: set[int] = set()
        self.parents: dict[str, tuple[int, int]] = {}

    def _at(self, number: int) -> Wh:
        return self.model[number - 1]

    def _bundle(self, pick: int):
        names = sorted(self.registry.bundles, key=lambda name: self.registry.bundles[name].first)
        return self.registry.bundles[names[pick % len(names)]] if names else None

    @rule(owner=OWNERS, device=DEVICES, wh=st.integers(1, 12), exported=st.integers(0, 12), month=st.booleans())
    def issue(self, owner, device, wh, exported, month) -> None:
        exported = min(exported, wh)
        start_ms = self.hour % 4 * HOUR_MS
        self.hour += 1
        end_ms = start_ms + HOUR_MS * (720 if month else 1)
        one = Issue(
            device=device,
            source=device,
            market=MARKETS[device],
            mg_per_kwh=48_000,
            start_ms=start_ms,
            end_ms=end_ms,
            wh=wh,
            exported_wh=exported,
        )
        self.registry.issue(owner, [one])
        self.model += [Wh(device, start_ms, not month, owner) for _ in range(wh - exported)]
        self.model += [Wh(device, start_ms, not month, owner, "exported") for _ in range(exported)]

    def _take(self, pick, wh, owner):
        """Ask for the front of a bundle, as anybody may; says what was granted."""
        one = self._bundle(pick)
        if one is None:
            return None
        last = min(one.first + wh - 1, one.last)
        try:
            self.registry.check_taken(owner, [one.bundle], [last])
        except InputError:
            assert self._at(one.first).owner != owner or self._at(one.first).state != "active"
            return None
        return one, last

    @rule(pick=st.integers(0, 99), wh=st.integers(1, 15), owner=OWNERS, to=OWNERS)
    def move(self, pick, wh, owner, to) -> None:
        taken = self._take(pick, wh, owner)
        if taken:
            one, last = taken
            self.registry.move([one.bundle], [last], to)
            for number in range(one.first, last + 1):
                assert (self._at(number).state, self._at(number).owner) == ("active", owner)
                self._at(number).owner = to

    @rule(pick=st.integers(0, 99), wh=st.integers(1, 15), owner=OWNERS, beneficiary=FOR)
    def cancel(self, pick, wh, owner, beneficiary) -> None:
        taken = self._take(pick, wh, owner)
        if taken:
            one, last = taken
            self.registry.cancel([one.bundle], [last], beneficiary)
            for number in range(one.first, last + 1):
                assert self._at(number).state == "active"
                self._at(number).state, self._at(number).beneficiary = "cancelled", beneficiary
            with pytest.raises(InputError):
                self.registry.check_taken(owner, [one.bundle], [last])

    @rule(order=st.lists(FOR, min_size=1, max_size=3, unique=True), hour=HOURS, device=DEVICES, wh=st.integers(0, 25))
    def claim(self, order, hour, device, wh) -> None:
        free = [
            number
            for who in order
            for number, one in enumerate(self.model, start=1)
            if not one.forgotten
            and (one.state, one.beneficiary, one.start_ms, one.device, one.hourly)
            == ("cancelled", who, hour * HOUR_MS, device, True)
        ]
        claims = self.registry.claim(order, hour * HOUR_MS, MARKETS[device], wh)
        ids = [number for one in claims for number in range(one.first, one.last + 1)]
        assert ids == free[:wh]
        assert self.claimed.isdisjoint(ids)
        self.claimed.update(ids)
        for number in ids:
            self._at(number).state = "claimed"

    @rule(device=DEVICES, hour=HOURS)
    def withdraw(self, device, hour) -> None:
        self.registry.withdraw(device, hour * HOUR_MS, (hour + 1) * HOUR_MS)
        for one in self.model:
            inside = one.start_ms <= hour * HOUR_MS if not one.hourly else one.start_ms == hour * HOUR_MS
            if one.device == device and inside and one.state in ("active", "cancelled") and not one.forgotten:
                one.state = "withdrawn"

    @rule(late=st.integers(0, 60))
    def expire(self, late) -> None:
        # Rarely late enough, so that most histories go on with live certificates.
        if late < 58:
            return
        at_ms = LIFETIME_MS + 5 * HOUR_MS + (KEPT_MS if late == 60 else 0)
        self.registry.expire(at_ms)
        for one in self.model:
            if one.state == "active" and (one.hourly or late == 60):
                one.state = "expired"
            elif one.hourly and late == 60:
                one.forgotten = True

    @invariant()
    def every_wh_is_in_one_state(self) -> None:
        found = dict.fromkeys((state.value for state in CertificateState), 0)
        for one in self.model:
            found[one.state] += 1
        assert self.registry.totals() == found
        self.registry.balance()
        ranges = sorted((one.first, one.last) for one in self.registry.bundles.values())
        assert all(before[1] < after[0] for before, after in pairwise(ranges))

    @invariant()
    def every_bundle_says_what_its_certificates_say(self) -> None:
        for name, one in self.registry.bundles.items():
            assert name == one.bundle == bundle_hash(one.parent, one.first, one.last)
            for number in range(one.first, one.last + 1):
                wh = self._at(number)
                state = "claimed" if number < one.first + one.claimed_wh else one.state
                assert (wh.state, wh.owner, wh.beneficiary) == (state, one.owner, one.beneficiary), number


TestBook = Book.TestCase
TestBook.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
"""3,000 steps."""


def test_children_partition_their_parent_and_name_it() -> None:
    registry = Registry()
    one = Issue(device="d", source="sun", market="ES", mg_per_kwh=1, start_ms=0, end_ms=HOUR_MS, wh=10)
    registry.issue(TenantId("a"), [one])
    (parent,) = registry.bundles.values()
    registry.move([parent.bundle], [4], TenantId("b"))
    front, rest = sorted(registry.bundles.values(), key=lambda child: child.first)
    assert (front.first, front.last, rest.first, rest.last) == (1, 4, 5, 10)
    assert front.parent == rest.parent == parent.bundle
    assert (front.owner, rest.owner) == ("b", "a")


def test_serials_are_imported_once() -> None:
    registry = Registry()
    for first, last in ((10, 19), (30, 39), (20, 29)):
        assert not registry.is_imported("x", first, last)
        registry.note_import("x", first, last)
    for first, last in ((1, 10), (15, 15), (39, 50), (1, 99), (29, 30)):
        assert registry.is_imported("x", first, last)
    assert not registry.is_imported("x", 1, 9)
    assert not registry.is_imported("x", 40, 40)
    assert not registry.is_imported("y", 10, 10)


@pytest.mark.parametrize(
    ("starts", "after_ms"),
    [((1,), 0), ((0, 0), 0), ((HOUR_MS, 0), 0), ((0,), HOUR_MS), ((2 * HOUR_MS,), 0)],
)
def test_hours_are_whole_new_in_order_and_over(starts: tuple[int, ...], after_ms: int) -> None:
    with pytest.raises(InputError):
        check_hours(starts, after_ms, 2 * HOUR_MS)
    check_hours((0, HOUR_MS), 0, 2 * HOUR_MS)
