"""The golden journal: every kind of event in its version 1, as once written, still replays to the same books.

The files are never written again. A new kind or version gets a new file beside them; to begin one, delete nothing,
name the new file below and run with UPDATE_GOLDEN=1.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.engine.rate import due as rate_due
from sunward.engine.writer import replay
from sunward.model.chain import GENESIS, record_hash, rotation_bytes
from sunward.model.challenge import BeaconValue, Challenge, ChallengeFault, ChallengeRules, Commitment
from sunward.model.credit_events import CreditRulesSet, CreditsOrdered, CreditsRefused, CreditsRetired
from sunward.model.credits import CreditRules, RetiredCredits
from sunward.model.datum import Quality, SeriesKind
from sunward.model.events import (
    KINDS,
    AgentLost,
    AgentSeen,
    AppealDecided,
    AppealFiled,
    CancelRequested,
    ChallengeCommitted,
    ChallengeJudged,
    ChallengeRulesSet,
    ChallengesDrawn,
    EpochRequested,
    Event,
    EvidenceFiled,
    ForecastIssued,
    KeyRotated,
    PolicySet,
    PowerReported,
    RateObserved,
    ReadingsRefused,
    SiteAsleep,
    SiteCurtailed,
    SiteDrained,
    SiteEnrolled,
    SiteLeft,
    TimerFired,
    VerdictIssued,
    read_event,
)
from sunward.model.granular_events import (
    CertificatesMoved,
    CertificatesWithdrawn,
    GenerationDeclared,
)
from sunward.model.identity import JobId, SiteId, TenantId, ZoneId
from sunward.model.onchain_events import ChainNamed, EpochPosted, WalletBound
from sunward.model.place import Anchor, PlaceRules, RoundTrip
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.model.plan import AwakeTarget
from sunward.model.rate import PricesTold, RateConfirmed, RateRulesSet, ToldPrice
from sunward.model.signal import Forecast
from sunward.model.site import Ceiling, Phase, PoolPower, Sleep
from sunward.model.staking_events import (
    ExitWithdrawn,
    HarmTold,
    RewardsClaimed,
    StakeRequested,
    StakingRulesSet,
    UnstakeRequested,
)
from sunward.model.trust import APPEAL_MS, Appeal, Consequence, Decision, Dimension, Evidence, Level, VerdictRecord
from sunward.model.wire import RecordedEvent
from sunward.ports import Recorded
from sunward.sim.memory import MemoryJournal
from sunward.units import DAY_MS, HOUR_MS
from sunward.verification.journal import verify_chain
from tests.support import staking, supply
from tests.support.network import COAL, HYDRO, SOLAR, Network, assignment, segment, unplaced
from tests.support.reserve import told_of_reserve
from tests.support.scenarios import SITES, START_MS, job

HERE = Path(__file__).parent
HEADS = {
    "journal-v1-credits.jsonl": "e1c12f110503795eea17140595750e5897eeda9ccffdac7dd4173558df97daa7",
    "journal-v1-chain.jsonl": "ee61aea930a6193f0d6a45b08f7d730a32b35bc7544fe2c4fa1de866ba0f446b",
    "journal-v1-places.jsonl": "7bf33fbfaeeaa5f2db44c87bacf9cc4115fac3d41ddb195aea1d067869685fa1",
    "journal-v1-stakes.jsonl": "f1df40b0e4f05108d968b27d1e88ccdf5268a2f75e4152a17989fac4dd151513",
    "journal-v1-reserve.jsonl": "4db19bef5db8cb5fa9ef38dd7bf1c7a37fe583f19a8a977bcf294ee6511e9287",
    "journal-v1-rates.jsonl": "f36c3a79b1196c558e49738a4598067ec091f144db2388d8e8f33f30dfde427c",
    "journal-v1-readings.jsonl": "173a7f487ade2e5db0dd852e2d5f4bd29b42a2c5419335bfb5bd6e3aa8956736",
    "journal-v1-challenges.jsonl": "3248290cdfcc0cdb96ff7cc27466a2a8270b451d0c8b86f2d90c27b8dd09f696",
    "journal-v1-certificates.jsonl": "731658f03dd8e6a2e6957dc3fb95e97687873ed1897b6805e43d741c05c9614e",
    "journal-v1-trust.jsonl": "e036f992ca94c627d7d0c7a79a19e398deb93b22973de0e7d55f6958fac4b26f",
    "journal-v1-policy.jsonl": "5a6ef3a8bf69ab18bd9ebf8c2dafbbb39f6f696b553411b08a0effbdf4f43a2f",
    "journal-v1-keys.jsonl": "fd56e960e4a4f5b5bdc97d288b27812350553ba1eac01ee036235ea9329622c7",
    "journal-v1.jsonl": "d8aa7d75e53998c0dba73c14ebff274dbc5810544243090574b1f61c3087ed52",
    "journal-v1-sites.jsonl": "94137208a57136a986574edbd28fc7382439f7fd4dddb2504988bbd326f97e83",
    "journal-v1-asleep.jsonl": "e2a15af39305ad9940e26111fb650427772d49733a5fa023babdd113a470a708",
    "journal-v1-ceilings.jsonl": "2dc15ff2e01ce1a89e88c88b01c0b9f0f2832f1df3694829280581af6b14e2cd",
}
EPOCHS = {"journal-v1-credits.jsonl": 3, "journal-v1-chain.jsonl": 3, "journal-v1-stakes.jsonl": 3}
BALANCES = {
    "journal-v1-credits.jsonl": {
        "faucet:test": -(10**21),
        "network": 950_400_000_000_000_000,
        "offset": 24_060_000_000_000_000,
        "provider:p-no-hydro": 3_801_600_000_000_000_000,
        "retired": 23_940_000_000_000_000,
        "tenant:t-alpha": 995_200_000_000_000_000_000,
    },
    "journal-v1-chain.jsonl": {
        "budget:bonus": 20_000_000_000_000_000_000,
        "budget:staking": 40_000_000_000_000_000_000,
        "faucet:test": -1_159_000_000_000_000_000_000,
        "rewards:p-no-hydro": 59_000_000_000_000_000_000,
        "stake:p-no-hydro": 40_000_000_000_000_000_000,
        "tenant:t-alpha": 1_000_000_000_000_000_000_000,
    },
    "journal-v1-places.jsonl": {
        "faucet:test": -(10**21),
        "network": 356_400_000_000_000_000,
        "offset": 18_000_000_000_000_000,
        "provider:p-pl-coal": 1_425_600_000_000_000_000,
        "tenant:t-alpha": 998_200_000_000_000_000_000,
    },
    "journal-v1-stakes.jsonl": {
        "budget:bonus": 20_000_000_000_000_000_000,
        "budget:staking": 40_000_000_000_000_000_001,
        "faucet:test": -1_259_000_000_000_000_000_000,
        "network": 950_400_000_000_000_000,
        "offset": 91_574_645_748_809_407,
        "provider:p-no-hydro": 88_907_816_851_870_004_816,
        "reserve": 3_099_950_000_000_000_000,
        "rewards:p-es-solar": 32_850_708_502_381_185_776,
        "stake:p-es-solar": 40_000_000_000_000_000_000,
        "stake:p-no-hydro": 30_899_550_000_000_000_000,
        "tenant:t-alpha": 995_200_000_000_000_000_000,
        "tenant:t-beta": 7_000_000_000_000_000_000,
    },
    "journal-v1-reserve.jsonl": {
        "faucet:test": -(10**21),
        "reserve": 100_000_000_000_000_000_000,
        "tenant:t-alpha": 900_000_000_000_000_000_000,
    },
    "journal-v1-rates.jsonl": {
        "faucet:test": -(10**21),
        "network": 678_857_142_856_939_200,
        "offset": 34_285_714_285_704_000,
        "provider:p-no-hydro": 2_715_428_571_427_756_800,
        "tenant:t-alpha": 996_571_428_571_429_600_000,
    },
    "journal-v1-readings.jsonl": {
        "faucet:test": -(10**21),
        "network": 950_400_000_000_000_000,
        "offset": 48_000_000_000_000_000,
        "provider:p-no-hydro": 3_801_600_000_000_000_000,
        "tenant:t-alpha": 995_200_000_000_000_000_000,
    },
    "journal-v1-challenges.jsonl": {
        "faucet:test": -(10**21),
        "network": 950_400_000_000_000_000,
        "offset": 48_000_000_000_000_000,
        "provider:p-no-hydro": 3_801_600_000_000_000_000,
        "tenant:t-alpha": 995_200_000_000_000_000_000,
    },
    "journal-v1-certificates.jsonl": {
        "faucet:test": -(10**21),
        "network": 554_400_000_000_000_000,
        "offset": 28_000_000_000_000_000,
        "provider:p-es-solar": 2_217_600_000_000_000_000,
        "tenant:t-alpha": 997_200_000_000_000_000_000,
    },
    "journal-v1-trust.jsonl": {
        "faucet:test": -(10**21),
        "network": 950_400_000_000_000_000,
        "offset": 48_000_000_000_000_000,
        "provider:p-no-hydro": 3_801_600_000_000_000_000,
        "tenant:t-alpha": 995_200_000_000_000_000_000,
    },
    "journal-v1-policy.jsonl": {
        "faucet:test": -(10**21),
        "network": 950_400_000_000_000_000,
        "offset": 48_000_000_000_000_000,
        "provider:p-no-hydro": 3_801_600_000_000_000_000,
        "tenant:t-alpha": 995_200_000_000_000_000_000,
    },
    "journal-v1-keys.jsonl": {"faucet:test": -(10**21), "tenant:t-alpha": 10**21},
    "journal-v1.jsonl": {
        "faucet:test": -(10**21),
        "network": 3_009_600_000_000_000_000,
        "offset": 152_000_000_000_000_000,
        "provider:p-es-solar": 4_435_200_000_000_000_000,
        "provider:p-no-hydro": 7_603_200_000_000_000_000,
        "tenant:t-alpha": 984_800_000_000_000_000_000,
    },
    "journal-v1-sites.jsonl": {
        "faucet:test": -(10**21),
        "network": 2_059_200_000_000_000_000,
        "offset": 104_000_000_000_000_000,
        "provider:p-es-solar": 4_435_200_000_000_000_000,
        "provider:p-no-hydro": 3_801_600_000_000_000_000,
        "tenant:t-alpha": 989_600_000_000_000_000_000,
    },
    "journal-v1-asleep.jsonl": {
        "faucet:test": -(10**21),
        "network": 950_400_000_000_000_000,
        "offset": 48_000_000_000_000_000,
        "provider:p-home": 3_801_600_000_000_000_000,
        "tenant:t-alpha": 995_200_000_000_000_000_000,
    },
    "journal-v1-ceilings.jsonl": {
        "faucet:test": -(10**21),
        "network": 2_455_200_000_000_000_000,
        "offset": 124_000_000_000_000_000,
        "provider:p-es-solar": 2_217_600_000_000_000_000,
        "provider:p-no-hydro": 7_603_200_000_000_000_000,
        "tenant:t-alpha": 987_600_000_000_000_000_000,
    },
}
"""15.2 ATH: 2 h at 2.40 and 2 h at 1.40 USD, 2 ATH a USD, 1 % offset, 80 % of the rest to the providers.
Then 10.4 ATH: 2 h at the 1.40 USD that stood when they were offered, 1 h at 2.40 USD. Then 4.8 ATH:
1 h at 2.40 USD. Then 12.4 ATH: 2 h at 2.40 and 1 h at 1.40 USD."""


def told() -> MemoryJournal:
    """One event of every kind, in a history that makes sense."""
    network = Network()
    forecast = Forecast(
        zone=ZoneId("DE"),
        kind=SeriesKind.CARBON_AVERAGE_LIFECYCLE,
        issued_ms=START_MS,
        start_ms=START_MS,
        p10=(1,) * 6,
        p50=(2,) * 6,
        p90=(3,) * 6,
        source="flat",
        quality=Quality.FORECAST,
    )
    network.tell(ForecastIssued(forecasts=(forecast,), digest="d" * 64))
    network.tell(
        PowerReported(site=SiteId("no-hydro"), pools=(PoolPower(pool=HYDRO, asleep=4, waking=0, idle=0, busy=0),))
    )
    network.submit(job("j-1", interruptible=True, functional_unit="step"), job("j-2"), job("j-3", gpus=8), job("j-4"))
    network.plan(
        assignment("j-1", segment(HYDRO, 0, 2)),
        assignment("j-2", segment(SOLAR, 0, 2)),
        assignment("j-4", segment(COAL, 3, 5)),
        leave=(unplaced("j-3", permanent=True),),
    )
    network.report("j-1.1", Phase.RUNNING)
    network.report("j-2.1", Phase.RUNNING)
    network.tell(CancelRequested(job=JobId("j-4")))
    network.wait(0.5)
    network.report("j-2.1", Phase.RUNNING, units=250, checkpoint=250)
    network.tell(AgentLost(site=SiteId("es-solar")), AgentSeen(site=SiteId("es-solar"), boot="es-solar-2"))
    network.plan(assignment("j-1", segment(SOLAR, 0.5, 2)), assignment("j-2", segment(HYDRO, 0.5, 3)))
    network.report("j-1.1", Phase.SUSPENDED, units=300, checkpoint=300)
    network.report("j-1.2", Phase.RUNNING, units=300)
    network.report("j-2.2", Phase.RUNNING, units=250)
    network.wait(1)
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    network.report("j-2.2", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000, "j-2.2": 2_000_000})
    network.seal("es-solar", {"j-1.2": 3_000_000, "j-2.1": 500_000})
    network.tell(TimerFired(), EpochRequested())
    return network.journal


def told_of_sites() -> MemoryJournal:
    """A site that closes for hours and keeps containers for its owner; one that drains, leaves and comes back."""
    spec = replace(SITES[0], closed_hours_utc=(7,), wake_s=60, sleep=Sleep.OFF, asleep_w=8, gpu_year=2023)
    network = Network()
    network.tell(SiteEnrolled(spec=spec))
    kept = PoolPower(pool=HYDRO, asleep=0, waking=0, idle=4, busy=0, withheld=1)
    network.tell(PowerReported(site=SiteId("no-hydro"), pools=(kept,)))
    network.submit(job("j-1", interruptible=True), job("j-2"))
    network.plan(assignment("j-1", segment(SOLAR, 0, 2)), assignment("j-2", segment(SOLAR, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.report("j-2.1", Phase.RUNNING)
    network.tell(SiteEnrolled(spec=replace(SITES[1], ask_usd_micro_per_gpu_h=2_000_000)))
    network.wait(0.5)
    network.tell(SiteDrained(site=SiteId("es-solar"), draining=True))
    network.report("j-1.1", Phase.SUSPENDED, units=250, checkpoint=250)
    network.plan(assignment("j-1", segment(HYDRO, 2, 4)))
    network.wait(1.5)
    network.report("j-2.1", Phase.FINISHED, units=1_000)
    network.seal("es-solar", {"j-1.1": 1_000_000, "j-2.1": 2_000_000})
    network.tell(SiteLeft(site=SiteId("es-solar")), SiteEnrolled(spec=SITES[1]))
    network.report("j-1.2", Phase.RUNNING, units=250)
    network.wait(1)
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.2": 3_000_000})
    network.tell(EpochRequested())
    return network.journal


def told_of_sleep() -> MemoryJournal:
    """A machine sleeps, is woken by its neighbour for a job, sleeps again and never comes back."""
    north = replace(SITES[0], owner=TenantId("p-home"), lan="home", wake_mac="02:00:5e:10:00:01")
    network = Network(sites=(north, replace(SITES[1], owner=TenantId("p-home"), lan="home")))
    network.tell(SiteAsleep(site=SiteId("no-hydro"), until_ms=START_MS + 3 * HOUR_MS))
    network.submit(job("j-1"))
    awake = AwakeTarget(pool=HYDRO, start_ms=START_MS + HOUR_MS // 2, end_ms=START_MS + 3 * HOUR_MS, count=1)
    network.plan(assignment("j-1", segment(HYDRO, 1, 3)), awake=(awake,))
    network.wait(0.6)
    network.tell(SiteAsleep(site=SiteId("no-hydro"), until_ms=0))
    network.wait(0.4)
    network.report("j-1.1", Phase.RUNNING)
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000})
    network.tell(SiteAsleep(site=SiteId("no-hydro"), until_ms=START_MS + 4 * HOUR_MS))
    network.wait(2)
    network.tell(AgentLost(site=SiteId("no-hydro")), EpochRequested())
    return network.journal


def told_of_ceilings() -> MemoryJournal:
    """Two grid events: one that running work yields to, told again as longer, and one that is lifted before it came."""
    network = Network()
    north = SiteId("no-hydro")
    event = Ceiling(
        ceiling="g-1",
        start_ms=START_MS + HOUR_MS // 2,
        end_ms=START_MS + HOUR_MS,
        ceiling_w=1_000,
        source="operator",
    )
    other = replace(event, ceiling="g-2", start_ms=START_MS + 4 * HOUR_MS, end_ms=START_MS + 5 * HOUR_MS, source="grid")
    network.submit(job("j-1", interruptible=True), job("j-2"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)), assignment("j-2", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.report("j-2.1", Phase.RUNNING)
    network.tell(SiteCurtailed(site=north, ceiling=event), SiteCurtailed(site=north, ceiling=other))
    network.tell(SiteCurtailed(site=north, ceiling=replace(event, end_ms=START_MS + 2 * HOUR_MS)))
    network.wait(0.5)
    network.report("j-1.1", Phase.SUSPENDED, units=500, checkpoint=500)
    network.plan(assignment("j-1", segment(SOLAR, 0.5, 2)))
    network.report("j-1.2", Phase.RUNNING, units=500)
    network.tell(SiteCurtailed(site=north, ceiling=other, cancelled=True))
    network.wait(1)
    network.report("j-1.2", Phase.FINISHED, units=1_000)
    network.report("j-2.1", Phase.FINISHED, units=1_000)
    network.wait(1)
    network.seal("no-hydro", {"j-1.1": 1_000_000, "j-2.1": 2_000_000})
    network.seal("es-solar", {"j-1.2": 3_000_000})
    network.tell(EpochRequested())
    return network.journal


def told_of_keys() -> MemoryJournal:
    """A control plane whose signing key changes once, between two epochs."""
    old, new = (Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)) for number in (1, 2))
    names = [key.public_key().public_bytes_raw().hex() for key in (old, new)]
    network = Network()
    network.tell(KeyRotated(old_public=names[0], new_public=names[1], signature=old.sign(rotation_bytes(*names)).hex()))
    network.wait(1)
    network.tell(EpochRequested())
    return network.journal


def told_of_policy() -> MemoryJournal:
    """An operator weighs tenants and changes a price while a job runs."""
    network = Network()
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    policy = network.state.world.network.policy
    network.tell(PolicySet(policy=replace(policy, tenant_shares=(("t-alpha", 3), ("t-beta", 1)))))
    network.wait(2)
    network.tell(PolicySet(policy=replace(policy, water_price_usd_micro_per_l=3_000)))
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000})
    network.tell(EpochRequested())
    return network.journal


def told_of_trust() -> MemoryJournal:
    """A document is filed and checked; a challenge fails, is appealed and upheld, while work goes on."""
    network = Network()
    north, owner = SiteId("no-hydro"), SITES[0].owner
    paper = Evidence(
        evidence="e-1",
        site=north,
        dimension=Dimension.IDENTITY,
        level=Level.DECLARED,
        statement="invoice of four H100",
        digest="a" * 64,
        filed_by=owner,
        valid_until_ms=START_MS + 90 * DAY_MS,
    )
    checked = replace(paper, level=Level.DOCUMENTED, checked_by="a-eve", value=4, unit="GPU", coverage_ppm=990_000)
    late = VerdictRecord(
        verdict="v-1",
        dimension=Dimension.IDENTITY,
        fault="challenge_late",
        sentence="the GPU answered after {took} ms; {model} answers within {limit} ms",
        figures={"took": 900, "model": "H100-SXM", "limit": 400},
        consequence=Consequence.SLASHABLE,
        at_ms=START_MS,
        appeal_until_ms=START_MS + APPEAL_MS,
        issued_by="network",
        site=north,
        lease="j-1.1",
        job="j-1",
        evidence=("c" * 64,),
    )
    network.tell(EvidenceFiled(evidence=paper), EvidenceFiled(evidence=checked))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.tell(VerdictIssued(verdict=late))
    network.tell(AppealFiled(appeal=Appeal(verdict="v-1", by=owner, digest="b" * 64)))
    network.wait(2)
    decision = Decision(verdict="v-1", by=TenantId("a-eve"), upheld=True, reason="repeated on site: 880 ms")
    network.tell(AppealDecided(decision=decision))
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000})
    network.tell(EpochRequested())
    return network.journal


def told_of_challenges() -> MemoryJournal:
    """Pools are drawn; one is asked by name and passes, one gives a wrong answer, one none, while work goes on."""
    network = Network()
    beacon = BeaconValue(source="drand", round=7, value="ab" * 32, label="")
    powers = {
        name: PoolPower(pool=pool, asleep=0, waking=0, idle=2, busy=0)
        for name, pool in (("no-hydro", HYDRO), ("es-solar", SOLAR), ("pl-coal", COAL))
    }
    for name, power in powers.items():
        network.tell(PowerReported(site=SiteId(name), pools=(power,)))
    network.tell(ChallengeRulesSet(rules=ChallengeRules(awake_milli_per_epoch=10**6, asleep_milli_per_epoch=1_000)))
    network.tell(ChallengesDrawn(draw=0, beacon=beacon, pools=(HYDRO,)))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    challenges = network.state.world.challenges
    answer(network, challenges.of_pool(HYDRO), ())
    network.wait(1)
    network.tell(ChallengesDrawn(draw=challenges.draw.sequence, beacon=replace(beacon, round=8)))
    fault = ChallengeFault(key="challenge_product", sentence="row {row} is wrong", figures={"row": 3})
    answer(network, challenges.of_pool(SOLAR), (fault,))
    network.wait(1)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000})
    network.tell(EpochRequested())
    return network.journal


def told_of_certificates() -> MemoryJournal:
    """A site's panels and a tenant's wind cover a part of a job; some certificates move, some are taken back."""
    network = Network()
    network.tell(supply.metered(), GenerationDeclared(device=supply.ROOF))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(SOLAR, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("es-solar", {"j-1.1": 9_000_000})
    network.tell(supply.issued(network, 1_000, 2_000, exported=(0, 500)))
    network.tell(supply.wind(network))
    second = supply.bundles(network)[1]
    network.tell(supply.cancel(network, 3, 900, "job:j-1"))
    network.tell(supply.cancel(network, 0, 600, "site:es-solar"))
    network.tell(
        CertificatesMoved(
            owner=second.owner, to=TenantId("t-beta"), bundle=(second.bundle,), first=(1_001,), last=(1_100,)
        )
    )
    shaded = VerdictRecord(
        verdict="v-sun",
        dimension=Dimension.RENEWABLES,
        fault="shaded",
        sentence="the panels of {site} lay in the shade",
        figures={"site": "es-solar"},
        consequence=Consequence.LEVEL_LOWERED,
        at_ms=network.at_ms,
        appeal_until_ms=network.at_ms + APPEAL_MS,
        issued_by="network",
        site=supply.SITE,
    )
    hour = {"start_ms": START_MS + HOUR_MS, "end_ms": START_MS + 2 * HOUR_MS}
    network.tell(VerdictIssued(verdict=shaded), CertificatesWithdrawn(device="roof", verdict="v-sun", **hour))
    network.tell(EpochRequested())
    return network.journal


def answer(network: Network, one: Challenge, faults: tuple[ChallengeFault, ...]) -> None:
    made = Commitment(
        boot="b", nonce="cd" * 32, roots=("ef" * 32,), round_trip_ms=20, elapsed_ms=3_000, allowed_ms=9_000
    )
    name = one.order.challenge
    network.tell(ChallengeCommitted(challenge=name, commitment=made))
    network.tell(ChallengeJudged(challenge=name, nonce=made.nonce, question="12" * 32, answer="34" * 32, faults=faults))


def told_of_readings() -> MemoryJournal:
    """Batches are refused on three days, and a verdict follows; counters begin anew and a meter counts too little."""
    network = Network()
    north = SiteId("no-hydro")
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    for _ in range(3):
        refused = ReadingsRefused(sites=(north,), faults=("chain_broken",), counts=(2,), examples=("d" * 64,))
        network.tell(refused)
        network.seal(
            "no-hydro",
            faults=("reset",),
            boots=("b-1",),
            covered_ms=HOUR_MS,
            meter_ms=HOUR_MS,
            meter_j=90,
            meter_it_j=100,
            quality=Quality.MEASURED,
        )
        network.wait(24)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000})
    network.tell(EpochRequested())
    return network.journal


def told_of_places() -> MemoryJournal:
    """Places are asked for; an anchor leaves one country to one site, and finds another where it cannot be."""
    network = Network()
    warsaw = Anchor(name="warsaw", key="a" * 64, lat_udeg=52_230_000, lon_udeg=21_010_000, address="anchor.example:1")
    network.tell(PlaceRulesSet(rules=PlaceRules(level=Level.METERED, anchors=(warsaw,))))
    for site, countries in (("pl-coal", ("PL",)), ("no-hydro", ("CZ", "DE", "PL"))):
        trip = RoundTrip(
            anchor_key=warsaw.key,
            lat_udeg=warsaw.lat_udeg,
            lon_udeg=warsaw.lon_udeg,
            site=SiteId(site),
            site_key="00" * 32,
            nonce="5a" * 32,
            answer="12" * 64,
            rtt_us=1_000,
            at_ms=START_MS,
            signature="34" * 64,
        )
        network.tell(PlaceMeasured(trip=trip, countries=countries))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(COAL, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("pl-coal", {"j-1.1": 1_000_000})


def told_of_rates() -> MemoryJournal:
    """Three sources make the rate that a job is paid at; it moves too far, and the operator confirms it."""
    network = Network()
    network.tell(RateRulesSet(sources=("a", "b", "c")))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    for price in (500_000, 700_000):
        prices = (price - 1_000, price, 10 * price)
        told_now = [
            ToldPrice(source=name, usd_micro_per_ath=each, at_ms=network.at_ms)
            for name, each in zip("abc", prices, strict=True)
        ]
        network.tell(PricesTold(prices=tuple(told_now)))
        wei = rate_due(network.state)
        network.tell(RateObserved(wei_per_usd_micro=wei, sources=("a", "b", "c"), quality=Quality.PUBLISHED))
        network.wait(1)
    network.tell(RateConfirmed(usd_micro_per_ath=700_000))
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 1_000_000})
    network.tell(EpochRequested())
    return network.journal


def told_of_stakes() -> MemoryJournal:
    """Stake comes in, earns, goes out by both ways; a claim is paid, and a verdict takes a part and pays who lost."""
    network = Network(epoch_ms=90 * DAY_MS)
    network.tell(StakingRulesSet(rules=staking.RULES))
    north, south = staking.NORTH, staking.SOUTH
    for owner in (north, south):
        staking.bond(network, owner, 100 * staking.ATH)
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 3_600_000})
    network.tell(EpochRequested())
    network.tell(StakeRequested(owner=north, request="2", amount_wei=staking.ATH))
    network.tell(VerdictIssued(verdict=staking.forged(network, fault="other")))
    harm = HarmTold(
        verdict="v-1", tenant=TenantId("t-beta"), ref="j-1", amount_wei=7 * staking.ATH, by=TenantId("a-eve")
    )
    network.tell(harm)
    network.tell(UnstakeRequested(owner=north, request="3", amount_wei=60 * staking.ATH))
    network.tell(UnstakeRequested(owner=south, request="2", amount_wei=60 * staking.ATH, on_chain=True))
    network.wait(12 * 24)
    network.tell(ExitWithdrawn(owner=south, request="2"))
    network.tell(EpochRequested())
    network.tell(RewardsClaimed(owner=north, request="4"))
    network.tell(RewardsClaimed(owner=south, request="3", amount_wei=staking.ATH, on_chain=True))
    return network.journal


def told_of_credits() -> MemoryJournal:
    """An order is refused and the next one filled: a part counts, and a part is marked as a test."""
    network = Network()
    network.tell(CreditRulesSet(rules=CreditRules(registry="vcs", price_usd_micro_per_t=200_000)))
    network.submit(job("j-1"))
    network.plan(assignment("j-1", segment(HYDRO, 0, 2)))
    network.report("j-1.1", Phase.RUNNING)
    network.wait(2)
    network.report("j-1.1", Phase.FINISHED, units=1_000)
    network.seal("no-hydro", {"j-1.1": 3_600_000_000})
    network.tell(EpochRequested())
    (first,) = network.state.credits.open
    network.tell(CreditsOrdered(order=first, reference="q-1"), CreditsRefused(order=first, reason="out of stock"))
    network.wait(7 * 24)
    (second,) = network.state.credits.open.values()
    one = RetiredCredits(
        registry="vcs/7-", first=5, last=5, kg=1, vintage=2025, method="ACM0002", country="IN", project="wind"
    )
    retired = (one, replace(one, first=6, last=second.kg + 4, kg=second.kg - 1, test=True))
    network.tell(CreditsOrdered(order=second.order, reference="q-2"))
    network.tell(CreditsRetired(order=second.order, credits=retired, paid_usd_micro=second.limit_usd_micro // 2))
    return network.journal


def told_of_chain() -> MemoryJournal:
    """A chain is named, owners bind wallets, one of them another one; an epoch is posted, and a claim is seen there."""
    network = Network(epoch_ms=90 * DAY_MS)
    network.tell(StakingRulesSet(rules=staking.RULES))
    first, second = ("0x" + digit * 40 for digit in "12")
    network.tell(ChainNamed(chain_id=31_337, token=first, registry=first, distributor=second, vault=second))
    staking.bond(network, staking.NORTH, 40 * staking.ATH)
    network.tell(WalletBound(owner=staking.NORTH, address=first, signature="0x" + "ab" * 65))
    network.tell(EpochRequested())
    network.tell(EpochRequested())
    network.tell(EpochPosted(epoch=2, evidence_root="ab" * 32, rewards_root="cd" * 32, block=12))
    network.tell(WalletBound(owner=staking.NORTH, address=second, signature="0x" + "cd" * 65))
    network.tell(RewardsClaimed(owner=staking.NORTH, request="0x" + "ef" * 32, amount_wei=staking.ATH, on_chain=True))
    return network.journal


HISTORIES = {
    "journal-v1-credits.jsonl": told_of_credits,
    "journal-v1-chain.jsonl": told_of_chain,
    "journal-v1-places.jsonl": told_of_places,
    "journal-v1-stakes.jsonl": told_of_stakes,
    "journal-v1-reserve.jsonl": told_of_reserve,
    "journal-v1-rates.jsonl": told_of_rates,
    "journal-v1-readings.jsonl": told_of_readings,
    "journal-v1-challenges.jsonl": told_of_challenges,
    "journal-v1-certificates.jsonl": told_of_certificates,
    "journal-v1-trust.jsonl": told_of_trust,
    "journal-v1-policy.jsonl": told_of_policy,
    "journal-v1-keys.jsonl": told_of_keys,
    "journal-v1.jsonl": told,
    "journal-v1-sites.jsonl": told_of_sites,
    "journal-v1-asleep.jsonl": told_of_sleep,
    "journal-v1-ceilings.jsonl": told_of_ceilings,
}


def write(path: Path) -> None:
    lines = []
    for record in HISTORIES[path.name]().read():
        event = record.event
        fields = {name: getattr(record, name) for name in ("sequence", "previous", "hash", "term")}
        fields |= {"kind": event.kind, "version": event.version, "at_ms": event.at_ms, "body": event.body().decode()}
        lines.append(json.dumps(fields, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def files() -> dict[str, list[dict[str, object]]]:
    for name in HISTORIES:
        if os.environ.get("UPDATE_GOLDEN") and not (HERE / name).exists():
            write(HERE / name)
    return {name: [json.loads(line) for line in (HERE / name).read_text().splitlines()] for name in HISTORIES}


@pytest.fixture
def lines(files, name):
    return files[name]


def recorded(line) -> Recorded:
    event: Event = read_event(line["kind"], line["version"], line["at_ms"], line["body"].encode())
    return Recorded(
        sequence=line["sequence"], previous=line["previous"], hash=line["hash"], term=line["term"], event=event
    )


def test_every_kind_stands_in_one_of_them(files):
    lines = [line for one in files.values() for line in one]
    assert {line["kind"] for line in lines} == {kind for kind, (_, version) in KINDS.items() if version == 1}
    assert {line["version"] for line in lines} == {1}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_chain_leads_to_the_head_it_always_had(lines, name):
    previous = GENESIS
    for number, line in enumerate(lines, 1):
        assert (line["sequence"], line["previous"]) == (number, previous)
        fields = [line[name] for name in ("previous", "sequence", "term", "kind", "version", "at_ms")]
        previous = record_hash(*fields, line["body"].encode())
        assert line["hash"] == previous
    assert previous == HEADS[name]


@pytest.mark.parametrize("name", HISTORIES)
def test_it_replays_to_the_books_it_always_had(lines, name):
    state = replay(map(recorded, lines))
    assert (state.world.sequence, state.epoch) == (len(lines), EPOCHS.get(name, 2))
    assert state.ledger.to_record() == BALANCES[name]
    assert list(state.world.jobs) == []


@pytest.mark.parametrize("name", HISTORIES)
def test_a_kind_of_another_version_is_not_guessed_at(lines):
    first = dict(lines[0])
    with pytest.raises(Exception, match="unknown event kind network_started version 2"):
        recorded(first | {"version": 2})
    changed = replace(recorded(first), sequence=2)
    with pytest.raises(Exception, match="follows"):
        replay(iter([changed]))


@pytest.mark.parametrize("name", HISTORIES)
def test_it_still_verifies_though_kinds_have_gained_fields(lines):
    assert verify_chain([RecordedEvent(**line) for line in lines]).findings == ()
    assert [recorded(line).event.body().decode() for line in lines] == [line["body"] for line in lines]
