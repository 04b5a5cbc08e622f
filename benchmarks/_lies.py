"""What a lie is, how it is played against the real checks, and whether it pays.

A lie is played many times: each time an honest site of noisy meters is made, the lie is told, and the product's own
checks look at what they would see. What they find is taken from them, never from the lie. Whether it pays follows
from what it brings in a day, what it costs, how often it is found, and the stake that is then lost: see
docs/settlement.md.
A whole year of rewards is played by `benchmarks.game`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from sunward.model.trust import Dimension, Level, cap_ppm
from sunward.units import PPM


class Ends(StrEnum):
    """How docs/threat-model.md says that an attack ends."""

    DETECTED = "detected"
    BOUNDED = "bounded"
    UNDETECTABLE = "undetectable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Economy:
    """The reference provider: one site of eight GPUs for a day, in USD."""

    containers: int = 8
    leased_share: float = 0.6
    ask_usd_per_h: float = 2.0
    offset_share: float = 0.02
    provider_share: float = 0.8
    kwh: float = 110.0
    """Facility energy of such a day."""
    power_usd_per_kwh: float = 0.12
    stake_days: float = 30.0
    """Stake in days of what its jobs pay: a rule of the network."""
    visit_days: float = 180.0
    """An endorser reads the meter beside the site's own once in so many days, unannounced."""

    @property
    def paid_usd(self) -> float:
        """What tenants pay."""
        return self.containers * 24 * self.leased_share * self.ask_usd_per_h

    @property
    def earned_usd(self) -> float:
        """The provider's part."""
        return self.paid_usd * (1 - self.offset_share) * self.provider_share

    @property
    def rewards_most_usd(self) -> float:
        """All rewards that hang on work: half the network's fees of its own jobs."""
        return self.paid_usd * (1 - self.offset_share) * (1 - self.provider_share) / 2

    @property
    def stake_usd(self) -> float:
        """What a slashable verdict takes at the most."""
        return self.stake_days * self.paid_usd


MY = Economy()
"""The one that lies are told in."""


def rewarded_usd(kwh: float, usd_per_kwh: float, dimension: Dimension, level: Level) -> float:
    """What so many kWh more a day bring: after the cap of the level of their evidence, and half the fees."""
    return min(kwh * usd_per_kwh * cap_ppm(dimension, level) / PPM, MY.rewards_most_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One day of a lie, as the checks and the books saw it."""

    found: tuple[str, ...] = ()
    """What the product's checks said: findings, faults, refusals."""
    prevented: bool = False
    """The checks refused it, so it brought nothing whatever anybody concludes."""
    capped: bool = False
    """Nobody can see it, and the level of its evidence makes nothing of it count."""
    gain_usd: float = 0.0
    """What a day brings while nobody finds it, after caps."""
    cost_usd: float = 0.0
    """What a day of it costs its author."""


Play: TypeAlias = Callable[[random.Random], Played]
"""One day of a lie, drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lie:
    """One row of the threat model."""

    key: str
    ends: Ends
    play: Play
    seen_on_visit: bool = False
    """Whether somebody who reads an own meter on the spot sees it."""
    slashed: bool = True
    """Whether stake is lost when the checks find it; else it brings what it brings with what they made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A lie after many plays."""

    key: str
    told: Ends
    ends: Ends
    found_share: float
    by: tuple[str, ...]
    gain_usd: float
    """The greatest day."""
    kept_usd: float
    """Of it what is kept while nobody finds it, less what the day cost."""
    chance: float
    """Of being found on a day, by the checks or by a visit."""
    net_usd: float
    """What a day brings on average, the stake lost with that chance. What was refused brings nothing and is not slashed
    here: a retry of an honest site looks the same."""

    @property
    def profitable(self) -> bool:
        """Whether it pays."""
        return self.net_usd > 0

    @property
    def as_told(self) -> bool:
        """Whether it ended as the threat model says."""
        return self.ends is self.told


def judge(lie: Lie, economy: Economy, plays: int, seed: int) -> Judged:
    """Play a lie and say how it ended."""
    days = [lie.play(random.Random(f"{seed} {lie.key} {number}")) for number in range(plays)]
    found = sum(bool(day.found) for day in days) / plays
    gain = max(day.gain_usd - day.cost_usd for day in days)
    refused = all(day.prevented for day in days)
    kept = min(0.0, gain) if refused else gain
    lost = found if lie.slashed else 0.0
    chance = 1 - (1 - lost) * (1 - (1 / economy.visit_days if lie.seen_on_visit else 0.0))
    return Judged(
        key=lie.key,
        told=lie.ends,
        ends=_end(found, capped=all(day.capped for day in days)),
        found_share=found,
        by=tuple(sorted({name for day in days for name in day.found})),
        gain_usd=max(day.gain_usd for day in days),
        kept_usd=kept,
        chance=chance,
        net_usd=-max(day.cost_usd for day in days) if refused else kept * (1 - chance) - chance * economy.stake_usd,
    )


def _end(found: float, *, capped: bool) -> Ends:
    if found == 1.0:
        return Ends.DETECTED
    return Ends.UNDETECTABLE if capped else Ends.BOUNDED


def stake_days_needed(one: Judged, economy: Economy) -> float:
    """The least stake, in days of pay, at which a lie no longer pays; 0 where it never does."""
    if not one.kept_usd or not one.chance:
        return 0.0
    return max(0.0, one.kept_usd * (1 - one.chance) / one.chance / economy.paid_usd)
