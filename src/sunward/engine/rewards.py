"""What an epoch hands out: budgets are filled, stake and shown savings earn, a ceiling cuts; docs/settlement.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sunward.engine.staking import EPOCHS_TOLD, containers
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.metering import merkle
from sunward.model.codec import digest
from sunward.model.commands import PostRewards
from sunward.model.granular import SiteSupply
from sunward.model.ledger import Entry
from sunward.model.receipt import Receipt
from sunward.model.staking import EpochRewards, RewardLine, SiteShare, StakingRules
from sunward.model.trust import Dimension
from sunward.settlement.bonus import Bonus, BonusTerms, Reference, SiteSaving, SiteWork, bonuses, site_saving
from sunward.settlement.ceiling import Reward, fees_by_owner
from sunward.settlement.ceiling import rewards as under_ceiling
from sunward.settlement.entries import Settlement, movement
from sunward.settlement.ledger import BUDGET_BONUS, BUDGET_STAKING, FAUCET, TREASURY, rewards_account
from sunward.settlement.stakes import name
from sunward.settlement.weights import (
    SiteGreen,
    SiteRecord,
    Staker,
    StakingReward,
    StakingTerms,
    site_green,
    staking_rewards,
)
from sunward.units import HOUR_MS, J_PER_WH
from sunward.world.served import Tally
from sunward.world.state import Site


def close(
    turn: Turn,
    receipts: Sequence[Receipt],
    settlements: Sequence[Settlement],
    supplied: Sequence[SiteSupply],
    shown: Sequence[SiteWork] = (),
) -> EpochRewards | None:
    """Hand out an epoch's rewards and begin to count the next; nothing where no rules are in force.

    `shown` is work under lease whose doing was shown by a challenge or by executing it again: what the bonus counts.
    """
    state = turn.state
    rules = state.stakes.rules
    if rules is None:
        return None
    _note(turn, receipts, supplied)
    _fill(turn, rules)
    shares: dict[str, list[SiteShare]] = {}
    for site in sorted(turn.world.sites.values(), key=lambda one: one.spec.site):
        shares.setdefault(site.spec.owner, []).append(_share(turn, site, rules))
    stakers = _stakers(state, shares)
    terms = StakingTerms(
        budget_wei=rules.staking_budget_wei, green_ppm=rules.green_ppm, stake_wei_per_wh=rules.stake_wei_per_wh
    )
    earned = {one.owner: one for one in staking_rewards(terms, stakers)}
    published = references(state)
    savings = [site_saving(one, published) for one in shown]
    saved: dict[str, list[SiteSaving]] = {}
    for saving in savings:
        saved.setdefault(saving.owner, []).append(saving)
    given = under_ceiling(
        earned.values(), _bonuses(state, rules, savings), fees_by_owner(settlements), answer_ppm=rules.answer_ppm
    )
    lines = tuple(
        _line(state, one, earned.get(one.owner), saved.get(one.owner, ()), shares.get(one.owner, ())) for one in given
    )
    _pay(turn, lines)
    state.stakes.begin_epoch(state.ledger)
    turn.emit(PostRewards(lines=lines))
    return _sums(state, lines)


def _note(turn: Turn, receipts: Sequence[Receipt], supplied: Sequence[SiteSupply]) -> None:
    """Take in what receipts and seals of the epoch say of each site, day by day."""
    served = turn.world.served
    for site in turn.world.sites.values():
        served.present(site.spec.site, containers(site), turn.at_ms)
    tally = Tally()
    for receipt in receipts:
        for line in receipt.lines:
            day = tally.day(line.site, line.hour_ms)
            day.leased_j += line.facility_j
            day.leased_ms += line.gpu_ms
    for name_, hours in turn.state.idle_hours.items():
        for hour_ms, idle_j in hours.items():
            tally.day(name_, hour_ms).idle_j += idle_j
    for one in supplied:
        _note_supply(turn, tally, one)
    for (name_, _), day in tally.days.items():
        served.add(name_, day)


def _note_supply(turn: Turn, tally: Tally, one: SiteSupply) -> None:
    for hour_ms, renewable_wh in zip(one.hour_ms, one.renewable_wh, strict=True):
        if renewable_wh:
            tally.day(one.site, hour_ms).renewable_wh += renewable_wh
            turn.world.served.matched(one.site, hour_ms + HOUR_MS)


def _fill(turn: Turn, rules: StakingRules) -> None:
    """Move this epoch's share into the budgets; what the treasury lacks is funded from outside.

    Of stake's budget only what is missing to F is moved: what an epoch did not pay is part of the next one's.
    """
    ledger, ref = turn.state.ledger, str(turn.state.epoch)
    wanted = (
        (BUDGET_STAKING, max(0, rules.staking_budget_wei - ledger.balance(BUDGET_STAKING))),
        (BUDGET_BONUS, rules.bonus_budget_wei),
    )
    total = sum(wei for _, wei in wanted)
    missing = max(0, total - ledger.balance(TREASURY))
    if missing:
        turn.post([movement(turn.origin(), 0, "fund", ref, ((FAUCET, -missing), (TREASURY, missing)))])
    if total:
        turn.post([movement(turn.origin(), 0, "budget", ref, ((TREASURY, -total), *wanted))])


def _share(turn: Turn, site: Site, rules: StakingRules) -> SiteShare:
    """What a site's last thirty days amount to, under the evidence of now."""
    spec = site.spec
    total = turn.world.served.total(spec.site, turn.at_ms)
    known = turn.world.served.sites[spec.site]
    silent_ms = turn.at_ms - known.matched_ms
    record = SiteRecord(
        leased_wh=total.leased_j // J_PER_WH,
        facility_wh=(total.leased_j + total.idle_j) // J_PER_WH,
        matched_wh=total.renewable_wh,
        leased_ms=total.leased_ms,
        # Leases that began before anybody counted, or outlived a declaration, were there as well.
        present_ms=max(total.present_ms, total.leased_ms),
        epochs_unmatched=max(0, silent_ms) // turn.world.network.epoch_ms,
        energy_cap_ppm=turn.world.trust.believed(spec, Dimension.ENERGY, turn.at_ms).cap_ppm,
        renewables_cap_ppm=turn.world.trust.believed(spec, Dimension.RENEWABLES, turn.at_ms).cap_ppm,
    )
    green = site_green(spec.site, record, load_min_ppm=rules.load_min_ppm)
    return SiteShare(
        site=spec.site,
        leased_wh=record.leased_wh,
        facility_wh=record.facility_wh,
        renewable_wh=record.matched_wh,
        leased_ms=record.leased_ms,
        present_ms=record.present_ms,
        epochs_unmatched=record.epochs_unmatched,
        energy_cap_ppm=record.energy_cap_ppm,
        renewables_cap_ppm=record.renewables_cap_ppm,
        energy_wh=green.energy_wh,
        q_ppm=green.q_ppm,
    )


def _stakers(state: State, shares: Mapping[str, Sequence[SiteShare]]) -> list[Staker]:
    """Owners whose stake was bonded through the whole epoch, each with its sites."""

    def green(owner: str) -> tuple[SiteGreen, ...]:
        return tuple(
            SiteGreen(site=one.site, energy_wh=one.energy_wh, q_ppm=one.q_ppm) for one in shares.get(owner, ())
        )

    return [
        Staker(owner=owner, stake_wei=stake_wei, sites=green(owner))
        for owner, stake_wei in sorted(state.stakes.least_wei.items())
        if stake_wei
    ]


def _bonuses(state: State, rules: StakingRules, savings: Sequence[SiteSaving]) -> tuple[Bonus, ...]:
    """What shown savings earn: of this epoch's share, and what earlier ones did not pay."""
    terms = BonusTerms(budget_wei=state.ledger.balance(BUDGET_BONUS), saved_min_j=rules.saved_min_j)
    return bonuses(terms, savings)


def references(state: State) -> dict[str, Reference]:
    """References that count in this epoch, by work class: told two epochs ago at the latest."""
    known = [rules for epoch, rules in state.stakes.told if epoch + EPOCHS_TOLD <= state.epoch]
    return {
        one.work_class: Reference(energy_mj=one.energy_mj, pue_ppm=one.overhead_ppm)
        for one in (known[-1].references if known else ())
    }


def _line(
    state: State,
    one: Reward,
    stake: StakingReward | None,
    saved: Sequence[SiteSaving],
    shares: Sequence[SiteShare],
) -> RewardLine:
    return RewardLine(
        epoch=state.epoch,
        owner=one.owner,
        stake_wei=stake.stake_wei if stake else 0,
        backed_wei=stake.backed_wei if stake else 0,
        base_wei=one.base_wei,
        green_wei=one.green_wei,
        bonus_wei=one.bonus_wei,
        pue_part_j=sum(saving.pue_part_j for saving in saved),
        it_part_j=sum(saving.it_part_j for saving in saved),
        counted_j=sum(saving.counted_j for saving in saved),
        fees_wei=one.fees_wei,
        cut_wei=one.green_cut_wei + one.bonus_cut_wei,
        sites=tuple(shares),
    )


def _pay(turn: Turn, lines: Sequence[RewardLine]) -> None:
    origin = turn.origin()
    entries: list[Entry] = []
    for one in lines:
        if one.reward_wei:
            sides = (
                (BUDGET_STAKING, -one.base_wei - one.green_wei),
                (BUDGET_BONUS, -one.bonus_wei),
                (rewards_account(one.owner), one.reward_wei),
            )
            entries.append(movement(origin, len(entries), "reward", name(str(one.epoch), one.owner), sides))
            turn.state.stakes.earn(one.owner, one.reward_wei)
    turn.post(entries)


def _sums(state: State, lines: Sequence[RewardLine]) -> EpochRewards:
    return EpochRewards(
        owners=len(lines),
        base_wei=sum(one.base_wei for one in lines),
        green_wei=sum(one.green_wei for one in lines),
        bonus_wei=sum(one.bonus_wei for one in lines),
        cut_wei=sum(one.cut_wei for one in lines),
        budget_staking_wei=state.ledger.balance(BUDGET_STAKING),
        budget_bonus_wei=state.ledger.balance(BUDGET_BONUS),
        lines_root=merkle.root([digest(one) for one in lines]),
    )
