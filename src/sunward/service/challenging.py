"""The service's side of challenges: draws, the clock of a run, and the check of what was opened.

How long a device took is measured here, on a clock that no step touches. A run that this process has forgotten begins
anew; what was committed to stands in the journal and is judged from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sunward.adapters.beacon import LocalBeacon
from sunward.engine.challenges import NOT_OPEN, free_of, require_open
from sunward.errors import ConflictError, InputError, NotFoundError, SourceError
from sunward.model.challenge import (
    BeaconValue,
    Challenge,
    ChallengeAnswer,
    ChallengeBegin,
    ChallengeEcho,
    ChallengeFault,
    ChallengeNonce,
    ChallengeQuestion,
    ChallengeReady,
    ChallengeResult,
    ChallengeRoots,
    ChallengeView,
    Commitment,
    Ended,
    Ending,
    view,
)
from sunward.model.codec import encode
from sunward.model.events import ChallengeCommitted, ChallengeJudged, ChallengesDrawn, Payload
from sunward.model.identity import PoolId, SiteId
from sunward.model.reserve_events import DrillsDrawn
from sunward.ports import Beacon
from sunward.service.control import ControlPlane
from sunward.units import MINUTE_MS
from sunward.verification.challenge import Transcript, judge
from sunward.verification.challenge_time import allowed_ms, early, late
from sunward.verification.verdict import Finding
from sunward.world import catalogue

log = logging.getLogger("sunward.challenges")

OVER, BAD_ROOTS, NOT_YET = "SW-775", "SW-778", "SW-779"
HASH = re.compile(r"[0-9a-f]{64}")
WAIT_S = 15.0
"""Longest wait of one request for the others of a group."""
PATIENCE_MS = 5 * MINUTE_MS
"""Machine time after which a group begins without those who are not ready."""
LOOK_S = 1.0
"""Machine time between two looks whether candidates wait for a value."""
NONCE_BYTES, ECHO_BYTES = 32, 16
BOOT_CHARS = 300
FAULTS_MAX = 5
"""Faults of one answer that are recorded; the first of them is what its verdict says."""
QUESTION = b"sunward-challenge-asks/1\n"


@dataclass(slots=True)
class _Run:
    """One try of an agent, on the clock of this process."""

    boot: str
    echo: str
    sent_ms: int
    round_trip_ms: int = 0
    waits_ms: int = 0
    """Since when it waits to begin; 0 = it does not yet."""
    nonce: str = ""
    begun_ms: int = 0
    allowed_ms: int = 0


class Challenges:
    """The runs that go on."""

    def __init__(self, control: ControlPlane, beacon: Beacon) -> None:
        self._control = control
        self._beacon = beacon
        self._runs: dict[str, _Run] = {}
        self._begun: dict[str, asyncio.Event] = {}
        """By group, whether its members have begun."""
        self._drawing = (0, 0)
        self._drilling = (0, 0)
        """The draws that wait, and since when on the machine clock."""
        self._told = ""

    def ready(self, site: SiteId, name: str, told: ChallengeReady) -> ChallengeEcho:
        """The store is made; what is answered comes back at once."""
        one = self._mine(site, name)
        self._runs = {known: run for known, run in self._runs.items() if known in self._open}
        groups = {other.group for other in self._open.values()}
        self._begun = {group: event for group, event in self._begun.items() if group in groups}
        self._require_joint(one)
        if not 0 < len(told.boot) <= BOOT_CHARS:
            raise InputError("boot must name this run of the agent", code="SW-147")
        run = _Run(told.boot, secrets.token_hex(ECHO_BYTES), self._control.clock.elapsed_ms())
        self._runs[name] = run
        return ChallengeEcho(echo=run.echo)

    async def begin(self, site: SiteId, name: str, told: ChallengeBegin) -> ChallengeNonce:
        """Wait until all that were drawn together are ready; their time runs from that moment, whenever they ask."""
        one, run = self._mine(site, name), self._run(name, told.boot)
        if told.echo != run.echo:
            raise ConflictError(f"challenge {name}: that is not the echo; begin anew", code=NOT_OPEN)
        if not run.waits_ms:
            run.waits_ms = self._control.clock.elapsed_ms()
            run.round_trip_ms = run.waits_ms - run.sent_ms
        self._start(one)
        if not run.nonce:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._event(one.group).wait(), WAIT_S)
        if not run.nonce:
            raise ConflictError(f"challenge {name}: others of its owner are not ready yet; ask again", code=NOT_YET)
        return ChallengeNonce(nonce=run.nonce, allowed_ms=run.allowed_ms)

    def commit(self, site: SiteId, name: str, told: ChallengeRoots) -> ChallengeQuestion:
        """Record the roots; only then does it follow what is asked. The same roots again give the same question."""
        one = self._mine(site, name)
        known = one.commitment
        if known is None or known.nonce != told.nonce:
            run = self._run(name, told.boot)
            if not run.nonce or told.nonce != run.nonce:
                raise ConflictError(f"challenge {name}: that nonce is not in force; begin anew", code=NOT_OPEN)
            known = Commitment(
                boot=run.boot,
                nonce=run.nonce,
                roots=told.roots,
                round_trip_ms=run.round_trip_ms,
                elapsed_ms=self._control.clock.elapsed_ms() - run.begun_ms,
                allowed_ms=run.allowed_ms,
            )
            self._check_roots(one, known)
            self._control.commit_one(ChallengeCommitted(challenge=name, commitment=known))
        elif known.roots != told.roots:
            # The question is known by now; other roots could be made to suit it.
            raise ConflictError(f"challenge {name}: other roots were committed to; begin anew", code=NOT_OPEN)
        findings = late(known.elapsed_ms, known.allowed_ms)
        if findings:
            self._judge(name, known, "", "", findings)
            raise ConflictError(findings[0].text, code=OVER)
        return ChallengeQuestion(seed=self._question(name, known))

    async def answer(self, site: SiteId, name: str, told: ChallengeAnswer) -> ChallengeResult:
        """Check what was opened; an answer that comes again has the same result."""
        ended = self._ended(site, name, told.nonce)
        if ended is not None:
            return _result(ended)
        one = self._mine(site, name)
        known = one.commitment
        if known is None or known.nonce != told.nonce:
            raise ConflictError(f"challenge {name}: that nonce is not in force; begin anew", code=NOT_OPEN)
        question = self._question(name, known)
        transcript = Transcript(
            seed=bytes.fromhex(one.order.seed),
            size=one.order.size,
            nonce=bytes.fromhex(known.nonce),
            roots=known.roots,
            question=bytes.fromhex(question),
            openings=told.openings,
        )
        findings = await asyncio.to_thread(judge, transcript)
        gpu = catalogue.load().gpu(one.gpu_model)
        findings = (*findings, *early(known.elapsed_ms, one.order.size, gpu, one.order.containers))
        ended = self._ended(site, name, told.nonce)
        if ended is None:
            raw = encode(told)
            if findings:
                # Whoever appeals, or decides on that, has to see what was answered.
                await asyncio.to_thread(self._control.objects.put, io.BytesIO(raw))
            ended = self._judge(name, known, question, hashlib.sha256(raw).hexdigest(), findings)
        return _result(ended)

    async def draw(self) -> None:
        """Have those who wait drawn from, once a value is there that nobody knew when they were fixed."""
        draw = self._control.state.world.challenges.draw
        if draw is not None:
            self._drawing = self._since(self._drawing, draw.sequence)
            await self._draw(self._drawing, lambda value: ChallengesDrawn(draw=draw.sequence, beacon=value))
        drill = self._control.state.world.reserve.draw
        if drill is not None:
            self._drilling = self._since(self._drilling, drill.sequence)
            await self._draw(self._drilling, lambda value: DrillsDrawn(draw=drill.sequence, beacon=value))

    def _since(self, known: tuple[int, int], sequence: int) -> tuple[int, int]:
        """A draw that waits, and since when."""
        return known if known[0] == sequence else (sequence, self._control.clock.machine_ms())

    async def _draw(self, waiting: tuple[int, int], payload: Callable[[BeaconValue], Payload]) -> None:
        try:
            value = await asyncio.to_thread(self._beacon.after, waiting[1])
            self._control.commit([payload(value)])
            self._told = ""
        except (SourceError, InputError) as reason:
            if reason.message != self._told:
                log.warning("beacon: %s; nobody is challenged meanwhile", reason.message)
            self._told = reason.message

    def ask(self, site: SiteId) -> tuple[ChallengeView, ...]:
        """Challenge the pools of a site that have free containers, on the operator's word.

        Raises: ConflictError when there is none.
        """
        state = self._control.state
        pools = [PoolId(pool.pool) for pool in state.world.sites[site].spec.pools]
        book = state.world.challenges
        able = [one for one in pools if free_of(state, one) is not None and book.of_pool(one) is None]
        # Where none is able, all are named, and the refusal says why.
        wanted = ChallengesDrawn(draw=0, beacon=LocalBeacon().after(0), pools=tuple(able or pools))
        self._control.commit_one(wanted)
        return tuple(view(one) for one in self._control.state.world.challenges.at(site))

    def views(self) -> tuple[ChallengeView, ...]:
        """Every open challenge, and how the last one of each pool ended; the newest first."""
        book = self._control.state.world.challenges
        every = [view(one) for one in book.open.values()] + [view(one.challenge, one) for one in book.ended.values()]
        return tuple(sorted(every, key=lambda one: (-one.drawn_ms, one.challenge)))

    @property
    def _open(self) -> dict[str, Challenge]:
        return self._control.state.world.challenges.open

    def _event(self, group: str) -> asyncio.Event:
        return self._begun.setdefault(group, asyncio.Event())

    def _start(self, one: Challenge) -> None:
        """Begin with all that wait, once nobody is missing or the patience with those who are is over."""
        now_ms = self._control.clock.elapsed_ms()
        members = [other for other in self._open.values() if other.group == one.group]
        waiting = [
            (other, run)
            for other in members
            if (run := self._runs.get(other.order.challenge)) is not None and run.waits_ms and not run.nonce
        ]
        first_ms = min((run.waits_ms for _, run in waiting), default=now_ms)
        if len(waiting) < len(members) and now_ms - first_ms < PATIENCE_MS:
            return
        for other, run in waiting:
            order, gpu = other.order, catalogue.load().gpu(other.gpu_model)
            run.nonce, run.begun_ms = secrets.token_hex(NONCE_BYTES), now_ms
            run.allowed_ms = allowed_ms(order.size, gpu, order.containers, run.round_trip_ms)
        self._event(one.group).set()

    def _require_joint(self, one: Challenge) -> None:
        """Refuse to begin after the others: one device could then answer for all, one after the other.

        Raises: ConflictError.
        """
        together = self._control.state.world.challenges.together(one)
        begun = self._event(one.group).is_set() or any(other.commitment for other in together)
        if len(together) > 1 and begun:
            line = (
                f"challenge {one.order.challenge}: the others of its owner began without it; the next draw asks again"
            )
            raise ConflictError(line, code=OVER)

    def _mine(self, site: SiteId, name: str) -> Challenge:
        """An open challenge of a site; another's is not there. Raises: ConflictError, NotFoundError."""
        one = require_open(self._control.state, name)
        if one.site != site:
            raise NotFoundError(f"site {site} has no challenge {name}", code=NOT_OPEN)
        return one

    def _run(self, name: str, boot: str) -> _Run:
        run = self._runs.get(name)
        if run is None or run.boot != boot:
            raise ConflictError(f"challenge {name}: this run is not known here; begin anew", code=NOT_OPEN)
        return run

    def _ended(self, site: SiteId, name: str, nonce: str) -> Ended | None:
        """How a challenge ended whose answer may have been lost on its way."""
        for one in self._control.state.world.challenges.ended.values():
            made = one.challenge.commitment
            if one.challenge.order.challenge == name and one.challenge.site == site and made and made.nonce == nonce:
                return one
        return None

    def _check_roots(self, one: Challenge, made: Commitment) -> None:
        right = len(made.roots) == one.order.size.rounds and all(HASH.fullmatch(root) for root in made.roots)
        if not right:
            line = f"challenge {one.order.challenge}: {one.order.size.rounds} roots of 64 hex digits are asked for"
            raise InputError(line, code=BAD_ROOTS)

    def _question(self, name: str, made: Commitment) -> str:
        """Follows from what was recorded and the service's key: nobody else knows it before, and a restart the same."""
        told = "\n".join([name, made.nonce, *made.roots]).encode()
        return hashlib.sha256(self._control.key.sign(QUESTION + told)).hexdigest()

    def _judge(self, name: str, made: Commitment, question: str, answer: str, findings: tuple[Finding, ...]) -> Ended:
        faults = tuple(
            ChallengeFault(key=one.key, sentence=one.sentence, figures=one.figures) for one in findings[:FAULTS_MAX]
        )
        payload = ChallengeJudged(challenge=name, nonce=made.nonce, question=question, answer=answer, faults=faults)
        pool = require_open(self._control.state, name).order.pool
        self._control.commit_one(payload)
        self._runs.pop(name, None)
        return self._control.state.world.challenges.ended[pool]


def _result(ended: Ended) -> ChallengeResult:
    texts = tuple(one.sentence.format(**one.figures) for one in ended.faults)
    return ChallengeResult(passed=ended.ending == Ending.PASSED, findings=texts)


async def keep_drawing(challenges: Challenges) -> None:
    """Draw whenever candidates wait."""
    while True:
        await challenges.draw()
        await asyncio.sleep(LOOK_S)
