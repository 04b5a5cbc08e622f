"""Who is challenged and what follows; what devices compute and how it is checked lies outside `advance`.

At every full hour the candidates are fixed; a value from outside that is recorded afterwards decides. So neither a
site nor the operator knows before which pools are drawn, and a replay draws the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from sunward.engine import membership, trust
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.challenge import (
    BeaconValue,
    Candidate,
    Challenge,
    ChallengeFault,
    ChallengeOrder,
    Draw,
    Ended,
    Ending,
)
from sunward.model.events import (
    ChallengeCommitted,
    ChallengeJudged,
    ChallengeRulesSet,
    ChallengesDrawn,
    EvidenceFiled,
)
from sunward.model.identity import PoolId, SiteId, TenantId, mint
from sunward.model.ledger import Entry
from sunward.model.site import PoolSpec
from sunward.model.trust import NETWORK, Consequence, Dimension, Evidence, Level
from sunward.settlement.entries import movement
from sunward.settlement.ledger import NETWORK as NETWORK_ACCOUNT
from sunward.settlement.ledger import provider_account
from sunward.units import DAY_MS, HOUR_MS, MILLI_PER_UNIT, MINUTE_MS, PPM, floor_to, price_usd_micro
from sunward.verification.challenge_time import size_for
from sunward.verification.verdict import Finding
from sunward.world import catalogue
from sunward.world.capacity import withheld
from sunward.world.state import Site

BAD_RULES, NOT_OPEN, BUSY = "SW-772", "SW-773", "SW-774"
HOURLY = "hour"
"""What is due is the fixing of candidates, not the end of a challenge."""
RUNS_MAX = 3
MACHINE_MS = 10 * MINUTE_MS
"""Least machine time to answer: making the store is not faster where grid time is."""
FILL_PPM_SHOWN = 500_000
"""A store of less of the memory than this shows nothing of its size."""
OWED_MS_MAX = 10 * MINUTE_MS
"""Grid time that is owed for at most: what a wake and an answer take, were the site slow."""
DIGEST_CHARS = 64
MILLI_MAX = 10**6
UNANSWERED = "challenge_unanswered"
SILENT = "{containers} idle containers of {pool} were challenged, the site was there, and no answer came in time"
HONEST_MAYBE = frozenset({"challenge_late", "rate_high", UNANSWERED})
"""Faults that a slow host, a missing program or a better device explains too; nothing is taken for them."""


def rules_set(turn: Turn, payload: ChallengeRulesSet) -> None:
    """Take the rules, and fix candidates from the next full hour on."""
    turn.world.challenges.rules = payload.rules
    _arm(turn)


def check_rules(state: State, payload: ChallengeRulesSet) -> None:
    """Refuse rules that cannot be.

    Raises: InputError.
    """
    del state
    rules = payload.rules
    wrong = {
        f"challenges an epoch lie in 0..{MILLI_MAX // MILLI_PER_UNIT}": not 0
        <= rules.awake_milli_per_epoch
        <= MILLI_MAX
        or not 0 <= rules.asleep_milli_per_epoch <= MILLI_MAX,
        "the share of memory to fill lies above 0 and below 1": not 0 < rules.fill_ppm < PPM,
        "an answer may take a minute to a day": not MINUTE_MS <= rules.answer_ms <= DAY_MS,
        "what was shown counts for a day to a year": not DAY_MS <= rules.valid_ms <= 366 * DAY_MS,
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"rules of challenges: {wanted}", code=BAD_RULES)


def _arm(turn: Turn) -> None:
    rules = turn.world.challenges.rules
    if rules.awake_milli_per_epoch or rules.asleep_milli_per_epoch:
        turn.state.add_due(floor_to(turn.at_ms, HOUR_MS) + HOUR_MS, "challenge", HOURLY)


def look(turn: Turn, ref: str) -> None:
    """Fix candidates, or end a challenge whose time is over."""
    book = turn.world.challenges
    if ref == HOURLY:
        candidates = tuple(_candidates(turn))
        # Candidates that still wait for a value when the next ones are fixed are not drawn from any more.
        book.draw = Draw(sequence=turn.world.sequence, candidates=candidates) if candidates else None
        _arm(turn)
    elif ref in book.open and book.open[ref].order.until_ms <= turn.at_ms:
        _run_out(turn, book.open[ref])


def _candidates(turn: Turn) -> Iterable[Candidate]:
    world = turn.world
    for spec, pool in world.pools():
        found = _free(world.sites[spec.site], pool)
        if found is not None and world.challenges.of_pool(pool.pool) is None:
            yield found


def _free(site: Site, pool: PoolSpec) -> Candidate | None:
    """The containers of a pool that nobody uses: those that are awake, else those that sleep."""
    power = site.power.get(pool.pool)
    if power is None or not site.up or site.left_ms or site.draining:
        return None
    kept = withheld(site, pool)
    if power.idle > kept:
        return Candidate(pool=pool.pool, containers=power.idle - kept, asleep=False)
    if power.asleep > kept:
        return Candidate(pool=pool.pool, containers=power.asleep - kept, asleep=True)
    return None


def drawn(turn: Turn, payload: ChallengesDrawn) -> None:
    """Challenge those whom the value names."""
    book = turn.world.challenges
    if payload.draw and book.draw is not None:
        chosen = [one.pool for one in book.draw.candidates if _is_drawn(turn, one, payload)]
        book.draw = None
    else:
        chosen = list(payload.pools)
    for pool in chosen:
        # What has found work since the candidates were fixed is spared.
        one = free_of(turn.state, pool)
        if one is not None and book.of_pool(pool) is None:
            _open(turn, one, payload.beacon)


def check_drawn(state: State, payload: ChallengesDrawn) -> None:
    """Refuse a value for candidates that do not wait for one, and a pool that cannot be challenged now.

    Raises: InputError, NotFoundError, ConflictError.
    """
    if len(payload.beacon.value) != DIGEST_CHARS or not trust.DIGEST.fullmatch(payload.beacon.value):
        raise InputError("the value of a beacon is 64 lower-case hex digits", code=BAD_RULES)
    draw = state.world.challenges.draw
    if payload.draw and (draw is None or draw.sequence != payload.draw):
        raise ConflictError(f"no candidates of record {payload.draw} wait for a value", code=NOT_OPEN)
    for pool in payload.pools:
        if state.world.pool(pool) is None:
            raise NotFoundError(f"no pool {pool}", code="SW-134")
        membership.check_member(state, pool.partition("/")[0])
        if state.world.challenges.of_pool(pool) is not None:
            raise ConflictError(f"pool {pool} is challenged already; wait for the end of that", code=BUSY)
        if free_of(state, pool) is None:
            raise ConflictError(f"no container of {pool} is free to be challenged; try again later", code=BUSY)


def free_of(state: State, pool: PoolId) -> Candidate | None:
    """What of an enrolled pool may be challenged now; nothing where all of it is in use or away."""
    spec = state.world.pool(pool)
    return None if spec is None else _free(state.world.sites[SiteId(pool.partition("/")[0])], spec)


def _is_drawn(turn: Turn, one: Candidate, payload: ChallengesDrawn) -> bool:
    """Whether the value falls below what the rules give this candidate for an hour; all of an owner's fall together."""
    rules = turn.world.challenges.rules
    milli = rules.asleep_milli_per_epoch if one.asleep else rules.awake_milli_per_epoch
    share_ppm = milli * (PPM // MILLI_PER_UNIT) * HOUR_MS // turn.world.network.epoch_ms
    return int(_hashed("draw", payload.beacon, payload.draw, _owner(turn, one.pool)), 16) % PPM < share_ppm


def _owner(turn: Turn, pool: str) -> str:
    return turn.world.sites[SiteId(pool.partition("/")[0])].spec.owner


def _hashed(what: str, beacon: BeaconValue, draw: int, name: str) -> str:
    told = "\n".join(["sunward-challenge-draw/1", what, beacon.value, str(draw), name, ""])
    return hashlib.sha256(told.encode()).hexdigest()


def _open(turn: Turn, one: Candidate, beacon: BeaconValue) -> None:
    world = turn.world
    rules = world.challenges.rules
    name = SiteId(one.pool.partition("/")[0])
    gpu = catalogue.load().gpu(one.pool.partition("/")[2])
    speed = world.clock.speed if world.clock else 1
    # A machine that sleeps answers once it is awake.
    site = world.sites[name]
    from_ms = max(turn.at_ms, site.asleep_until_ms)
    order = ChallengeOrder(
        challenge=mint("c", bytes.fromhex(beacon.value), world.sequence, one.pool),
        pool=one.pool,
        containers=one.containers,
        seed=_hashed("seed", beacon, world.sequence, one.pool),
        size=size_for(gpu, one.containers, rules.fill_ppm),
        until_ms=from_ms + max(rules.answer_ms, MACHINE_MS * speed),
    )
    world.challenges.open[order.challenge] = Challenge(
        order=order,
        site=name,
        gpu_model=gpu.model,
        drawn_ms=turn.at_ms,
        asleep=one.asleep,
        beacon=beacon,
        # Nobody waits for a machine that sleeps.
        group=mint("cg", bytes.fromhex(beacon.value), world.sequence, site.spec.owner, bool(site.asleep_until_ms)),
    )
    turn.state.add_due(order.until_ms, "challenge", order.challenge)
    turn.orders_changed(name)


def challenge(turn: Turn, pool: PoolId, beacon: BeaconValue) -> None:
    """Challenge what is free of a pool, unless it is challenged already, or this network challenges nobody."""
    book = turn.world.challenges
    rules, one = book.rules, free_of(turn.state, pool)
    drawn_at_all = rules.awake_milli_per_epoch or rules.asleep_milli_per_epoch
    if drawn_at_all and one is not None and book.of_pool(pool) is None:
        _open(turn, one, beacon)


def committed(turn: Turn, payload: ChallengeCommitted) -> None:
    """Note the roots; a run that began anew replaces those of before."""
    book = turn.world.challenges
    one = book.open[payload.challenge]
    book.open[payload.challenge] = replace(one, commitment=payload.commitment, runs=one.runs + 1)


def check_committed(state: State, payload: ChallengeCommitted) -> None:
    """Refuse roots that nobody asked for any more.

    Raises: ConflictError.
    """
    one = require_open(state, payload.challenge)
    if one.runs >= RUNS_MAX:
        line = f"challenge {payload.challenge} was begun {RUNS_MAX} times; it ends unanswered"
        raise ConflictError(line, code=NOT_OPEN)


def require_open(state: State, name: str) -> Challenge:
    """The open challenge of a name. Raises: ConflictError."""
    one = state.world.challenges.open.get(name)
    if one is None or one.order.until_ms <= state.world.at_ms:
        raise ConflictError(f"challenge {name} is not open (any more); forget it", code=NOT_OPEN)
    return one


def judged(turn: Turn, payload: ChallengeJudged) -> None:
    """Passed: evidence of the devices' identity, for a while. Else a verdict that can be appealed."""
    one = turn.world.challenges.open[payload.challenge]
    _end(turn, one, Ending.FAILED if payload.faults else Ending.PASSED, payload.faults)
    if payload.faults:
        _accuse(turn, one, payload.faults[0], payload.answer)
    else:
        _believe(turn, one, payload.answer)


def check_judged(state: State, payload: ChallengeJudged) -> None:
    """Refuse a judgement of another commitment than the one in force.

    Raises: ConflictError.
    """
    one = require_open(state, payload.challenge)
    if one.commitment is None or one.commitment.nonce != payload.nonce:
        raise ConflictError(f"challenge {payload.challenge} was begun anew meanwhile", code=NOT_OPEN)


def _run_out(turn: Turn, one: Challenge) -> None:
    """End what nobody answered; only a site that was there, and had nothing else to do, is told off for it."""
    site, spec = turn.world.sites[one.site], turn.world.pool(one.order.pool)
    free = _free(site, spec) if spec is not None else None
    if free is None or free.containers < one.order.containers or site.asleep_until_ms:
        _end(turn, one, Ending.VOID, ())
        return
    figures: dict[str, str | int] = {"containers": one.order.containers, "pool": one.order.pool}
    fault = ChallengeFault(key=UNANSWERED, sentence=SILENT, figures=figures)
    _end(turn, one, Ending.UNANSWERED, (fault,))
    _accuse(turn, one, fault, "")


def settle(turn: Turn) -> None:
    """Pay what is owed to the sites that were woken, as far as the network's account reaches; the rest waits."""
    owed, rate = turn.world.challenges.owed, turn.world.wei_per_usd_micro
    origin, entries = turn.origin(), list[Entry]()
    left_wei = turn.state.ledger.balance(NETWORK_ACCOUNT)
    for owner in sorted(owed):
        paid = min(owed[owner], left_wei // rate) if rate else 0
        if not paid:
            continue
        wei = paid * rate
        left_wei -= wei
        sides = ((NETWORK_ACCOUNT, -wei), (provider_account(owner), wei))
        entries.append(movement(origin, len(entries), "challenge", owner, sides))
        owed[owner] -= paid
    turn.world.challenges.owed = {owner: amount for owner, amount in owed.items() if amount}
    turn.post(entries)


def _end(turn: Turn, one: Challenge, ending: str, faults: tuple[ChallengeFault, ...]) -> None:
    owed = 0
    if one.asleep and ending == Ending.PASSED:
        gpu_ms = one.order.containers * min(turn.at_ms - one.drawn_ms, OWED_MS_MAX)
        spec = turn.world.sites[one.site].spec
        owed = price_usd_micro(gpu_ms, spec.ask_usd_micro_per_gpu_h)
        book = turn.world.challenges
        if book.rules.pays and owed:
            book.owed[spec.owner] = book.owed.get(spec.owner, 0) + owed
    turn.world.challenges.end(Ended(challenge=one, ending=ending, at_ms=turn.at_ms, faults=faults, owed_usd_micro=owed))
    turn.orders_changed(one.site)


def _accuse(turn: Turn, one: Challenge, fault: ChallengeFault, answer: str) -> None:
    maybe = fault.key in HONEST_MAYBE
    record = trust.verdict(
        Finding(key=fault.key, sentence=fault.sentence, figures=dict(fault.figures)),
        dimension=Dimension.IDENTITY,
        consequence=Consequence.LEVEL_LOWERED if maybe else Consequence.SLASHABLE,
        at_ms=turn.at_ms,
        site=one.site,
        about=one.order.challenge,
        evidence=(answer,) if answer else (),
    )
    trust.issue(turn, record)


def _believe(turn: Turn, one: Challenge, answer: str) -> None:
    """File what was shown, unless the site has as much evidence as it can have."""
    book, made = turn.world.challenges, one.commitment
    total = sum(pool.count for pool in turn.world.sites[one.site].spec.pools)
    enough = book.rules.fill_ppm >= FILL_PPM_SHOWN
    told = (
        f"{one.order.containers} of the site's {total} containers answered as {one.gpu_model} would: "
        f"{one.order.size.bytes} bytes of memory read in {made.elapsed_ms if made else 0} of "
        f"{made.allowed_ms if made else 0} ms allowed"
    )
    payload = EvidenceFiled(
        evidence=Evidence(
            evidence=mint("challenge", b"", one.order.pool),
            site=one.site,
            dimension=Dimension.IDENTITY,
            level=Level.METERED if enough else Level.DECLARED,
            statement=told if enough else f"{told}; too little to show the model",
            digest=answer,
            filed_by=TenantId(NETWORK),
            checked_by=NETWORK,
            value=one.order.size.bytes,
            unit="byte",
            valid_from_ms=turn.at_ms,
            valid_until_ms=turn.at_ms + book.rules.valid_ms,
            coverage_ppm=one.order.containers * PPM // max(total, one.order.containers),
        )
    )
    try:
        trust.check_filed(turn.state, payload)
    except InputError:
        # It has no room: that is its owner's to change, and the outcome stands in the journal all the same.
        return
    trust.evidence_filed(turn, payload)
