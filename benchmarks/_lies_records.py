"""Lies of operators, auditors, thieves and people under many names."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from tests.support.bundles import CONTROL, bound, genuine, genuine_journal, public_hex
from tests.support.network import HYDRO, Network
from tests.support.scenarios import SITES

from benchmarks._honest import START_MS, a_site, chained, found_in, signed, true_minutes
from benchmarks._lies import MY, Ends, Lie, Play, Played
from sunward.errors import InputError, InvariantError
from sunward.model.challenge import BeaconValue, ChallengeRules
from sunward.model.codec import encode
from sunward.model.events import (
    ChallengeRulesSet,
    ChallengesDrawn,
    PowerReported,
    SiteEnrolled,
    TimerFired,
    VerdictIssued,
)
from sunward.model.identity import SiteId, TenantId
from sunward.model.site import PoolPower
from sunward.model.trust import APPEAL_MS, Appeal, Consequence, Decision, Dimension, VerdictRecord
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.settlement.weights import SiteGreen, Staker, StakingTerms, staking_rewards
from sunward.units import DAY_MS, HOUR_MS, PPM
from sunward.verification.bundle import read_bundle
from sunward.verification.follow import Followed
from sunward.verification.forks import ForkProof, ForkSide, verify_fork
from sunward.verification.journal import head_message, record_hash
from sunward.verification.receipt import verify
from sunward.world.trust import Judged, TrustBook

T = TypeVar("T")

MINUTES = 20
G_PPM, KAPPA, BUDGET_WEI = 600_000, 10**15, 10**21
"""The green share of staking's weight, and wei a Wh can back, as docs/settlement.md has them."""


def forged_receipt(draw: random.Random) -> Played:
    """One byte of a bundle is another."""
    raw = bytearray(encode(genuine()))
    at = draw.randrange(len(raw))
    raw[at] = (raw[at] + draw.randint(1, 255)) % 256
    try:
        found = tuple(sorted({one.key for one in verify(read_bundle(bytes(raw))).findings}))
    except InputError as reason:
        found = (reason.code or "refused",)
    return Played(found=found, prevented=bool(found), gain_usd=MY.paid_usd)


def another(record: RecordedEvent, draw: random.Random) -> RecordedEvent:
    """The same place in the journal, another content, a hash that fits it."""
    changed = replace(record, body=record.body.replace("}", f',"x":{draw.randrange(10**6)}}}', 1))
    return replace(changed, hash=record_hash(changed))


def rewritten(draw: random.Random) -> Played:
    """An old record is another one, its hash made to fit; a follower holds what came after it."""
    records, _ = genuine_journal()
    at = draw.randrange(len(records) - 1)
    shown = [*records[:at], another(records[at], draw), *records[at + 1 :]]
    wrong = Followed(known=public_hex(CONTROL)).take(shown)
    return Played(found=(wrong.key,) if wrong else (), prevented=bool(wrong), gain_usd=MY.paid_usd)


def forked(draw: random.Random) -> Played:
    """Two followers are shown two records of one number, each under a signed head."""
    records, _ = genuine_journal()
    record = records[draw.randrange(len(records))]
    one, two = (side(each) for each in (record, another(record, draw)))
    verdict = verify_fork(ForkProof(sequence=record.sequence, sides=(one, two)), public_hex(CONTROL))
    return Played(found=("fork",) if verdict.ok else (), prevented=verdict.ok, gain_usd=MY.paid_usd)


def side(record: RecordedEvent) -> ForkSide:
    """What one follower was shown."""
    signature = CONTROL.sign(head_message(record.sequence, record.hash, record.term)).hex()
    head = JournalHead(sequence=record.sequence, hash=record.hash, term=record.term, signature=signature)
    return ForkSide(source="a follower", head=head, public_key=public_hex(CONTROL))


def stolen_key(draw: random.Random) -> Played:
    """A thief signs the site's next batch; then the owner's own arrives."""
    batches = signed(draw, true_minutes(draw, MINUTES))
    at = draw.randrange(3, MINUTES - 2)
    spans = tuple(replace(one, end_j=one.end_j + 1) for one in batches[at].spans)
    thief = chained([*batches[:at], replace(batches[at], spans=spans)])
    found = found_in(a_site(), [*thief, *batches[at:]])
    return Played(found=found, prevented=bool(found))


def omitted(draw: random.Random) -> Played:
    """The operator leaves a batch out of a bundle, and signs that; or out of a seal, where its neighbours name it."""
    if draw.random() < 0.5:
        whole = genuine()
        at = draw.randrange(len(whole.batches))
        found = {one.key for one in verify(bound(replace(whole, batches=dropped(whole.batches, at)))).findings}
    else:
        batches = signed(draw, true_minutes(draw, MINUTES))
        found = set(found_in(a_site(), dropped(batches, draw.randrange(1, MINUTES - 1))))
    return Played(found=tuple(sorted(found)), prevented=bool(found), gain_usd=MY.paid_usd / MINUTES)


def dropped(many: Sequence[T], at: int) -> tuple[T, ...]:
    """All but one."""
    return (*many[:at], *many[at + 1 :])


def ground(draw: random.Random) -> Played:
    """A draw went against a friend of the operator: another value is told for the same candidates."""
    network = Network()
    power = PoolPower(pool=HYDRO, asleep=0, waking=0, idle=4, busy=0)
    rules = ChallengeRules(awake_milli_per_epoch=10**6)
    network.tell(PowerReported(site=SiteId("no-hydro"), pools=(power,)), ChallengeRulesSet(rules=rules))
    network.wait(1)
    candidates = network.state.world.challenges.draw
    if candidates is None:
        raise InvariantError("nobody is a candidate")
    values = [BeaconValue(source="drand", round=7, value=draw.randbytes(32).hex(), label="") for _ in range(2)]
    first, again = (ChallengesDrawn(draw=candidates.sequence, beacon=one) for one in values)
    network.tell(first)
    refusal = network.refusal(again)
    return Played(found=(refusal.code,), prevented=True, gain_usd=MY.rewards_most_usd)


def lost_key_feigned(draw: random.Random) -> Played:
    """A site says that its key is lost, to begin with another name for the same machines: what was found stays."""
    network = Network()
    spec = SITES[0]
    at_ms = network.at_ms
    record = replace(a_verdict(Consequence.SLASHABLE), site=spec.site, at_ms=at_ms, appeal_until_ms=at_ms + APPEAL_MS)
    network.tell(VerdictIssued(verdict=record))
    network.wait(draw.uniform(1, 24))
    network.tell(SiteEnrolled(spec=replace(spec, public_key=draw.randbytes(32).hex())))
    network.wait(APPEAL_MS / HOUR_MS)
    network.tell(TimerFired())
    world = network.state.world
    stands = world.trust.slashable(world.sites[spec.site].spec, world.at_ms)
    return Played(
        found=tuple(one.fault for one in stands), prevented=bool(stands), gain_usd=0.0 if stands else MY.stake_usd
    )


def a_verdict(consequence: Consequence) -> VerdictRecord:
    """What somebody says of an honest site."""
    return VerdictRecord(
        verdict="v-1",
        dimension=Dimension.ENERGY,
        fault="energy_high",
        sentence="false",
        consequence=consequence,
        at_ms=START_MS,
        appeal_until_ms=START_MS + APPEAL_MS,
        issued_by="auditor",
        site="s-1",
    )


def judged_falsely(*, decided: bool) -> Play:
    """An honest site is to be slashed and appeals in time; its stake is looked at on every later day."""

    def play(draw: random.Random) -> Played:
        book = TrustBook()
        told = Judged(record=a_verdict(Consequence.SLASHABLE), issued_ms=START_MS)
        appeal = Appeal(verdict="v-1", by=TenantId("owner"), digest="0" * 64)
        decision = Decision(verdict="v-1", by=TenantId("other"), upheld=False, reason="the meter was right")
        taken = False
        for day in range(60):
            book.put(replace(told, appeal=appeal if day >= 3 else None, decision=decision if decided else None))
            taken |= bool(book.slashable(a_site(), START_MS + day * DAY_MS + draw.randrange(DAY_MS)))
        return Played(prevented=not taken, gain_usd=MY.stake_usd if taken else 0.0)

    return play


def reward(stakes_wei: list[int], wh: list[int], q_ppm: list[int]) -> int:
    """Reward of green staking of owners with a site each, beside one other owner: docs/settlement.md."""
    mine = [
        Staker(owner=str(name), stake_wei=stake, sites=(SiteGreen(site=str(name), energy_wh=energy, q_ppm=q),))
        for name, (stake, energy, q) in enumerate(zip(stakes_wei, wh, q_ppm, strict=True))
    ]
    terms = StakingTerms(budget_wei=BUDGET_WEI, green_ppm=G_PPM, stake_wei_per_wh=KAPPA)
    found = staking_rewards(terms, [*mine, Staker(owner="other", stake_wei=BUDGET_WEI)])
    return sum(one.reward_wei for one in found if one.owner != "other")


def sybil(draw: random.Random) -> Played:
    """One owner of one site appears as up to ten."""
    stake, energy, q = draw.randrange(1, 10**21), draw.randrange(1, 10**6), draw.randrange(PPM + 1)
    names = draw.randint(2, 10)
    stakes, parts = parts_of(stake, names, draw), parts_of(energy, names, draw)
    gain = reward(stakes, parts, [q] * names) / max(1, reward([stake], [energy], [q])) - 1
    return Played(gain_usd=max(0.0, gain) * MY.rewards_most_usd)


def parts_of(whole: int, count: int, draw: random.Random) -> list[int]:
    """Integers at random that sum to a whole."""
    marks = sorted(draw.randint(0, whole) for _ in range(count - 1))
    return [high - low for low, high in zip([0, *marks], [*marks, whole], strict=True)]


def self_dealing(draw: random.Random) -> Played:
    """Jobs bought from oneself for the rewards: half the fees come back at the most."""
    paid = draw.uniform(1, 10_000)
    after_offset = paid * (1 - MY.offset_share)
    most = after_offset * (1 - MY.provider_share) / 2
    return Played(gain_usd=most, cost_usd=paid - after_offset * MY.provider_share)


LIES = (
    Lie(key="forged_receipt", ends=Ends.DETECTED, play=forged_receipt),
    Lie(key="rewritten_journal", ends=Ends.DETECTED, play=rewritten),
    Lie(key="operator_fork", ends=Ends.DETECTED, play=forked),
    Lie(key="omitted_seals", ends=Ends.DETECTED, play=omitted),
    Lie(key="beacon_grinding", ends=Ends.DETECTED, play=ground),
    Lie(key="lost_key_feigned", ends=Ends.DETECTED, play=lost_key_feigned),
    Lie(key="stolen_key", ends=Ends.DETECTED, play=stolen_key),
    Lie(key="false_verdict", ends=Ends.BOUNDED, play=judged_falsely(decided=True)),
    Lie(key="withheld_decision", ends=Ends.BOUNDED, play=judged_falsely(decided=False)),
    Lie(key="sybil_split", ends=Ends.BOUNDED, play=sybil),
    Lie(key="self_dealing", ends=Ends.BOUNDED, play=self_dealing),
)
