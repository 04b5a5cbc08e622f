"""Everything that can happen, as recorded in the journal. State is a function of these and nothing else.

Each kind has a version; a change of meaning gets a new version, and the golden journal of the old one
keeps replaying. `at_ms` of the envelope is grid time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from sunward.errors import InputError
from sunward.model import onchain_events, place_events
from sunward.model.challenge import BeaconValue, ChallengeFault, ChallengeRules, Commitment
from sunward.model.codec import decode, encode
from sunward.model.credit_events import CreditRulesSet, CreditsOrdered, CreditsRefused, CreditsRetired
from sunward.model.datum import Quality
from sunward.model.granular_events import (
    CertificatesCancelled,
    CertificatesImported,
    CertificatesIssued,
    CertificatesMoved,
    CertificatesWithdrawn,
    GenerationDeclared,
)
from sunward.model.identity import JobId, PoolId, SiteId, TenantId
from sunward.model.job import JobSpec
from sunward.model.plan import Plan, PolicyInputs
from sunward.model.rate import PricesTold, RateConfirmed, RateRulesSet
from sunward.model.reading import LeaseSeals, SiteSeal
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
from sunward.model.signal import Forecast, Observation
from sunward.model.site import Ceiling, LeaseReport, PoolPower, SiteSpec
from sunward.model.staking_events import (
    ExitWithdrawn,
    HarmTold,
    RewardsClaimed,
    StakeRequested,
    StakingRulesSet,
    UnstakeRequested,
)
from sunward.model.trust import Appeal, Decision, Evidence, VerdictRecord

PROVIDER_SHARE_BPS = 8_000
OFFSET_START_BPS = 100
"""The rules a network starts with: the provider's share, out of what the offset leaves (docs/settlement.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStarted:
    """The first event: the rules of this network, fixed before any job runs."""

    network: str
    policy: PolicyInputs
    epoch_ms: int
    provider_share_bps: int = PROVIDER_SHARE_BPS
    offset_floor_bps: int = 50
    offset_ceiling_bps: int = 500
    offset_step_bps: int = 50
    offset_start_bps: int = OFFSET_START_BPS
    offset_price_usd_micro_per_t: int = 100_000_000
    """100 USD/t: the price test credits are budgeted at; a modelled figure, not a quote."""
    offset_margin_bps: int = 1_000
    """b of the control loop (DESIGN §9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """What plans are made by from now on, whole; the slots of plans stay as the network started with them."""

    policy: PolicyInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMapped:
    """Grid time = grid_ms + (machine − machine_ms) · speed, from this event on."""

    machine_ms: int
    grid_ms: int
    speed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteEnrolled:
    """A provider's site joined, or declared itself anew."""

    spec: SiteSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDrained:
    """The owner wants the site empty, or wants work again; what can be paused moves, other work ends where it is."""

    site: SiteId
    draining: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLeft:
    """A site left: it is planned on no more, and what it declared stays for the accounts."""

    site: SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCurtailed:
    """What a site may draw is limited for a while, as named; or a limit that was told is lifted again."""

    site: SiteId
    ceiling: Ceiling
    cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSeen:
    """An agent is reachable; a new boot means that nothing of the old one still runs."""

    site: SiteId
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLost:
    """An agent has been silent for longer than the grace, measured on the machine clock."""

    site: SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAsleep:
    """The machine of a site sleeps, and its agent with it; it is not lost before it should be back."""

    site: SiteId
    until_ms: int
    """Grid time at which it is ready again by its own alarm; 0 = it is awake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReported:
    """Containers by power state, as the agent sees them."""

    site: SiteId
    pools: tuple[PoolPower, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalObserved:
    """Observed values of zones; a later value for the same hour is a revision."""

    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastIssued:
    """Forecasts for planning, with the digest of the whole set."""

    forecasts: tuple[Forecast, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateObserved:
    """The exchange rate used from now on: wei for one micro-USD."""

    wei_per_usd_micro: int
    sources: tuple[str, ...]
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """Test ATH credited to a tenant by the local faucet."""

    tenant: TenantId
    amount_wei: int
    deposit: str = ""
    """Name under which it was asked for, so that asking again credits nothing; empty for one nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsSubmitted:
    """One job or a whole batch."""

    jobs: tuple[JobSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """The tenant no longer wants the job."""

    job: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProposed:
    """A plan solved outside, recorded whole; commit checks each assignment."""

    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesReported:
    """Changes that an agent reports of its leases."""

    site: SiteId
    boot: str
    reports: tuple[LeaseReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsSealed:
    """All batches that one ingest shard accepted in one window: Merkle root and per-lease totals."""

    shard: str
    start_ms: int
    end_ms: int
    root: str
    """Merkle root over the signed batches, ordered by (site, counter)."""
    batches: int
    sites: tuple[SiteSeal, ...]
    leases: LeaseSeals


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsRefused:
    """What the ingest refused between two seals, by site and fault; columns of equal length, in that order."""

    sites: tuple[SiteId, ...]
    faults: tuple[str, ...]
    counts: tuple[int, ...]
    """Different messages: the same one sent again is one."""
    examples: tuple[str, ...]
    """SHA-256 of the first message of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """Grid time reached a moment at which something is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRequested:
    """The operator closes the epoch now instead of at its scheduled end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotated:
    """The control plane signs with a new key, from this record on; the old one vouches for it and is retired."""

    old_public: str
    """Ed25519 key that signed until now, 64 hex digits."""
    new_public: str
    signature: str
    """Of the old key over `sunward.model.chain.rotation_bytes`, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFiled:
    """A reason to believe something of a site was given, or one that was given has been checked."""

    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictIssued:
    """A claim was checked and failed; issued again it changes nothing."""

    verdict: VerdictRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealFiled:
    """Whom a verdict is about contradicts it."""

    appeal: Appeal


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealDecided:
    """Someone else has looked at a verdict again."""

    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRulesSet:
    """How sites are challenged from now on, whole."""

    rules: ChallengeRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengesDrawn:
    """A value from outside decides who is challenged: among candidates fixed before, or at pools asked for by name."""

    draw: int
    """The record that fixed the candidates; 0: the operator asked for `pools`."""
    beacon: BeaconValue
    pools: tuple[PoolId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeCommitted:
    """The roots of all products have arrived; what is to be opened is not drawn before this is recorded."""

    challenge: str
    commitment: Commitment


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeJudged:
    """The answer was checked outside; no fault = passed."""

    challenge: str
    nonce: str
    """Of the commitment that was judged."""
    question: str
    """From it followed what was opened; empty where nothing was asked any more."""
    answer: str
    """SHA-256 of the answer, or empty."""
    faults: tuple[ChallengeFault, ...]


Payload: TypeAlias = (
    NetworkStarted
    | PolicySet
    | ClockMapped
    | SiteEnrolled
    | SiteDrained
    | SiteLeft
    | SiteCurtailed
    | AgentSeen
    | AgentLost
    | SiteAsleep
    | PowerReported
    | SignalObserved
    | ForecastIssued
    | RateObserved
    | RateRulesSet
    | PricesTold
    | RateConfirmed
    | Deposited
    | JobsSubmitted
    | CancelRequested
    | PlanProposed
    | LeasesReported
    | ReadingsSealed
    | ReadingsRefused
    | TimerFired
    | EpochRequested
    | KeyRotated
    | EvidenceFiled
    | VerdictIssued
    | AppealFiled
    | AppealDecided
    | ChallengeRulesSet
    | ChallengesDrawn
    | ChallengeCommitted
    | ChallengeJudged
    | GenerationDeclared
    | CertificatesIssued
    | CertificatesImported
    | CertificatesMoved
    | CertificatesCancelled
    | CertificatesWithdrawn
    | place_events.Places
    | StakingRulesSet
    | onchain_events.OnChain
    | StakeRequested
    | UnstakeRequested
    | ExitWithdrawn
    | RewardsClaimed
    | HarmTold
    | ReserveRulesSet
    | ReserveUsdTold
    | VaultRequested
    | PromiseOffered
    | PromiseWithdrawn
    | PromiseSold
    | PromiseCalled
    | CallReleased
    | DrillsDrawn
    | CreditRulesSet
    | CreditsOrdered
    | CreditsRetired
    | CreditsRefused
)

KINDS: dict[str, tuple[type[Payload], int]] = {
    "network_started": (NetworkStarted, 1),
    "policy_set": (PolicySet, 1),
    "clock_mapped": (ClockMapped, 1),
    "site_enrolled": (SiteEnrolled, 1),
    "site_drained": (SiteDrained, 1),
    "site_left": (SiteLeft, 1),
    "site_curtailed": (SiteCurtailed, 1),
    "agent_seen": (AgentSeen, 1),
    "agent_lost": (AgentLost, 1),
    "site_asleep": (SiteAsleep, 1),
    "power_reported": (PowerReported, 1),
    "signal_observed": (SignalObserved, 1),
    "forecast_issued": (ForecastIssued, 1),
    "rate_observed": (RateObserved, 1),
    "rate_rules_set": (RateRulesSet, 1),
    "prices_told": (PricesTold, 1),
    "rate_confirmed": (RateConfirmed, 1),
    "deposited": (Deposited, 1),
    "jobs_submitted": (JobsSubmitted, 1),
    "cancel_requested": (CancelRequested, 1),
    "plan_proposed": (PlanProposed, 1),
    "leases_reported": (LeasesReported, 1),
    "readings_sealed": (ReadingsSealed, 1),
    "readings_refused": (ReadingsRefused, 1),
    "timer_fired": (TimerFired, 1),
    "epoch_requested": (EpochRequested, 1),
    "key_rotated": (KeyRotated, 1),
    "evidence_filed": (EvidenceFiled, 1),
    "verdict_issued": (VerdictIssued, 1),
    "appeal_filed": (AppealFiled, 1),
    "appeal_decided": (AppealDecided, 1),
    "challenge_rules_set": (ChallengeRulesSet, 1),
    "challenges_drawn": (ChallengesDrawn, 1),
    "challenge_committed": (ChallengeCommitted, 1),
    "challenge_judged": (ChallengeJudged, 1),
    "generation_declared": (GenerationDeclared, 1),
    "certificates_issued": (CertificatesIssued, 1),
    "certificates_imported": (CertificatesImported, 1),
    "certificates_moved": (CertificatesMoved, 1),
    "certificates_cancelled": (CertificatesCancelled, 1),
    "certificates_withdrawn": (CertificatesWithdrawn, 1),
    **place_events.KINDS,
    "staking_rules_set": (StakingRulesSet, 1),
    **onchain_events.KINDS,
    "stake_requested": (StakeRequested, 1),
    "unstake_requested": (UnstakeRequested, 1),
    "exit_withdrawn": (ExitWithdrawn, 1),
    "rewards_claimed": (RewardsClaimed, 1),
    "harm_told": (HarmTold, 1),
    "reserve_rules_set": (ReserveRulesSet, 1),
    "reserve_usd_told": (ReserveUsdTold, 1),
    "vault_requested": (VaultRequested, 1),
    "promise_offered": (PromiseOffered, 1),
    "promise_withdrawn": (PromiseWithdrawn, 1),
    "promise_sold": (PromiseSold, 1),
    "promise_called": (PromiseCalled, 1),
    "call_released": (CallReleased, 1),
    "drills_drawn": (DrillsDrawn, 1),
    "credit_rules_set": (CreditRulesSet, 1),
    "credits_ordered": (CreditsOrdered, 1),
    "credits_retired": (CreditsRetired, 1),
    "credits_refused": (CreditsRefused, 1),
}
_KIND_OF = {cls: (kind, version) for kind, (cls, version) in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Event:
    """One happening at one moment of grid time."""

    at_ms: int
    payload: Payload
    recorded: bytes = field(default=b"", compare=False, repr=False)
    """The body as the journal holds it: its hash covers these bytes, also when the kind has gained fields since."""

    @property
    def kind(self) -> str:
        """Stable name of the payload's type."""
        return _KIND_OF[type(self.payload)][0]

    @property
    def version(self) -> int:
        """Version of the payload's meaning."""
        return _KIND_OF[type(self.payload)][1]

    def body(self) -> bytes:
        """Canonical bytes of the payload; of a recorded event those that were recorded."""
        return self.recorded or encode(self.payload)


def read_event(kind: str, version: int, at_ms: int, body: bytes) -> Event:
    """Rebuild a recorded event.

    Raises: InputError for an unknown kind or version, or a body that does not fit.
    """
    known = KINDS.get(kind)
    if known is None or known[1] != version:
        raise InputError(f"unknown event kind {kind} version {version}; upgrade sunward", code="SW-102")
    return Event(at_ms, decode(body, known[0]), body)
