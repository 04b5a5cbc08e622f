"""advance(state, event) → commands; the dispatch, and what is looked at when time passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sunward.engine import (
    asleep,
    calls,
    ceilings,
    certificates,
    challenges,
    epochs,
    jobs,
    leases,
    membership,
    offset,
    onchain,
    places,
    plans,
    policy,
    rate,
    readings,
    reserve,
    sites,
    slashing,
    staking,
    trust,
)
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InvariantError
from sunward.model.commands import Command
from sunward.model.credit_events import CreditRulesSet, CreditsOrdered, CreditsRefused, CreditsRetired
from sunward.model.events import (
    AgentLost,
    AgentSeen,
    AppealDecided,
    AppealFiled,
    CancelRequested,
    ChallengeCommitted,
    ChallengeJudged,
    ChallengeRulesSet,
    ChallengesDrawn,
    ClockMapped,
    Deposited,
    EpochRequested,
    Event,
    EvidenceFiled,
    ForecastIssued,
    JobsSubmitted,
    KeyRotated,
    LeasesReported,
    NetworkStarted,
    PlanProposed,
    PolicySet,
    PowerReported,
    RateObserved,
    ReadingsRefused,
    ReadingsSealed,
    SignalObserved,
    SiteAsleep,
    SiteCurtailed,
    SiteDrained,
    SiteEnrolled,
    SiteLeft,
    TimerFired,
    VerdictIssued,
)
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesImported,
    CertificatesIssued,
    CertificatesMoved,
    CertificatesWithdrawn,
    GenerationDeclared,
)
from sunward.model.identity import SiteId
from sunward.model.onchain_events import ChainNamed, EpochPosted, WalletBound
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.model.rate import PricesTold, RateConfirmed, RateRulesSet
from sunward.model.reserve_events import (
    CallReleased,
    DrillsDrawn,
    PromiseCalled,
    PromiseOffered,
    PromiseSold,
    PromiseWithdrawn,
    ReserveRulesSet,
    ReserveUsdTold,
    VaultRequested,
)
from sunward.model.staking_events import (
    ExitWithdrawn,
    HarmTold,
    RewardsClaimed,
    StakeRequested,
    StakingRulesSet,
    UnstakeRequested,
)


def advance(state: State, event: Event) -> tuple[Command, ...]:
    """Apply one event: the state changes in place, the commands tell the shell what to do.

    Deterministic: equal states and events give equal states and commands. The event must have passed `check`.
    Raises: InvariantError when the state contradicts itself.
    """
    world = state.world
    if event.at_ms < world.at_ms:
        raise InvariantError(f"event at {event.at_ms} after one at {world.at_ms}: grid time runs forward")
    world.sequence += 1
    world.at_ms = event.at_ms
    turn = Turn(state, event.at_ms)
    _HANDLERS[type(event.payload)](turn, event.payload)
    while turn.to_look_at:
        jobs.look_at(turn, turn.to_look_at.popleft())
    if world.reserve.calls or world.reserve.serving:
        calls.serve(turn)
    return turn.finish()


def check(state: State, event: Event) -> None:
    """Refuse what a caller got wrong, before it is recorded.

    Raises: InputError, NotFoundError, ConflictError.
    """
    checker = _CHECKS.get(type(event.payload))
    if checker is not None:
        checker(state, event.payload)


def _timer(turn: Turn, payload: TimerFired) -> None:
    """Look at everything that has become due."""
    del payload
    for _, kind, ref in turn.state.take_due(turn.at_ms):
        _DUE[kind](turn, ref)


def _slot_due(turn: Turn, ref: str) -> None:
    """Plan the next slot, and go on while there is work."""
    del ref
    turn.request_plan("slot")
    if len(turn.world.jobs) > len(turn.state.closing):
        jobs.arm_slot(turn)


def _epoch_due(turn: Turn, ref: str) -> None:
    """Close the epoch, unless the operator did so before its end."""
    if ref == str(turn.state.epoch):
        epochs.close_epoch(turn)


def _rate_observed(turn: Turn, payload: RateObserved) -> None:
    """What is settled from now on, and what the reserve is worth."""
    sites.rate_observed(turn, payload)
    reserve.rate_observed(turn, payload)


def _epoch_requested(turn: Turn, payload: EpochRequested) -> None:
    """Close now, on the operator's word."""
    del payload
    epochs.close_epoch(turn)


def _key_rotated(turn: Turn, payload: KeyRotated) -> None:
    """Remember from which record on which key signs."""
    turn.state.rotations.append((turn.world.sequence, payload.new_public))


def _check_rotated(state: State, payload: KeyRotated) -> None:
    """Refuse a rotation that does not follow the last one.

    Raises: ConflictError.
    """
    known = [key for _, key in state.rotations]
    if (known and payload.old_public != known[-1]) or payload.new_public in {*known, payload.old_public}:
        raise ConflictError("the key to retire is not the one in force, or the new one signed before", code="SW-440")


def _check_site(state: State, payload: Any) -> None:  # noqa: ANN401
    leases.check_site_known(state, payload.site)


def _check_member(state: State, payload: Any) -> None:  # noqa: ANN401
    membership.check_member(state, payload.site)


_DUE: dict[str, Callable[[Turn, str], None]] = {
    "job": lambda turn, ref: turn.look_later([ref]),
    "pool": plans.look_at_power,
    "site": lambda turn, ref: sites.look_at_hours(turn, SiteId(ref)),
    "ceiling": lambda turn, ref: ceilings.look(turn, SiteId(ref)),
    "certificates": lambda turn, _: turn.state.certificates.expire(turn.at_ms),
    "challenge": challenges.look,
    "exit": staking.look,
    "charge": slashing.look,
    "promise": reserve.look,
    "call": calls.look,
    "slot": _slot_due,
    "epoch": _epoch_due,
}

_HANDLERS: dict[type, Callable[[Turn, Any], None]] = {
    NetworkStarted: sites.network_started,
    PolicySet: policy.policy_set,
    ClockMapped: sites.clock_mapped,
    SiteEnrolled: sites.site_enrolled,
    SiteDrained: membership.site_drained,
    SiteLeft: membership.site_left,
    SiteCurtailed: ceilings.site_curtailed,
    AgentSeen: leases.agent_seen,
    AgentLost: leases.agent_lost,
    SiteAsleep: asleep.site_asleep,
    PowerReported: sites.power_reported,
    SignalObserved: sites.signal_observed,
    ForecastIssued: sites.forecast_issued,
    RateObserved: _rate_observed,
    RateRulesSet: rate.rules_set,
    PricesTold: rate.prices_told,
    RateConfirmed: rate.confirmed,
    Deposited: sites.deposited,
    JobsSubmitted: jobs.submit,
    CancelRequested: jobs.cancel,
    PlanProposed: plans.commit,
    LeasesReported: leases.report,
    ReadingsSealed: sites.readings_sealed,
    ReadingsRefused: readings.refused,
    TimerFired: _timer,
    EpochRequested: _epoch_requested,
    KeyRotated: _key_rotated,
    EvidenceFiled: trust.evidence_filed,
    VerdictIssued: trust.verdict_issued,
    AppealFiled: trust.appeal_filed,
    AppealDecided: trust.appeal_decided,
    ChallengeRulesSet: challenges.rules_set,
    ChallengesDrawn: challenges.drawn,
    ChallengeCommitted: challenges.committed,
    ChallengeJudged: challenges.judged,
    GenerationDeclared: certificates.generation_declared,
    CertificatesIssued: certificates.issued,
    CertificatesImported: certificates.imported,
    CertificatesMoved: certificates.moved,
    CertificatesCancelled: certificates.cancelled,
    CertificatesWithdrawn: certificates.withdrawn,
    PlaceRulesSet: places.rules_set,
    PlaceMeasured: places.measured,
    StakingRulesSet: staking.rules_set,
    StakeRequested: staking.staked,
    UnstakeRequested: staking.unstaked,
    ExitWithdrawn: staking.withdrawn,
    RewardsClaimed: staking.claimed,
    ChainNamed: onchain.named,
    WalletBound: onchain.bound,
    EpochPosted: onchain.posted,
    HarmTold: slashing.harm_told,
    ReserveRulesSet: reserve.rules_set,
    ReserveUsdTold: reserve.usd_told,
    VaultRequested: reserve.requested,
    PromiseOffered: reserve.offered,
    PromiseWithdrawn: reserve.withdrawn,
    PromiseSold: reserve.sold,
    PromiseCalled: calls.called,
    CallReleased: calls.released,
    DrillsDrawn: calls.drawn,
    CreditRulesSet: offset.rules_set,
    CreditsOrdered: offset.ordered,
    CreditsRetired: offset.retired,
    CreditsRefused: offset.refused,
}

_CHECKS: dict[type, Callable[[State, Any], None]] = {
    NetworkStarted: sites.check_started,
    PolicySet: policy.check_policy,
    RateObserved: sites.check_rate,
    RateRulesSet: rate.check_rules,
    PricesTold: rate.check_told,
    RateConfirmed: rate.check_confirmed,
    SiteEnrolled: sites.check_enrolled,
    SiteDrained: membership.check_drained,
    SiteLeft: membership.check_left,
    SiteCurtailed: ceilings.check_curtailed,
    AgentSeen: _check_member,
    AgentLost: _check_site,
    SiteAsleep: asleep.check_asleep,
    PowerReported: _check_site,
    LeasesReported: leases.check_reported,
    Deposited: sites.check_deposit,
    JobsSubmitted: jobs.check_submitted,
    CancelRequested: jobs.check_cancel,
    KeyRotated: _check_rotated,
    EvidenceFiled: trust.check_filed,
    VerdictIssued: trust.check_issued,
    AppealFiled: trust.check_appealed,
    AppealDecided: trust.check_decided,
    ChallengeRulesSet: challenges.check_rules,
    ChallengesDrawn: challenges.check_drawn,
    ChallengeCommitted: challenges.check_committed,
    ChallengeJudged: challenges.check_judged,
    GenerationDeclared: certificates.check_declared,
    CertificatesIssued: certificates.check_issued,
    CertificatesImported: certificates.check_imported,
    CertificatesMoved: certificates.check_moved,
    CertificatesCancelled: certificates.check_cancelled,
    CertificatesWithdrawn: certificates.check_withdrawn,
    PlaceRulesSet: places.check_rules,
    PlaceMeasured: places.check_measured,
    StakingRulesSet: staking.check_rules,
    StakeRequested: staking.check_staked,
    UnstakeRequested: staking.check_unstaked,
    ExitWithdrawn: staking.check_withdrawn,
    RewardsClaimed: staking.check_claimed,
    ChainNamed: onchain.check_named,
    WalletBound: onchain.check_bound,
    EpochPosted: onchain.check_posted,
    HarmTold: slashing.check_harm,
    ReserveRulesSet: reserve.check_rules,
    ReserveUsdTold: reserve.check_usd,
    VaultRequested: reserve.check_requested,
    PromiseOffered: reserve.check_offered,
    PromiseWithdrawn: reserve.check_withdrawn,
    PromiseSold: reserve.check_sold,
    PromiseCalled: calls.check_called,
    CallReleased: calls.check_released,
    DrillsDrawn: calls.check_drawn,
    CreditRulesSet: offset.check_rules,
    CreditsOrdered: offset.check_ordered,
    CreditsRetired: offset.check_retired,
    CreditsRefused: offset.check_refused,
}
