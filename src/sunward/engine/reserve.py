"""The reserve's vault and its promises: offered, sold, paid for epoch by epoch, and what is owed where one was broken.

What a promise asks of its containers is in `calls`; what it keeps from other work, in `world.reserve`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from sunward.engine import calls, pledge
from sunward.engine.cover import (
    BAD_RULES,
    coverage_of,
    liability_of,
    obligation,
    penalties_of,
    prices,
    require_rules,
    value_of,
    vault,
)
from sunward.engine.membership import check_member
from sunward.engine.rate import may_promise
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.events import RateObserved
from sunward.model.identity import SiteId
from sunward.model.reserve import Backing, EpochReserve, Penalty, Promise, ReserveRules, VaultRequest
from sunward.model.reserve_events import (
    PromiseOffered,
    PromiseSold,
    PromiseWithdrawn,
    ReserveRulesSet,
    ReserveUsdTold,
    VaultRequested,
)
from sunward.model.trust import Standing
from sunward.settlement.entries import movement
from sunward.settlement.ledger import FAUCET, OFFSET, RESERVE, provider_account, stake_account, tenant_account
from sunward.settlement.reserve import (
    VaultSettled,
    coverage_ppm,
    is_covered,
    premium_usd_micro,
    settle_requests,
    spare_wei,
    split_premium,
)
from sunward.units import BPS, DAY_MS, HOUR_MS, MINUTE_MS, PPM, SECOND_MS
from sunward.world.reserve import ReserveBook

BAD_OFFER, NO_PROMISE, NOT_FOR_SALE = "SW-811", "SW-812", "SW-813"
BELOW_FLOOR, TAKEN, BAD_REQUEST = "SW-814", "SW-815", "SW-816"
NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")
HOLDER = re.compile(r"(?:provider|tenant):[A-Za-z0-9._-]{1,80}")
RATE_MAX = 10**12
PROMISED_MS_MAX = 366 * DAY_MS
PROMISES_MAX = 10_000
"""Most promises that are not over; what is offered and never bought must not fill the state."""


def rules_set(turn: Turn, payload: ReserveRulesSet) -> None:
    """Take the rules; from here on the lowest price is kept."""
    book = turn.world.reserve
    book.rules = payload.rules
    book.note_rate(turn.at_ms, turn.world.wei_per_usd_micro)


def check_rules(state: State, payload: ReserveRulesSet) -> None:
    """Refuse rules that cannot be.

    Raises: InputError.
    """
    del state
    rules = payload.rules
    models = [model for model, _ in rules.replacements]
    wrong = {
        "the floor lies in 1..100 times what is owed": not PPM <= rules.floor_ppm <= 100 * PPM,
        "the haircut lies above 0 and not above 1": not 0 < rules.haircut_ppm <= PPM,
        "an exit waits for at most a year": not 0 <= rules.exit_delay_ms <= PROMISED_MS_MAX,
        "prices lie above 0": not 0 < rules.replacement_usd_micro_per_h <= RATE_MAX
        or not 0 < rules.premium_max_usd_micro_per_h <= RATE_MAX
        or not all(0 < price <= RATE_MAX for _, price in rules.replacements),
        "GPU models are named once, in order": models != sorted(set(models)),
        "the vault's share of a premium lies in 0..10000 basis points": not 0 <= rules.reserve_share_bps <= BPS,
        "a notice lies between a minute and a week": not MINUTE_MS
        <= rules.notice_min_ms
        <= rules.notice_max_ms
        <= 7 * DAY_MS,
        "drills an epoch lie in 0..1000": not 0 <= rules.drill_milli_per_epoch <= PPM,
        "a failure costs at most a hundred premiums": not 0 <= rules.fine_ppm <= 100 * PPM,
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"rules of the reserve: {wanted}", code=BAD_RULES)


def usd_told(turn: Turn, payload: ReserveUsdTold) -> None:
    """Note what the vault holds beside its ATH."""
    turn.world.reserve.usd_held_micro = payload.usd_held_micro
    _watch(turn)


def check_usd(state: State, payload: ReserveUsdTold) -> None:
    """Refuse a sum that cannot be.

    Raises: InputError, ConflictError.
    """
    require_rules(state)
    if not 0 <= payload.usd_held_micro <= 2**53:
        raise InputError("the vault holds 0 USD or more; correct the sum", code=BAD_REQUEST)


def rate_observed(turn: Turn, payload: RateObserved) -> None:
    """Keep the lowest price, once there is a reserve."""
    book = turn.world.reserve
    if book.rules is not None:
        book.note_rate(turn.at_ms, payload.wei_per_usd_micro)
        _watch(turn)


def requested(turn: Turn, payload: VaultRequested) -> None:
    """Queue a deposit or an exit to the close of the epoch."""
    book = turn.world.reserve
    delay_ms = require_rules(turn.state).exit_delay_ms if payload.shares else 0
    book.requests[payload.number] = VaultRequest(
        number=payload.number,
        holder=payload.holder,
        wei=payload.wei,
        shares=payload.shares,
        matures_ms=turn.at_ms + delay_ms,
        on_chain=payload.on_chain,
    )
    book.next_request = payload.number + 1


def check_requested(state: State, payload: VaultRequested) -> None:
    """Refuse a request of what its holder does not have.

    Raises: InputError, ConflictError.
    """
    require_rules(state)
    book = state.world.reserve
    if payload.number != book.next_request:
        raise ConflictError(f"the next request is number {book.next_request}; ask again", code=BAD_REQUEST)
    if not HOLDER.fullmatch(payload.holder) or (payload.wei > 0) == (payload.shares > 0):
        line = "a request puts ATH in or takes shares out, for a tenant's or a provider's account"
        raise InputError(line, code=BAD_REQUEST)
    asked = [one for one in book.requests.values() if one.holder == payload.holder]
    if payload.wei and not payload.on_chain:
        held = state.ledger.balance(payload.holder) - sum(one.wei for one in asked if not one.on_chain)
        if payload.wei > held:
            raise InputError(f"the account has {max(0, held)} wei left to put in; name less", code=BAD_REQUEST)
    left = book.shares.get(payload.holder, 0) - sum(one.shares for one in asked)
    if payload.shares > left:
        raise InputError(f"the account has {left} shares that are not on their way out; name less", code=BAD_REQUEST)


def offered(turn: Turn, payload: PromiseOffered) -> None:
    """Put a promise up for sale."""
    sites = [turn.world.sites[SiteId(one.pool.partition("/")[0])].spec for one in payload.backing]
    turn.world.reserve.promises[payload.promise] = Promise(
        promise=payload.promise,
        owner=payload.owner,
        gpu_model=payload.backing[0].pool.partition("/")[2],
        backing=payload.backing,
        region=tuple(sorted({site.zone for site in sites})),
        start_ms=payload.start_ms,
        end_ms=payload.end_ms,
        notice_ms=payload.notice_ms,
        premium_usd_micro_per_h=payload.premium_usd_micro_per_h,
    )
    turn.state.add_due(payload.end_ms, "promise", payload.promise)


def check_offered(state: State, payload: PromiseOffered) -> None:
    """Refuse a promise that cannot be kept: of others' containers, of the same ones twice, or sooner than they wake.

    Raises: InputError, NotFoundError, ConflictError.
    """
    rules, book = require_rules(state), state.world.reserve
    if not NAME.fullmatch(payload.promise) or payload.promise in book.promises:
        raise ConflictError(f"promise {payload.promise[:80]!r} is there already, or not a name", code=TAKEN)
    if len(book.promises) >= PROMISES_MAX:
        raise ConflictError(f"{PROMISES_MAX} promises are open; try again when some are over", code=TAKEN)
    pools = [one.pool for one in payload.backing]
    wrong = {
        "it names pools once each, in order, with a container or more": not pools
        or pools != sorted(set(pools))
        or not all(one.containers > 0 for one in payload.backing),
        "all its containers are of one GPU model": len({pool.partition("/")[2] for pool in pools}) != 1,
        "it ends an hour after it begins at least, within a year": not max(payload.start_ms, state.world.at_ms)
        + HOUR_MS
        <= payload.end_ms
        <= state.world.at_ms + PROMISED_MS_MAX
        or payload.start_ms < 0,
        f"its premium lies in 1..{rules.premium_max_usd_micro_per_h} micro-USD a container-hour": not 0
        < payload.premium_usd_micro_per_h
        <= rules.premium_max_usd_micro_per_h,
        f"its notice lies in {rules.notice_min_ms}..{rules.notice_max_ms} ms": not rules.notice_min_ms
        <= payload.notice_ms
        <= rules.notice_max_ms,
    }
    for wanted, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"promise {payload.promise}: {wanted}", code=BAD_OFFER)
    for one in payload.backing:
        _check_backing(state, payload, one)


def _check_backing(state: State, payload: PromiseOffered, one: Backing) -> None:
    world = state.world
    name = one.pool.partition("/")[0]
    check_member(state, name)
    site, pool = world.sites[SiteId(name)].spec, world.pool(one.pool)
    if pool is None or site.owner != payload.owner:
        raise NotFoundError(f"no pool {one.pool} of {payload.owner}", code="SW-134")
    needed_ms = max(site.wake_s * SECOND_MS, world.network.policy.switch_ms)
    if payload.notice_ms < needed_ms:
        line = (
            f"promise {payload.promise}: {one.pool} needs {needed_ms // SECOND_MS} s to wake or to stop what runs; "
            "name a longer notice"
        )
        raise InputError(line, code=BAD_OFFER)
    start_ms = max(payload.start_ms, world.at_ms)
    left = pool.count - world.reserve.promised_most(one.pool, start_ms, payload.end_ms)
    if one.containers > left:
        line = (
            f"promise {payload.promise}: {max(0, left)} of the {pool.count} containers of {one.pool} back no other "
            "promise in that time; a container backs one promise"
        )
        raise ConflictError(line, code=TAKEN)


def withdrawn(turn: Turn, payload: PromiseWithdrawn) -> None:
    """Take a promise off the list."""
    del turn.world.reserve.promises[payload.promise]


def check_withdrawn(state: State, payload: PromiseWithdrawn) -> None:
    """Refuse to take back what someone relies on.

    Raises: NotFoundError, ConflictError.
    """
    if promise_known(state, payload.promise).tenant:
        raise ConflictError(f"promise {payload.promise} is sold; it binds until it ends", code=NOT_FOR_SALE)


def promise_known(state: State, name: str) -> Promise:
    """A promise that is not over. Raises: NotFoundError."""
    known = state.world.reserve.promises.get(name)
    if known is None:
        raise NotFoundError(f"no promise {name}; see `sunward reserve promises`", code=NO_PROMISE)
    return known


def sold(turn: Turn, payload: PromiseSold) -> None:
    """Bind a promise to who bought it."""
    book = turn.world.reserve
    one = book.promises[payload.promise]
    price = _replacement(require_rules(turn.state), one.gpu_model)
    book.promises[payload.promise] = replace(
        one, tenant=payload.tenant, sold_ms=turn.at_ms, replacement_usd_micro_per_h=price
    )
    calls.arm(turn)
    turn.request_plan("reserve")


def _replacement(rules: ReserveRules, gpu_model: str) -> int:
    return dict(rules.replacements).get(gpu_model, rules.replacement_usd_micro_per_h)


def check_sold(state: State, payload: PromiseSold) -> None:
    """Refuse what is sold, what nobody pays for, and what the vault would not cover.

    Raises: NotFoundError, ConflictError, InputError.
    """
    rules, one = require_rules(state), promise_known(state, payload.promise)
    world = state.world
    if not may_promise(state, world.at_ms):
        line = "the price of ATH moved too far, or is too old: no promise is sold until it is calm; try again later"
        raise ConflictError(line, code=NOT_FOR_SALE)
    if one.tenant or one.end_ms <= world.at_ms:
        raise ConflictError(f"promise {one.promise} is sold or over; choose another", code=NOT_FOR_SALE)
    for part in one.backing:
        check_member(state, part.pool.partition("/")[0])
    served_ms = min(one.end_ms - max(one.start_ms, world.at_ms), world.network.epoch_ms)
    first = premium_usd_micro(one.containers, served_ms, one.premium_usd_micro_per_h)
    held = state.ledger.balance(tenant_account(payload.tenant))
    if first * world.wei_per_usd_micro > held:
        line = f"the premium of the first epoch is {first} micro-USD, more than the account holds; deposit more first"
        raise InputError(line, code=NOT_FOR_SALE)
    _check_pledge(state, one)
    as_sold = replace(one, tenant=payload.tenant, replacement_usd_micro_per_h=_replacement(rules, one.gpu_model))
    value = value_of(state)
    owed = liability_of(state) + obligation(as_sold, world.at_ms).liability_usd_micro
    if not is_covered(value, owed, rules.floor_ppm):
        coverage = (coverage_ppm(value, owed) or 0) * 100 // PPM
        line = (
            f"promise {one.promise} is not sold: the vault would cover {coverage} % of what is owed, below the floor "
            f"of {rules.floor_ppm * 100 // PPM} %; deposit more into the reserve or buy a smaller one"
        )
        raise ConflictError(line, code=BELOW_FLOOR)


def _check_pledge(state: State, one: Promise) -> None:
    """Refuse a sale by who could not pay for a failure.

    Raises: ConflictError.
    """
    wanted, held = pledge.pledged_wei(state, one.owner, (one,)), state.ledger.balance(stake_account(one.owner))
    if held < wanted:
        line = (
            f"promise {one.promise} is not sold: its provider has {held} wei at stake, {wanted} have to answer for "
            "what it promised; choose another, or have it bond more"
        )
        raise ConflictError(line, code=NOT_FOR_SALE)


def _watch(turn: Turn) -> None:
    """Remember since when coverage is below the floor."""
    book = turn.world.reserve
    if is_covered(value_of(turn.state), liability_of(turn.state), require_rules(turn.state).floor_ppm):
        book.fell_ms = 0
    else:
        book.fell_ms = book.fell_ms or turn.at_ms


def look(turn: Turn, name: str) -> None:
    """A promise is over: nothing may be called any more; it stays until its last premium is paid."""
    one = turn.world.reserve.promises.get(name)
    if one is None or one.end_ms > turn.at_ms:
        return
    calls.end_all(turn, name)
    if not one.tenant:
        del turn.world.reserve.promises[name]


def close(turn: Turn) -> EpochReserve | None:
    """Premiums for what was served, what is owed to those who were let down, then deposits and exits at one value."""
    book, state = turn.world.reserve, turn.state
    if book.rules is None:
        return None
    for name in sorted(book.promises):
        _premium(turn, book.rules, book.promises[name])
    book.failed.clear()
    _compensate(turn)
    _watch(turn)
    _settle_vault(turn, book)
    _watch(turn)
    return EpochReserve(
        held_wei=state.ledger.balance(RESERVE),
        usd_held_micro=book.usd_held_micro,
        value_usd_micro=value_of(state),
        liability_usd_micro=liability_of(state),
        coverage_ppm=coverage_of(state),
        sold=sum(one.containers for one in book.promises.values() if one.tenant),
        penalties_usd_micro=penalties_of(state),
    )


def _premium(turn: Turn, rules: ReserveRules, one: Promise) -> None:
    """What a sold promise has served since it was last paid; who cannot pay the whole is let go."""
    book, state = turn.world.reserve, turn.state
    until_ms = min(one.end_ms, turn.at_ms)
    served_ms = max(0, until_ms - max(one.start_ms, one.sold_ms, one.served_from_ms)) if one.tenant else 0
    usd = 0 if one.promise in book.failed else premium_usd_micro(one.containers, served_ms, one.premium_usd_micro_per_h)
    due = usd * turn.world.wei_per_usd_micro
    paid = min(due, state.ledger.balance(tenant_account(one.tenant))) if due else 0
    if paid:
        split = split_premium(paid, offset_share_bps=state.offset_share_bps, reserve_share_bps=rules.reserve_share_bps)
        sides = (
            (tenant_account(one.tenant), -paid),
            (OFFSET, split.offset_wei),
            (RESERVE, split.reserve_wei),
            (provider_account(one.owner), split.provider_wei),
        )
        turn.post([movement(turn.origin(), 0, "premium", f"{one.promise} {state.epoch}", sides)])
    if one.tenant and (one.end_ms <= turn.at_ms or paid < due):
        calls.end_all(turn, one.promise)
        del book.promises[one.promise]
    elif one.tenant:
        book.promises[one.promise] = replace(one, served_from_ms=turn.at_ms)


def _compensate(turn: Turn) -> None:
    """Pay what is due to those who were let down and what no stake has paid; a verdict that fell leaves nothing due."""
    book = turn.world.reserve
    for name in sorted(book.penalties):
        one = book.penalties[name]
        standing = turn.world.trust.verdicts[name].standing(turn.at_ms)
        if standing is Standing.DISMISSED:
            del book.penalties[name]
        elif standing in (Standing.FINAL, Standing.UPHELD) and name not in turn.state.stakes.charges:
            _pay(turn, one)


def _pay(turn: Turn, one: Penalty) -> None:
    """Pay out of the vault what the owner's stake did not hold, as far as there is anything; the rest stays due."""
    book, rate = turn.world.reserve, turn.world.wei_per_usd_micro
    of_stake = min(one.owed_wei, turn.state.stakes.slashed_wei.get(one.verdict, 0))
    due = max(0, one.usd_micro * rate - of_stake) if of_stake < one.owed_wei or not one.owed_wei else 0
    paid = min(due, turn.state.ledger.balance(RESERVE))
    if paid:
        sides = ((RESERVE, -paid), (tenant_account(one.tenant), paid))
        turn.post([movement(turn.origin(), 0, "compensate", one.promise, sides)])
    if paid < due:
        book.penalties[one.verdict] = replace(one, usd_micro=-(-(due - paid) // rate), owed_wei=0)
    else:
        del book.penalties[one.verdict]


def settled(state: State, requests: Iterable[VaultRequest]) -> VaultSettled:
    """What a close now would make of requests."""
    book, rules, now = state.world.reserve, require_rules(state), vault(state)
    return settle_requests(
        now,
        tuple(requests),
        at_ms=state.world.at_ms,
        spare=spare_wei(now.held_wei, prices(state), liability_of(state), rules.floor_ppm),
        fell_ms=book.fell_ms,
    )


def _settle_vault(turn: Turn, book: ReserveBook) -> None:
    """Carry out deposits and exits. A deposit whose account has spent the money since is dropped."""
    state, left = turn.state, dict[str, int]()
    able = []
    for one in sorted(book.requests.values(), key=lambda request: request.number):
        held = left.setdefault(one.holder, state.ledger.balance(one.holder))
        if one.on_chain or one.wei <= held:
            able.append(one)
            left[one.holder] = held if one.on_chain else held - one.wei
    result = settled(state, able)
    for done in result.done:
        request, sign = done.request, 1 if done.request.wei else -1
        outside = FAUCET if request.on_chain else request.holder
        if done.wei:
            cause = "vault_in" if request.wei else "vault_out"
            sides = ((outside, -sign * done.wei), (RESERVE, sign * done.wei))
            turn.post([movement(turn.origin(), 0, cause, str(request.number), sides)])
    book.requests = {one.number: one for one in result.waiting}
    book.shares, book.dead_shares = dict(result.vault.shares), result.vault.dead_shares
