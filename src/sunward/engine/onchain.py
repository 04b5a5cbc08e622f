"""The chain in the books: it is named once, wallets are bound, and an epoch says what it puts there; docs/chain.md."""

from __future__ import annotations

from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError
from sunward.model.onchain import ChainStatement
from sunward.model.onchain_events import ChainNamed, EpochPosted, WalletBound
from sunward.settlement.ledger import BUDGET_BONUS, BUDGET_STAKING, OFFSET, RETIRED, TREASURY

NO_CHAIN, OTHER_CHAIN, POSTED_ALREADY = "SW-830", "SW-831", "SW-832"
ON_CHAIN_ALONE = "SW-834"


def named(turn: Turn, payload: ChainNamed) -> None:
    """From now on rewards are paid there."""
    book = turn.state.chain
    if book.named is None:
        book.named = payload
        book.retired_before_wei = turn.state.ledger.balance(RETIRED)


def check_named(state: State, payload: ChainNamed) -> None:
    """Refuse other contracts than those that hold the network's money already.

    Raises: ConflictError.
    """
    known = state.chain.named
    if known is not None and known != payload:
        line = f"this network is on chain {known.chain_id} by distributor {known.distributor}; it cannot move"
        raise ConflictError(line, code=OTHER_CHAIN)


def bound(turn: Turn, payload: WalletBound) -> None:
    """Pay an owner at an address; the service checked that its wallet signed for it."""
    due_wei = turn.state.stakes.cumulative_wei(payload.owner)
    turn.state.chain.bind(payload.owner, payload.address, turn.state.epoch, due_wei)


def check_bound(state: State, payload: WalletBound) -> None:
    """Refuse an address that cannot be bound. Raises: InputError, ConflictError."""
    require(state)
    state.chain.check(payload.owner, payload.address)


def posted(turn: Turn, payload: EpochPosted) -> None:
    """Remember what is final."""
    turn.state.chain.posted = payload.epoch


def check_posted(state: State, payload: EpochPosted) -> None:
    """Refuse an epoch that is not closed, or was posted before. Raises: ConflictError."""
    require(state)
    if not state.chain.posted < payload.epoch < state.epoch:
        raise ConflictError(f"epoch {payload.epoch} is posted already, or not closed yet", code=POSTED_ALREADY)


def require(state: State) -> ChainNamed:
    """The chain of the network. Raises: ConflictError where there is none."""
    if state.chain.named is None:
        raise ConflictError("this network is on no chain; its operator may deploy to one", code=NO_CHAIN)
    return state.chain.named


def require_books(state: State, *, on_chain: bool) -> None:
    """Refuse to pay in the books what leaves of the chain pay too. Raises: ConflictError."""
    if state.chain.named is not None and not on_chain:
        line = "rewards are paid on the chain here: bind a wallet, then `sunward chain claim`"
        raise ConflictError(line, code=ON_CHAIN_ALONE)


def close(state: State) -> ChainStatement | None:
    """What the epoch that closes now puts on the chain; nothing where none was named."""
    book, ledger, stakes = state.chain, state.ledger, state.stakes
    if book.named is None:
        return None
    payouts = book.payouts(stakes.cumulative_wei)
    owed = sum(stakes.cumulative_wei(owner) for owner in sorted(stakes.earned_wei))
    return ChainStatement(
        chain_id=book.named.chain_id,
        distributor=book.named.distributor,
        payouts=payouts,
        funded_wei=ledger.balance(TREASURY) + ledger.balance(BUDGET_STAKING) + ledger.balance(BUDGET_BONUS) + owed,
        offset_wei=ledger.balance(OFFSET) + ledger.balance(RETIRED) - book.retired_before_wei,
        unbound_wei=owed - sum(one.cumulative_wei for one in payouts),
        retired_wei=ledger.balance(RETIRED) - book.retired_before_wei,
    )
