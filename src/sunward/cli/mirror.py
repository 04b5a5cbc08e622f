"""To follow a journal that someone else keeps: fetch, check, keep, compare, and say at once when it was changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sunward.cli.mirror_store import MirrorStore
from sunward.cli.text import N_
from sunward.client import ApiClient
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.follow import Followed
from sunward.verification.forks import ForkProof, ForkSide

FORK = N_("{source} shows another record {sequence} than the one held in {held}; the control plane signed both")
UNSIGNED_FORK = N_("{source} shows another record {sequence} than the one held, and does not prove it was signed")
UNSIGNED = N_("the head of {source} at record {sequence} is signed by no key that followed the one known")
ROLLBACK = N_("{source} has gone back to record {sequence}; record {held} was signed and is held here")
BROKEN = N_("the records of {source} do not lead to its signed head {sequence}")
CHAIN = N_("{source} breaks the chain: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Why following ended."""

    key: str
    """`fork`, `rollback`, `unsigned`, `broken` or `chain`."""
    sentence: str
    figures: dict[str, str | int] = field(default_factory=dict)
    proof: ForkProof | None = None


class Mirror:
    """One journal, followed from one address."""

    def __init__(self, client: ApiClient, store: MirrorStore, held: Followed, source: str) -> None:
        self.held = held
        self._client, self._store, self._source = client, store, source

    def step(self) -> Alarm | None:
        """Take what is new up to the signed head of now; what was not signed for is not kept.

        Raises: SourceError when the service cannot be reached.
        """
        head = self._client.journal_head()
        alarm = self.compare(self._client, head, self._source)
        if alarm is None and head.sequence < self.held.signed:
            alarm = self._alarm("rollback", ROLLBACK, head.sequence, held=self.held.signed)
        if alarm is not None or head == self.held.head:
            return alarm
        unsigned = self.held.sequence > self.held.signed
        alarm = self._advance(head)
        if alarm is not None:
            self._cut()
            # What an earlier run left unsigned may be what does not fit.
            alarm = self._advance(head) if unsigned else alarm
        if alarm is not None:
            self._cut()
        return alarm

    def compare(self, client: ApiClient | None, head: JournalHead, source: str) -> Alarm | None:
        """Hold a head that was shown elsewhere against the copy; one beyond it needs its service to compare."""
        at = self.held.contested(head)
        shown = head.hash if head.sequence == at else self.held.hash_at(at)
        records: tuple[RecordedEvent, ...] = ()
        if client and head.sequence > at > 0:
            records = client.journal(at - 1, 1)
            shown = records[0].hash if records else shown
        if at == 0 or shown == self.held.hash_at(at):
            return None
        if records and client:
            records = tuple(_up_to(client, at - 1, head.sequence))
        keys = client.signing_keys().rotations if client else ()
        own = self._store.records(at, self.held.signed) if self.held.signed > at else ()
        theirs = ForkSide(source=source, head=head, public_key="", records=records)
        proof = self.held.fork(theirs, own, (*keys, *records))
        if proof is None:
            return self._alarm("unsigned", UNSIGNED_FORK, at, source=source)
        return self._alarm("fork", FORK, at, source=source, held=self.held.name, proof=proof)

    def vouched(self, head: JournalHead, source: str) -> Alarm | None:
        """Whether a head that was shown elsewhere is signed at all."""
        return None if self.held.signer(head) else self._alarm("unsigned", UNSIGNED, head.sequence, source=source)

    def _advance(self, head: JournalHead) -> Alarm | None:
        for page in _pages(self._client, self.held.sequence, head.sequence):
            wrong = self.held.take(page)
            if wrong:
                return self._alarm("chain", CHAIN, head.sequence, why=wrong.text)
            # The newest carries the signature of its head, so the file can be checked by itself.
            signed = (replace(one, signature=head.signature) if one.sequence == head.sequence else one for one in page)
            self._store.keep(signed)
        if self.held.sequence < head.sequence or self.held.hash_at(head.sequence) != head.hash:
            return self._alarm("broken", BROKEN, head.sequence)
        if not self.held.signer(head):
            return self._alarm("unsigned", UNSIGNED, head.sequence)
        self._store.keep_head(head)
        self.held.head = head
        return None

    def _cut(self) -> None:
        self.held.cut(self.held.signed)
        self._store.cut(self.held.signed)

    def _alarm(
        self, key: str, sentence: str, sequence: int, proof: ForkProof | None = None, **figures: str | int
    ) -> Alarm:
        told: dict[str, str | int] = {"source": self._source, "sequence": sequence}
        return Alarm(key=key, sentence=sentence, figures=told | figures, proof=proof)


def _pages(client: ApiClient, after: int, last: int) -> Iterator[tuple[RecordedEvent, ...]]:
    """Records after one and up to another, as many at once as the service gives."""
    while after < last:
        page = tuple(record for record in client.journal(after) if record.sequence <= last)
        # A service that repeats itself must not hold its follower for ever.
        if not page or page[-1].sequence <= after:
            return
        yield page
        after = page[-1].sequence


def _up_to(client: ApiClient, after: int, last: int) -> Iterator[RecordedEvent]:
    for page in _pages(client, after, last):
        yield from page
