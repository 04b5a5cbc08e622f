"""The registry of granular certificates: who owns which Wh, and what became of it. Integers only.

An id is given out once and a bundle is replaced by its children, so no Wh can be in two places. docs/certificates.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sunward.errors import ConflictError, InputError, InvariantError, NotFoundError
from sunward.model.granular import CertificateBundle, CertificateState, Claim, bundle_hash, is_hour, issue_hash
from sunward.model.identity import TenantId
from sunward.settlement.serials import Ranges, is_used, use
from sunward.units import DAY_MS, HOUR_MS

LIFETIME_MS = 365 * DAY_MS
"""From the end of its period until a certificate that nobody cancelled expires."""
KEPT_MS = LIFETIME_MS
"""How much longer the registry remembers what ended; the journal always does."""
ID_MAX = 2**53 - 1
STALE = "SW-763"

ACTIVE, CANCELLED, CLAIMED = CertificateState.ACTIVE, CertificateState.CANCELLED, CertificateState.CLAIMED
EXPORTED, EXPIRED, WITHDRAWN = CertificateState.EXPORTED, CertificateState.EXPIRED, CertificateState.WITHDRAWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What the certificates of one device and period say."""

    device: str
    source: str
    market: str
    mg_per_kwh: int
    start_ms: int
    end_ms: int
    wh: int
    exported_wh: int = 0
    """Of these, how many left with a certificate of another registry."""


@dataclass(slots=True)
class Registry:
    """Changed in place by one writer."""

    next_id: int = 1
    bundles: dict[str, CertificateBundle] = field(default_factory=dict)
    issued_to: dict[str, int] = field(default_factory=dict)
    """End of the last hour issued, by device: an hour is issued once."""
    serials: Ranges = field(default_factory=dict)
    """Ranges of other registries' serials that were imported, by registry and prefix, in order and apart."""
    gone_wh: Counter[str] = field(default_factory=Counter)
    """Wh by state of what is no longer remembered."""
    waiting: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    """Cancelled hourly bundles that may still be claimed: (beneficiary, hour, market) → bundles in order of ids."""

    @classmethod
    def restored(
        cls,
        *,
        next_id: int,
        bundles: Iterable[CertificateBundle],
        issued_to: Mapping[str, int],
        serials: Mapping[str, list[list[int]]],
        gone_wh: Mapping[str, int],
    ) -> Registry:
        """The registry that held this."""
        found = cls(next_id=next_id, issued_to=dict(issued_to), serials=dict(serials), gone_wh=Counter(dict(gone_wh)))
        for one in bundles:
            found._add(one)
        return found

    def issue(self, owner: TenantId, issues: Sequence[Issue]) -> None:
        """Give out new certificates."""
        for one in issues:
            first, last = self.next_id, self.next_id + one.wh - 1
            self.next_id = last + 1
            parent = issue_hash(
                device=one.device,
                source=one.source,
                market=one.market,
                mg_per_kwh=one.mg_per_kwh,
                start_ms=one.start_ms,
                end_ms=one.end_ms,
                first=first,
                last=last,
            )
            kept_last = last - one.exported_wh
            for start, end, state in ((first, kept_last, ACTIVE), (kept_last + 1, last, EXPORTED)):
                if start <= end:
                    self._add(_bundle(one, owner, parent, (start, end), state))

    def check_room(self, wh: int) -> None:
        """Refuse to run out of ids. Raises: InputError."""
        if self.next_id + wh - 1 > ID_MAX:
            raise InputError("the registry has no more ids", code="SW-761")

    def check_taken(self, owner: str, bundles: Sequence[str], lasts: Sequence[int]) -> None:
        """Refuse to take what is not there, not the owner's, or no longer as it was read.

        Raises: InputError, NotFoundError, ConflictError.
        """
        if not bundles or len(bundles) != len(lasts) or len(set(bundles)) < len(bundles):
            raise InputError("name each bundle once, with the last id taken of it", code="SW-761")
        for name, last in zip(bundles, lasts, strict=True):
            one = self.bundles.get(name)
            if one is None or one.owner != owner:
                raise NotFoundError(f"no bundle {name} of {owner}; list them again", code=STALE)
            if one.state is not ACTIVE:
                raise ConflictError(f"bundle {name} is {one.state}; only active ones can be used", code=STALE)
            if not one.first <= last <= one.last:
                raise InputError(f"bundle {name} holds {one.first} to {one.last}, not {last}", code="SW-761")

    def move(self, bundles: Sequence[str], lasts: Sequence[int], to: TenantId) -> None:
        """Give certificates to another owner."""
        for name, last in zip(bundles, lasts, strict=True):
            self._add(replace(self._take(name, last), owner=to))

    def cancel(self, bundles: Sequence[str], lasts: Sequence[int], beneficiary: str) -> None:
        """Set certificates aside for one beneficiary, for good."""
        for name, last in zip(bundles, lasts, strict=True):
            self._add(replace(self._take(name, last), state=CANCELLED, beneficiary=beneficiary))

    def withdraw(self, device: str, start_ms: int, end_ms: int) -> int:
        """Take back a device's certificates of a span of time as far as nothing final counts them.

        Returns how many are claimed already and stay so.
        """
        claimed_wh = 0
        for one in self._of_device(device, start_ms, end_ms):
            claimed_wh += one.claimed_wh
            if one.claimed_wh == one.wh:
                continue
            del self.bundles[one.bundle]
            self._forget_waiting(one)
            split = one.first + one.claimed_wh
            rest = _child(one, split, one.last) if one.claimed_wh else one
            if one.claimed_wh:
                self._add(_child(one, one.first, split - 1))
            self._add(replace(rest, claimed_wh=0, state=WITHDRAWN))
        return claimed_wh

    def expire(self, at_ms: int) -> None:
        """End what nobody cancelled in time, and let go of what ended long ago."""
        for one in list(self.bundles.values()):
            if one.state is ACTIVE and one.end_ms + LIFETIME_MS <= at_ms:
                self.bundles[one.bundle] = replace(one, state=EXPIRED)
            elif one.state is not ACTIVE and one.end_ms + LIFETIME_MS + KEPT_MS <= at_ms:
                del self.bundles[one.bundle]
                self._forget_waiting(one)
                self.gone_wh[CLAIMED] += one.claimed_wh
                self.gone_wh[one.state] += one.wh - one.claimed_wh

    def unclaimed_wh(self, beneficiary: str, hour_ms: int, market: str) -> int:
        """How much is cancelled for somebody in an hour and market, and not claimed yet."""
        names = self.waiting.get((beneficiary, hour_ms, market), ())
        return sum(self.bundles[name].wh - self.bundles[name].claimed_wh for name in names)

    def claim(self, beneficiaries: Iterable[str], hour_ms: int, market: str, wh: int) -> tuple[Claim, ...]:
        """Count certificates in a final account: at most so many Wh, in the order of beneficiaries and ids."""
        claims = []
        for beneficiary in beneficiaries:
            key = (beneficiary, hour_ms, market)
            while wh > 0 and self.waiting.get(key):
                one = self.bundles[self.waiting[key][0]]
                taken = min(wh, one.wh - one.claimed_wh)
                first = one.first + one.claimed_wh
                claims.append(Claim(first=first, last=first + taken - 1, source=one.source, mg_per_kwh=one.mg_per_kwh))
                wh -= taken
                self.bundles[one.bundle] = replace(one, claimed_wh=one.claimed_wh + taken)
                if one.claimed_wh + taken == one.wh:
                    self._forget_waiting(one)
        return tuple(claims)

    def totals(self) -> dict[str, int]:
        """Wh by state; their sum is what was ever issued."""
        found: Counter[str] = Counter(self.gone_wh)
        for one in self.bundles.values():
            found[CLAIMED] += one.claimed_wh
            found[one.state] += one.wh - one.claimed_wh
        return {state.value: found[state] for state in CertificateState}

    def balance(self) -> None:
        """Raises: InvariantError unless every Wh issued is in one state."""
        if sum(self.totals().values()) != self.next_id - 1:
            raise InvariantError(f"of {self.next_id - 1} certificates {sum(self.totals().values())} are accounted for")

    def is_imported(self, key: str, first: int, last: int) -> bool:
        """Whether any serial of a range was imported before."""
        return is_used(self.serials, key, first, last)

    def note_import(self, key: str, first: int, last: int) -> None:
        """Remember serials, so that they are never imported again."""
        use(self.serials, key, first, last)

    def _take(self, name: str, last: int) -> CertificateBundle:
        """Take the front of a bundle out; what is left of it stays."""
        one = self.bundles.pop(name)
        if last == one.last:
            return one
        self._add(_child(one, last + 1, one.last))
        return _child(one, one.first, last)

    def _add(self, one: CertificateBundle) -> None:
        self.bundles[one.bundle] = one
        if one.state is CANCELLED and one.hourly and one.claimed_wh < one.wh:
            names = self.waiting.setdefault((one.beneficiary, one.start_ms, one.market), [])
            names.append(one.bundle)
            names.sort(key=lambda name: self.bundles[name].first)

    def _forget_waiting(self, one: CertificateBundle) -> None:
        key = (one.beneficiary, one.start_ms, one.market)
        names = self.waiting.get(key, [])
        if one.bundle in names:
            names.remove(one.bundle)
        if not names:
            self.waiting.pop(key, None)

    def _of_device(self, device: str, start_ms: int, end_ms: int) -> list[CertificateBundle]:
        """Bundles of a device that overlap a span and can still be taken back, or are claimed."""
        return [
            one
            for one in self.bundles.values()
            if one.device == device
            and one.start_ms < end_ms
            and start_ms < one.end_ms
            and one.state in (ACTIVE, CANCELLED)
        ]


def _bundle(
    issue: Issue, owner: TenantId, parent: str, ids: tuple[int, int], state: CertificateState
) -> CertificateBundle:
    first, last = ids
    return CertificateBundle(
        bundle=bundle_hash(parent, first, last),
        parent=parent,
        device=issue.device,
        source=issue.source,
        market=issue.market,
        mg_per_kwh=issue.mg_per_kwh,
        start_ms=issue.start_ms,
        end_ms=issue.end_ms,
        first=first,
        last=last,
        owner=owner,
        state=state,
    )


def _child(parent: CertificateBundle, first: int, last: int) -> CertificateBundle:
    name = bundle_hash(parent.bundle, first, last)
    return replace(parent, bundle=name, parent=parent.bundle, first=first, last=last)


def check_hours(starts_ms: Sequence[int], after_ms: int, now_ms: int) -> None:
    """Refuse hours that are not whole, not in order, issued before, or not over. Raises: InputError, ConflictError."""
    before = after_ms
    for start_ms in starts_ms:
        end_ms = start_ms + HOUR_MS
        if not is_hour(start_ms, end_ms):
            raise InputError(f"{start_ms} is not the start of an hour", code="SW-761")
        if start_ms < before:
            raise ConflictError("an hour was issued before, or the hours are not in order", code="SW-762")
        if end_ms > now_ms:
            raise InputError("an hour is not over yet; send it later", code="SW-761")
        before = end_ms
