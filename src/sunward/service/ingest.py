"""Ingest of readings: check, store durably, then acknowledge; seal what is stored."""

from __future__ import annotations

from sunward.adapters.clock import SystemClock
from sunward.adapters.sql import SqlStore
from sunward.engine.inputs import seal_event, sealed_ranges
from sunward.engine.state import State
from sunward.metering.chain import Fault, check_next, named_faults, refusal, refused
from sunward.metering.seal import Accepted
from sunward.metering.wire import batch_hash, decode_batch
from sunward.model.events import ReadingsSealed
from sunward.model.identity import SiteId
from sunward.model.reading import ReadingBatch

SHARD = "0"
RESTORE_LIMIT = 1_000_000
"""Most unsealed batches taken back into memory at a start."""


class Intake:
    """The chain of every site's batches, and those that wait for their seal."""

    def __init__(self, store: SqlStore, state: State, clock: SystemClock) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._last: dict[str, tuple[ReadingBatch | None, str]] = {}
        self._waiting: list[Accepted] = []
        for stored in store.ingest.unsealed(RESTORE_LIMIT):
            batch = decode_batch(stored.raw, state.world.sites[stored.site].spec.public_key)
            previous = self._previous(stored.site, batch.counter)
            self._waiting.append(Accepted(hash=stored.hash, batch=batch, faults=named_faults(previous, batch)))
            self._last[stored.site] = (batch, stored.hash)

    def _previous(self, site: str, counter: int) -> ReadingBatch | None:
        """The batch before `counter`, from memory or from the store."""
        last = self._last.get(site)
        if last is None or last[0] is None or last[0].counter != counter - 1:
            raw = self._store.ingest.batch(site, counter - 1)
            if raw is None:
                return None
            return decode_batch(raw.raw, self._state.world.sites[site].spec.public_key)
        return last[0]

    def _tip(self, site: SiteId) -> tuple[ReadingBatch | None, str]:
        if site not in self._last:
            newest = self._store.ingest.last_batch(site)
            if newest is None:
                self._last[site] = (None, "")
            else:
                counter, hash_ = newest
                self._last[site] = (self._previous(site, counter + 1), hash_)
        return self._last[site]

    def accept(self, site: SiteId, raws: list[bytes]) -> int:
        """Store batches in order and return the highest counter held.

        Raises: InputError for a batch that is not what its site signs, ConflictError for one out of its chain;
            what came before it in the same delivery is stored.
        """
        public_key = self._state.world.sites[site].spec.public_key
        previous, previous_hash = self._tip(site)
        taken: list[tuple[Accepted, bytes]] = []
        problem = None
        for raw in raws:
            batch = decode_batch(raw, public_key)
            hash_ = batch_hash(raw)
            faults = check_next(
                previous,
                previous_hash,
                batch,
                seen=self._seen(site, batch.counter, hash_, previous),
                received_ms=self._clock.grid_ms(),
            )
            if faults == (Fault.REPLAY,):
                continue
            if batch.site != site or refused(faults):
                problem = refusal(faults or (Fault.CHAIN_BROKEN,), previous, previous_hash)
                break
            taken.append((Accepted(hash=hash_, batch=batch, faults=faults), raw))
            previous, previous_hash = batch, hash_
        self._store.ingest.accept_batches(site, [(one.batch.counter, one.hash, raw) for one, raw in taken])
        self._last[site] = (previous, previous_hash)
        self._waiting.extend(one for one, _ in taken)
        if problem is not None:
            raise problem
        return 0 if previous is None else previous.counter

    def _seen(self, site: SiteId, counter: int, hash_: str, previous: ReadingBatch | None) -> bool:
        if previous is None or counter > previous.counter:
            return False
        stored = self._store.ingest.batch(site, counter)
        return stored is not None and stored.hash == hash_

    def expected(self, site: SiteId) -> int:
        """The number the next batch of a site must have."""
        previous, _ = self._tip(site)
        return 1 if previous is None else previous.counter + 1

    def seal(self) -> tuple[ReadingsSealed, list[tuple[str, int, int]]] | None:
        """A seal over all waiting batches, or nothing."""
        if not self._waiting:
            return None
        payload = seal_event(self._state, SHARD, self._waiting)
        self._waiting = []
        return payload, sealed_ranges(payload)
