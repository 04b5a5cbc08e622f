"""Rules of staking for tests: round figures, short delays."""

from __future__ import annotations

from sunward.model.identity import TenantId
from sunward.model.staking import SlashTerm, StakingRules, WorkReference
from sunward.model.staking_events import StakeRequested, StakingRulesSet
from sunward.model.trust import APPEAL_MS, Consequence, Dimension, VerdictRecord
from sunward.units import DAY_MS
from tests.support.network import Network
from tests.support.scenarios import SITES

ATH = 10**18
NORTH, SOUTH, EAST = (TenantId(site.owner) for site in SITES)
RULES = StakingRules(
    green_ppm=400_000,
    staking_budget_wei=100 * ATH,
    bonus_budget_wei=10 * ATH,
    stake_wei_per_wh=ATH,
    load_min_ppm=0,
    saved_min_j=1_000_000,
    answer_ppm=1_000_000,
    movement_bps=5,
    detection_ms=3 * DAY_MS,
    appeal_ms=APPEAL_MS,
    exit_delay_ms=3 * DAY_MS + APPEAL_MS,
    slash=(SlashTerm(fault="forged", ppm=500_000, floor_wei=ATH), SlashTerm(fault="", ppm=100_000, floor_wei=0)),
    references=(WorkReference(work_class="training", energy_mj=1_000, overhead_ppm=1_200_000),),
)


def staking(**changes) -> Network:
    """A network with rules of staking, a day an epoch."""
    network = Network(**{"epoch_ms": DAY_MS, **changes})
    network.tell(StakingRulesSet(rules=RULES))
    return network


def bond(network: Network, owner: TenantId, amount_wei: int, request: str = "1") -> None:
    """Stake that comes from outside."""
    network.tell(StakeRequested(owner=owner, request=request, amount_wei=amount_wei, on_chain=True))


def forged(network: Network, *, fault: str = "forged", name: str = "v-1", site: str = "no-hydro", **changes):
    """A verdict that may take stake of the north's owner."""
    told = {
        "verdict": name,
        "dimension": Dimension.IDENTITY,
        "fault": fault,
        "sentence": "what {site} signed was forged",
        "figures": {"site": site},
        "consequence": Consequence.SLASHABLE,
        "at_ms": network.at_ms,
        "appeal_until_ms": network.at_ms + APPEAL_MS,
        "issued_by": "network",
        "site": site,
    }
    return VerdictRecord(**{**told, **changes})
