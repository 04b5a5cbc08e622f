"""The vault behind the reserve's promises: shares, value, liability, coverage; formulas in docs/settlement.md.

A share is a part of the ATH held, and of nothing else: what the ATH is worth never enters into what a deposit gets or
an exit pays, so no price can be played. What the vault holds is what came in and went out through its own entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sunward.errors import InvariantError
from sunward.model.reserve import VaultRequest
from sunward.units import BPS, HOUR_MS, PPM

DEAD_SHARES = 10**3
"""Shares that belong to nobody, so that whoever comes first holds next to none of what is rounded away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """What the vault holds, and whose it is."""

    held_wei: int = 0
    shares: Mapping[str, int] = field(default_factory=dict)
    """By holder, above zero."""
    dead_shares: int = 0

    @property
    def total_shares(self) -> int:
        """All shares, those of nobody included."""
        return sum(self.shares.values()) + self.dead_shares

    def worth_wei(self, shares: int) -> int:
        """What so many shares are of what is held, rounded down."""
        total = self.total_shares
        return self.held_wei * shares // total if total else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A request that took effect."""

    request: VaultRequest
    wei: int
    """What was put in, or paid out."""
    shares: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettled:
    """What an epoch's close makes of the requests."""

    vault: Vault
    done: tuple[Done, ...]
    waiting: tuple[VaultRequest, ...]
    lapsed: tuple[VaultRequest, ...]
    """Deposits too small for a share, and exits from a vault that holds nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the vault's holdings count for."""

    usd_held_micro: int
    wei_per_usd_micro: int
    """The mean over the last 30 min; the more wei, the cheaper is ATH."""
    wei_per_usd_micro_max: int
    """The most of the last 30 days: ATH's lowest price."""
    haircut_ppm: int

    @property
    def cheapest(self) -> int:
        """Wei for a micro-USD at the lower of both prices; at least 1."""
        return max(1, self.wei_per_usd_micro, self.wei_per_usd_micro_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """What a sold promise may still cost."""

    promise: str
    containers: int
    left_ms: int
    replacement_usd_micro_per_h: int
    premium_usd_micro_per_h: int

    @property
    def liability_usd_micro(self) -> int:
        """Replacement less the premium still due for the hours left, rounded up, at least 0."""
        return self._for_hours_left(max(0, self.replacement_usd_micro_per_h - self.premium_usd_micro_per_h))

    @property
    def replacement_usd_micro(self) -> int:
        """What replacing it for all hours left costs, rounded up: no premium comes in for what is not served."""
        return self._for_hours_left(self.replacement_usd_micro_per_h)

    def _for_hours_left(self, usd_micro_per_h: int) -> int:
        return -(-self.containers * self.left_ms * usd_micro_per_h // HOUR_MS)


def value_usd_micro(held_wei: int, prices: Prices) -> int:
    """USD held, and ATH at the lower of two prices less the haircut; rounded down."""
    return prices.usd_held_micro + held_wei * prices.haircut_ppm // (PPM * prices.cheapest)


def liability_usd_micro(penalties_usd_micro: int, obligations: Iterable[Obligation]) -> int:
    """Penalties due and not paid, and what every promise in force may still cost."""
    return penalties_usd_micro + sum(one.liability_usd_micro for one in obligations)


def coverage_ppm(value: int, liability: int) -> int | None:
    """Value over liability; none where nothing is owed."""
    return value * PPM // liability if liability else None


def is_covered(value: int, liability: int, floor_ppm: int) -> bool:
    """Whether coverage is at the floor or above."""
    return value * PPM >= liability * floor_ppm


def spare_wei(held_wei: int, prices: Prices, liability: int, floor_ppm: int) -> int:
    """Most ATH that may leave without coverage falling below the floor."""
    wanted = -(-liability * floor_ppm // PPM) - prices.usd_held_micro
    if wanted <= 0:
        return held_wei
    # A haircut of all leaves ATH nothing to count for.
    return max(0, held_wei + (-wanted * PPM * prices.cheapest // prices.haircut_ppm)) if prices.haircut_ppm else 0


def settle_requests(
    vault: Vault, requests: Sequence[VaultRequest], *, at_ms: int, spare: int, fell_ms: int = 0
) -> VaultSettled:
    """Carry out what may take effect now, all of it at one value of a share: that before any of it.

    `spare`: the ATH that may leave before what comes in now. An exit that had matured before `fell_ms`, when coverage
    fell below the floor (0 = it has not), is paid all the same; other exits wait in order, and none overtakes.
    Raises: InvariantError for a request of more shares than its holder has.
    """
    deposits = sorted((one for one in requests if one.wei), key=lambda one: one.number)
    exits = sorted((one for one in requests if not one.wei), key=lambda one: one.number)
    done: list[Done] = []
    waiting: list[VaultRequest] = []
    lapsed: list[VaultRequest] = []
    if not vault.held_wei:
        # All of it was paid away, or nothing ever came in: parts of nothing are nothing.
        vault, lapsed, exits = Vault(), exits, []
    for one in deposits:
        wei, shares = _deposit(vault, one.wei)
        if shares:
            done.append(Done(request=one, wei=wei, shares=shares))
            spare += wei
        else:
            lapsed.append(one)
    blocked = False
    for one in exits:
        out, matured = vault.worth_wei(one.shares), one.matures_ms <= at_ms
        owed = matured and fell_ms > 0 and one.matures_ms <= fell_ms
        if owed or (matured and not blocked and out <= spare):
            done.append(Done(request=one, wei=out, shares=one.shares))
            spare = max(0, spare - out)
        else:
            waiting.append(one)
            blocked = blocked or matured
    return VaultSettled(vault=_after(vault, done), done=tuple(done), waiting=tuple(waiting), lapsed=tuple(lapsed))


def _deposit(vault: Vault, wei: int) -> tuple[int, int]:
    """What is taken of a deposit, and the shares for it: no more is taken than they are worth, rounded up."""
    total = vault.total_shares
    if not total:
        return wei, wei
    shares = wei * total // vault.held_wei
    return -(-shares * vault.held_wei // total), shares


def _after(vault: Vault, done: Sequence[Done]) -> Vault:
    """The vault with everything that took effect. What it held before anyone had a share is nobody's."""
    shares, held, dead = dict(vault.shares), vault.held_wei, vault.dead_shares
    if done and not vault.total_shares:
        dead = DEAD_SHARES + held
    for one in done:
        sign = 1 if one.request.wei else -1
        held += sign * one.wei
        left = shares.get(one.request.holder, 0) + sign * one.shares
        if left < 0:
            raise InvariantError(f"{one.request.holder} leaves the reserve with {-left} shares more than it has")
        shares[one.request.holder] = left
    return replace(
        vault,
        held_wei=held,
        shares={holder: count for holder, count in sorted(shares.items()) if count},
        dead_shares=dead,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Premium:
    """How a premium is divided."""

    wei: int
    offset_wei: int
    reserve_wei: int
    provider_wei: int


def premium_usd_micro(containers: int, served_ms: int, usd_micro_per_h: int) -> int:
    """What is due for a time that was served, rounded down."""
    return containers * served_ms * usd_micro_per_h // HOUR_MS


def split_premium(wei: int, *, offset_share_bps: int, reserve_share_bps: int) -> Premium:
    """The offset's part first, then the vault's, the rest is the provider's; both are rounded down."""
    offset = wei * offset_share_bps // BPS
    reserve = (wei - offset) * reserve_share_bps // BPS
    return Premium(wei=wei, offset_wei=offset, reserve_wei=reserve, provider_wei=wei - offset - reserve)
