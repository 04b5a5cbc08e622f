"""Ingest of readings: check, store durably, then acknowledge; seal what is stored."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from sunward.adapters.clock import SystemClock
from sunward.adapters.sql import SqlStore
from sunward.engine.inputs import seal_event, sealed_ranges
from sunward.engine.state import State
from sunward.errors import ConflictError, InputError, InvariantError
from sunward.metering.chain import ACCEPTED, Fault, check_next, expected_counter, refusal, refused
from sunward.metering.seal import Hashed
from sunward.metering.wire import batch_hash, decode_of_site
from sunward.model.events import ReadingsRefused, ReadingsSealed
from sunward.model.identity import SiteId
from sunward.model.reading import ReadingBatch
from sunward.model.site import SiteSpec
from sunward.model.wire import ReadingsHead
from sunward.service.endorsing import STOLEN

log = logging.getLogger("sunward.ingest")

SHARD = "0"
UNCHECKED_MAX = 500_000
"""Most sealed batches that wait for their check against physical bounds."""
RESTORE_LIMIT = 1_000_000
"""Most unsealed batches taken back into memory at a start."""


REFUSED_MAX = 1_000
"""Different messages of one fault that are counted between two seals."""
FOREIGN_LEASE, BAD_SIGNATURE, STOLEN_KEY = "SW-785", "SW-302", "SW-790"
MALFORMED = "malformed"
FAULT_OF = {
    FOREIGN_LEASE: "foreign_lease",
    BAD_SIGNATURE: "signature",
    "SW-146": "foreign_site",
    STOLEN_KEY: "stolen_key",
}
"""Faults of a message that no chain holds, by the code of their error."""


class Refused(Exception):  # noqa: N818  a value on its way to who counts it
    """A batch that breaks its site's chain."""

    def __init__(self, faults: Sequence[Fault], told: ConflictError) -> None:
        super().__init__(told.message)
        self.faults = [fault for fault in faults if fault not in ACCEPTED]
        self.told = told


def facility_j(payload: ReadingsSealed) -> int:
    """All energy in a seal, served, idle and unmetered."""
    leases = payload.leases
    idle = (one.idle_gpu_j + one.idle_host_j + one.idle_overhead_j + one.unmetered_j for one in payload.sites)
    return sum(leases.gpu_j) + sum(leases.host_j) + sum(leases.overhead_j) + sum(idle)


class Intake:
    """The chain of every site's batches, and those that wait for their seal."""

    def __init__(self, store: SqlStore, state: State, clock: SystemClock) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._last: dict[str, tuple[ReadingBatch | None, str]] = {}
        self._sealed: dict[str, ReadingBatch] = {}
        self._waiting: list[Hashed] = []
        self._unchecked: list[Hashed] = []
        """Sealed, and not yet looked at for what cannot be."""
        self.accepted = 0
        """Batches accepted since the start."""
        self.refused: Counter[str] = Counter()
        """Messages refused since the start, by fault; the same one sent again counts again."""
        self._refused: dict[tuple[SiteId, str], set[str]] = {}
        """Messages refused since the last seal."""
        for name, site in state.world.sites.items():
            if site.last_counter:
                self._sealed[name] = self._stored(name, site.last_counter)
        for stored in store.ingest.unsealed(RESTORE_LIMIT):
            batch = decode_of_site(stored.raw, self._spec(stored.site))
            self._waiting.append((stored.hash, batch))
            self._last[stored.site] = (batch, stored.hash)

    def _spec(self, site: str) -> SiteSpec:
        return self._state.world.sites[site].spec

    def _stored(self, site: str, counter: int) -> ReadingBatch:
        stored = self._store.ingest.batch(site, counter)
        if stored is None:
            raise InvariantError(f"batch {counter} of {site} was accepted and is not stored")
        return decode_of_site(stored.raw, self._spec(site))

    def _tip(self, site: SiteId) -> tuple[ReadingBatch | None, str]:
        """The last batch accepted from a site, and its hash."""
        if site not in self._last:
            newest = self._store.ingest.last_batch(site)
            self._last[site] = (None, "") if newest is None else (self._stored(site, newest[0]), newest[1])
        return self._last[site]

    def accept(self, site: SiteId, raws: list[bytes]) -> int:
        """Store batches in order and return the highest counter held.

        Raises: InputError for a batch that is not what its site signs, ConflictError for one out of its chain;
            what came before it in the same delivery is stored.
        """
        tip = self._tip(site)
        taken: list[tuple[Hashed, bytes]] = []
        problem: InputError | None = None
        for raw in raws:
            try:
                batch = self._next(site, raw, *tip)
            except Refused as reason:
                self._note(site, reason.faults, batch_hash(raw))
                problem = reason.told
                break
            except InputError as reason:
                self._note(site, (FAULT_OF.get(reason.code, MALFORMED),), batch_hash(raw))
                problem = reason
                break
            if batch is not None:
                tip = (batch, batch_hash(raw))
                taken.append(((tip[1], batch), raw))
        self._store.ingest.accept_batches(site, [(batch.counter, hash_, raw) for (hash_, batch), raw in taken])
        self._last[site] = tip
        self._waiting.extend(one for one, _ in taken)
        self.accepted += len(taken)
        if problem is not None:
            raise problem
        return 0 if tip[0] is None else tip[0].counter

    def _next(self, site: SiteId, raw: bytes, previous: ReadingBatch | None, previous_hash: str) -> ReadingBatch | None:
        """The batch, when it follows the last one; None when it is held already.

        Raises: InputError, ConflictError.
        """
        batch = decode_of_site(raw, self._spec(site))
        if batch.site != site:
            raise InputError(f"the reading is signed for site {batch.site}; send only those of {site}", code="SW-146")
        self._check_leases(site, batch)
        self._check_stolen(site, batch)
        seen = self._seen(site, batch.counter, batch_hash(raw), previous)
        faults = check_next(previous, previous_hash, batch, seen=seen, received_ms=self._clock.grid_ms())
        if faults == (Fault.REPLAY,):
            return None
        if refused(faults):
            raise Refused(faults, refusal(faults, previous, previous_hash))
        return batch

    def _note(self, site: SiteId, faults: Sequence[str], hash_: str) -> None:
        """Remember what was refused, each message once."""
        for fault in map(str, faults):
            self.refused[fault] += 1
            known = self._refused.setdefault((site, fault), set())
            if len(known) < REFUSED_MAX:
                known.add(hash_)

    def take_refused(self) -> ReadingsRefused | None:
        """What was refused since this was asked last, to be recorded; nothing where nothing was."""
        rows = sorted(self._refused.items())
        self._refused = {}
        if not rows:
            return None
        return ReadingsRefused(
            sites=tuple(site for (site, _), _ in rows),
            faults=tuple(fault for (_, fault), _ in rows),
            counts=tuple(len(known) for _, known in rows),
            examples=tuple(min(known) for _, known in rows),
        )

    def _check_leases(self, site: SiteId, batch: ReadingBatch) -> None:
        """No site may charge energy to a lease that another site holds."""
        leases = self._state.world.leases
        for lease in {span.lease for span in batch.spans}:
            row = leases.row_of.get(lease)
            if row is not None and leases.objects["site"][row] != site:
                raise InputError(f"the reading charges lease {lease}, which another site holds", code=FOREIGN_LEASE)

    def _check_stolen(self, site: SiteId, batch: ReadingBatch) -> None:
        """What a key signs that its owner says others hold is taken no more; what is held already stays, disputed."""
        spec = self._spec(site)
        for one in self._state.world.trust.verdicts_on(spec):
            told = one.record.figures
            if one.record.fault != STOLEN.key or not one.counts or batch.counter < int(told["counter"]):
                continue
            if told["key"] == spec.key_at(batch.counter):
                line = f"the key of {site} was reported stolen; join anew with `sunward site token --for {site}`"
                raise InputError(line, code=STOLEN_KEY)

    def _seen(self, site: SiteId, counter: int, hash_: str, previous: ReadingBatch | None) -> bool:
        if previous is None or counter > previous.counter:
            return False
        stored = self._store.ingest.batch(site, counter)
        return stored is not None and stored.hash == hash_

    def expected(self, site: SiteId) -> int:
        """The number the next batch of a site must have."""
        return expected_counter(self._tip(site)[0])

    def reached(self, site: SiteId) -> ReadingsHead:
        """Where the readings of a site stand."""
        last, hash_ = self._tip(site)
        return ReadingsHead() if last is None else ReadingsHead(counter=last.counter, hash=hash_, t1_ms=last.t1_ms)

    def seal(self) -> tuple[ReadingsSealed, list[tuple[str, int, int]]] | None:
        """A seal over all waiting batches, or nothing; the caller commits it before it yields to anybody."""
        if not self._waiting:
            return None
        payload = seal_event(self._state, SHARD, self._waiting, self._sealed)
        # Batches of one site wait in the order of their numbers, so the last one of each stays.
        self._sealed |= {batch.site: batch for _, batch in self._waiting}
        if len(self._unchecked) + len(self._waiting) > UNCHECKED_MAX:
            log.warning("bounds: %d sealed batches were not checked in time and are let go", len(self._unchecked))
            self._unchecked = []
        self._unchecked += self._waiting
        self._waiting = []
        return payload, sealed_ranges(payload)

    def take_sealed(self) -> list[tuple[SiteSpec, list[Hashed]]]:
        """What was sealed since the last call, by site, with its declaration."""
        by_site: dict[str, list[Hashed]] = {}
        for hashed in self._unchecked:
            by_site.setdefault(hashed[1].site, []).append(hashed)
        self._unchecked = []
        return [(self._spec(site), batches) for site, batches in by_site.items()]
