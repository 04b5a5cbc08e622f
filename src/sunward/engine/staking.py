"""Stake is bonded, asked back and paid; rewards are claimed. Each request counts once, by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sunward.engine import pledge
from sunward.engine.onchain import require_books
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.hardware import WorkClass
from sunward.model.ledger import Entry
from sunward.model.staking import MOVEMENT_BPS_MAX, StakeExit, StakingRules
from sunward.model.staking_events import (
    ExitWithdrawn,
    RewardsClaimed,
    StakeRequested,
    StakingRulesSet,
    UnstakeRequested,
)
from sunward.model.trust import APPEAL_MS
from sunward.settlement import stakes
from sunward.settlement.ledger import provider_account, rewards_account, stake_account
from sunward.units import DAY_MS, PPM
from sunward.world.state import Site

NAME = re.compile(r"[A-Za-z0-9._:-]{1,80}")
FAULT = re.compile(r"[a-z0-9_]{0,60}")
WEI_MAX = 10**30
DAYS_MAX = 999
TIME_MAX_MS = DAYS_MAX * DAY_MS
JOULES_MAX = 10**15
TERMS_MAX = 100
EPOCHS_TOLD = 2
"""So many epochs after their word references count."""
BAD_RULES, BAD_AMOUNT, TOO_LITTLE = "SW-791", "SW-792", "SW-793"
NO_RULES, OTHER_REQUEST, NO_EXIT = "SW-794", "SW-795", "SW-796"
EXIT = "exit"
"""What is due is the payment of stake that was asked back."""


def rules_set(turn: Turn, payload: StakingRulesSet) -> None:
    """Take the rules; from the first ones on, sites are watched for what they serve."""
    book = turn.state.stakes
    if book.rules is None:
        for site in turn.world.sites.values():
            turn.world.served.present(site.spec.site, containers(site), turn.at_ms)
    book.rules = payload.rules
    book.told = [(epoch, rules) for epoch, rules in book.told if epoch != turn.state.epoch]
    book.told.append((turn.state.epoch, payload.rules))


def check_rules(state: State, payload: StakingRulesSet) -> None:
    """Refuse rules that cannot be, or under which stake could leave before a fault is found.

    Raises: InputError.
    """
    del state
    rules = payload.rules
    wanted = rules.detection_ms + rules.appeal_ms
    wrong = {
        "shares lie in 0..1000000 ppm": not all(
            0 <= one <= PPM for one in (rules.green_ppm, rules.load_min_ppm, rules.answer_ppm)
        ),
        f"budgets lie in 0..{WEI_MAX} wei": not all(
            0 <= one <= WEI_MAX for one in (rules.staking_budget_wei, rules.bonus_budget_wei)
        ),
        f"stake_wei_per_wh lies in 0..{WEI_MAX}": not 0 <= rules.stake_wei_per_wh <= WEI_MAX,
        f"saved_min_j lies in 1..{JOULES_MAX}": not 1 <= rules.saved_min_j <= JOULES_MAX,
        f"movement_bps lies in 0..{MOVEMENT_BPS_MAX}": not 0 <= rules.movement_bps <= MOVEMENT_BPS_MAX,
        f"detection_ms lies in 0..{DAYS_MAX} days": not 0 <= rules.detection_ms <= TIME_MAX_MS,
        f"appeal_ms is at least {APPEAL_MS // DAY_MS} days and at most {DAYS_MAX}": not APPEAL_MS
        <= rules.appeal_ms
        <= TIME_MAX_MS,
        f"exit_delay_ms is at least detection_ms + appeal_ms = {wanted}, or stake could leave before a fault is found, "
        f"and at most {2 * DAYS_MAX} days": not wanted <= rules.exit_delay_ms <= 2 * TIME_MAX_MS,
    } | _wrong_lists(rules)
    for line, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"rules of staking: {line}", code=BAD_RULES)


def _wrong_lists(rules: StakingRules) -> dict[str, bool]:
    """What the schedule of slashes and the references must be, and whether they are not."""
    faults = [one.fault for one in rules.slash]
    classes = [one.work_class for one in rules.references]
    return {
        f"slash names each fault once, by its key, {TERMS_MAX} at most": len(set(faults)) < len(faults)
        or len(faults) > TERMS_MAX
        or not all(map(FAULT.fullmatch, faults)),
        f"a slash takes 0..1000000 ppm and at least 0..{WEI_MAX} wei": not all(
            0 <= one.ppm <= PPM and 0 <= one.floor_wei <= WEI_MAX for one in rules.slash
        ),
        f"references name each work class once, of {', '.join(WorkClass)}": len(set(classes)) < len(classes)
        or not set(classes) <= set(WorkClass),
        f"a reference takes 1..{JOULES_MAX} mJ and an overhead of at least 1": not all(
            1 <= one.energy_mj <= JOULES_MAX and PPM <= one.overhead_ppm <= 10 * PPM for one in rules.references
        ),
    }


def containers(site: Site) -> int:
    """How many a site has declared; none once it has left."""
    return 0 if site.left_ms else sum(pool.count for pool in site.spec.pools)


def note_presence(turn: Turn, name: str) -> None:
    """A site's declaration changed: its container time until now is what it was, from now on it is what it says."""
    if turn.state.stakes.rules is not None:
        turn.world.served.present(name, containers(turn.world.sites[name]), turn.at_ms)


def staked(turn: Turn, payload: StakeRequested) -> None:
    """Bond; it counts from the next epoch on."""
    book, owner = turn.state.stakes, payload.owner
    if _again(turn.state, payload.owner, payload.request):
        return
    bps = _rules(turn.state).movement_bps
    _post(
        turn, [stakes.stake(turn.origin(), owner, payload.request, payload.amount_wei, bps, on_chain=payload.on_chain)]
    )
    book.least_wei.setdefault(owner, 0)
    _keep(turn.state, payload.owner, payload.request, _asked(payload))


def check_staked(state: State, payload: StakeRequested) -> None:
    """Refuse to bond what is not there.

    Raises: InputError, ConflictError.
    """
    held = None if payload.on_chain else (provider_account(payload.owner), "earned and not bonded")
    _check(state, payload, held)


def unstaked(turn: Turn, payload: UnstakeRequested) -> None:
    """Put stake on its way out; it earns nothing from this epoch on."""
    book, owner = turn.state.stakes, payload.owner
    if _again(turn.state, owner, payload.request):
        return
    one = StakeExit(
        owner=owner,
        request=payload.request,
        amount_wei=payload.amount_wei,
        due_ms=turn.at_ms + _rules(turn.state).exit_delay_ms,
        on_chain=payload.on_chain,
    )
    _post(turn, [stakes.unstake(turn.origin(), owner, payload.request, payload.amount_wei)])
    book.exits[stakes.name(owner, payload.request)] = one
    book.shrunk(turn.state.ledger, owner)
    _keep(turn.state, owner, payload.request, _asked(payload))
    if not one.on_chain:
        turn.state.add_due(one.due_ms, EXIT, stakes.name(owner, payload.request))


def check_unstaked(state: State, payload: UnstakeRequested) -> None:
    """Refuse to ask back what is not bonded.

    Raises: InputError, ConflictError.
    """
    _check(state, payload, (stake_account(payload.owner), "bonded"))
    if _again(state, payload.owner, payload.request):
        # Asked before in the same words: it moves nothing, whatever answers for promises by now.
        return
    pledged_wei = 0 if payload.on_chain else pledge.pledged_wei(state, payload.owner)
    if state.ledger.balance(stake_account(payload.owner)) - payload.amount_wei < pledged_wei:
        line = f"{pledged_wei} wei of {payload.owner} answer for promises of the reserve until they end; ask less back"
        raise ConflictError(line, code=TOO_LITTLE)


def look(turn: Turn, ref: str) -> None:
    """Pay an exit whose moment has come; of one that verdicts took whole nothing is left to pay."""
    one = turn.state.stakes.exits.get(ref)
    if one is not None and one.due_ms <= turn.at_ms:
        _pay_exit(turn, one)


def withdrawn(turn: Turn, payload: ExitWithdrawn) -> None:
    """What was withdrawn on the chain has left the books too."""
    _pay_exit(turn, turn.state.stakes.exits[stakes.name(payload.owner, payload.request)])


def check_withdrawn(state: State, payload: ExitWithdrawn) -> None:
    """Refuse a withdrawal of what is not on its way out on the chain, or not due yet.

    Raises: NotFoundError, ConflictError.
    """
    one = state.stakes.exits.get(stakes.name(payload.owner, payload.request))
    if one is None or not one.on_chain:
        raise NotFoundError(f"{payload.owner} has no exit {payload.request} on the chain", code=NO_EXIT)
    if one.due_ms > state.world.at_ms:
        raise ConflictError(f"exit {payload.request} of {payload.owner} is not due yet", code=NO_EXIT)


def _pay_exit(turn: Turn, one: StakeExit) -> None:
    bps = _rules(turn.state).movement_bps
    _post(turn, [stakes.pay_exit(turn.origin(), one, bps)])
    del turn.state.stakes.exits[stakes.name(one.owner, one.request)]


def claimed(turn: Turn, payload: RewardsClaimed) -> None:
    """Pay out rewards."""
    book, owner = turn.state.stakes, payload.owner
    if _again(turn.state, owner, payload.request):
        return
    amount_wei = payload.amount_wei or turn.state.ledger.balance(rewards_account(owner))
    bps = _rules(turn.state).movement_bps
    _post(turn, [stakes.claim(turn.origin(), owner, payload.request, amount_wei, bps, on_chain=payload.on_chain)])
    if not payload.on_chain:
        book.claimed_wei[owner] = book.claimed_wei.get(owner, 0) + amount_wei
    _keep(turn.state, owner, payload.request, _asked(payload))


def check_claimed(state: State, payload: RewardsClaimed) -> None:
    """Refuse to pay what was not earned.

    Raises: InputError, ConflictError.
    """
    require_books(state, on_chain=payload.on_chain)
    _check(state, payload, (rewards_account(payload.owner), "earned and not claimed"), least=0)


def _check(
    state: State,
    payload: StakeRequested | UnstakeRequested | RewardsClaimed,
    held: tuple[str, str] | None,
    least: int = 1,
) -> None:
    if state.stakes.rules is None:
        raise ConflictError("this network has no rules of staking; ask its operator", code=NO_RULES)
    if not NAME.fullmatch(payload.owner) or not NAME.fullmatch(payload.request):
        raise InputError("an owner or request is at most 80 letters, digits and . _ : -", code=BAD_AMOUNT)
    if not least <= payload.amount_wei <= WEI_MAX:
        raise InputError(f"amount_wei lies in {least}..{WEI_MAX}, not {payload.amount_wei}", code=BAD_AMOUNT)
    known = state.stakes.requests.get(stakes.name(payload.owner, payload.request))
    if known is not None:
        if known != _asked(payload):
            line = f"request {payload.request} of {payload.owner} was made before with other words; name it anew"
            raise ConflictError(line, code=OTHER_REQUEST)
        return
    balance = state.ledger.balance(held[0]) if held else payload.amount_wei
    if held and balance < (payload.amount_wei or 1):
        short = f", not {payload.amount_wei}" if payload.amount_wei else ""
        raise ConflictError(f"{payload.owner} has {balance} wei {held[1]}{short}", code=TOO_LITTLE)


def _asked(payload: StakeRequested | UnstakeRequested | RewardsClaimed) -> str:
    """What a request says, so that the same one is known again."""
    word = {StakeRequested: "stake", UnstakeRequested: "unstake"}.get(type(payload), "claim")
    return f"{word} {payload.amount_wei} {'chain' if payload.on_chain else 'books'}"


def _again(state: State, owner: str, request: str) -> bool:
    return stakes.name(owner, request) in state.stakes.requests


def _keep(state: State, owner: str, request: str, asked: str) -> None:
    state.stakes.requests[stakes.name(owner, request)] = asked


def _rules(state: State) -> StakingRules:
    rules = state.stakes.rules
    if rules is None:
        raise InputError("this network has no rules of staking", code=NO_RULES)
    return rules


def _post(turn: Turn, entries: Iterable[Entry]) -> None:
    turn.post(tuple(entries))
