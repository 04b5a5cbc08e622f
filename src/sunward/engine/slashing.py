"""What a verdict takes: stake first, then what is on its way out, then pay; once, when it can no longer be undone."""

from __future__ import annotations

from collections.abc import Sequence

from sunward.engine import trust
from sunward.engine.state import State
from sunward.engine.turn import Turn
from sunward.errors import ConflictError, InputError, NotFoundError
from sunward.model.staking_events import HarmTold
from sunward.model.trust import Standing
from sunward.settlement import stakes
from sunward.settlement.stakes import Harm

NO_CHARGE, BAD_HARM = "SW-797", "SW-798"
HARMS_MAX = 100
AMOUNT_MAX = 10**30


def look(turn: Turn, verdict: str) -> None:
    """Take what a verdict takes, if it stands for good; one that is appealed is looked at when that is decided."""
    book = turn.state.stakes
    known = turn.world.trust.verdicts[verdict]
    charge = book.charges.get(verdict)
    if charge is None or book.rules is None:
        return
    standing = known.standing(turn.at_ms)
    if standing is Standing.DISMISSED:
        del book.charges[verdict]
    elif known.irrevocable(turn.at_ms):
        del book.charges[verdict]
        owner = trust.owner_of(turn.state, known.record)
        held_wei = book.answers_wei(turn.state.ledger, owner)
        # Who owes something by the same fault pays that first, however little the schedule takes.
        amount_wei = max(charge.owed_wei, book.rules.slash_wei(known.record.fault, charge.bonded_wei, held_wei))
        book.slashed_wei[verdict] = take(turn, owner, amount_wei, verdict, charge.harms)


def take(turn: Turn, owner: str, amount_wei: int, ref: str, harms: Sequence[Harm] = ()) -> int:
    """Take so much of an owner's stake, exits and pay, or what there is: for who was harmed, then for the reserve."""
    book = turn.state.stakes
    amount_wei = min(amount_wei, book.answers_wei(turn.state.ledger, owner))
    if not amount_wei:
        return 0
    entry, of_exit = stakes.slash(turn.origin(), turn.state.ledger, owner, amount_wei, ref)
    turn.post([entry])
    book.shorten(owner, of_exit)
    book.shrunk(turn.state.ledger, owner)
    book.lost_wei[owner] = book.lost_wei.get(owner, 0) + amount_wei
    turn.post(stakes.hand_on(turn.origin(), amount_wei, harms, ref))
    return amount_wei


def harm_told(turn: Turn, payload: HarmTold) -> None:
    """Remember who is to be paid of what a verdict takes."""
    charge = turn.state.stakes.charges[payload.verdict]
    charge.harms = [one for one in charge.harms if (one.tenant, one.ref) != (payload.tenant, payload.ref)]
    if payload.amount_wei:
        charge.harms.append(Harm(tenant=payload.tenant, ref=payload.ref, amount_wei=payload.amount_wei))


def check_harm(state: State, payload: HarmTold) -> None:
    """Refuse harm by a verdict that takes nothing any more, or told by whom it is about.

    Raises: NotFoundError, ConflictError, InputError.
    """
    known = state.world.trust.verdicts.get(payload.verdict)
    if known is None or payload.verdict not in state.stakes.charges:
        raise NotFoundError(f"no verdict {payload.verdict[:80]} that may still take stake", code=NO_CHARGE)
    owner = trust.owner_of(state, known.record)
    if payload.by in (payload.tenant, owner) or payload.tenant in (owner, known.record.issued_by):
        line = "whom a verdict is about, or who issued it, is not paid of it, and nobody says so of himself"
        raise ConflictError(line, code=BAD_HARM)
    if not trust.NAME.fullmatch(payload.tenant) or not trust.NAME.fullmatch(payload.ref):
        raise InputError("a tenant, job or promise is at most 80 letters, digits and . _ : -", code=BAD_HARM)
    if not 0 <= payload.amount_wei <= AMOUNT_MAX:
        raise InputError(f"amount_wei lies in 0..{AMOUNT_MAX}", code=BAD_HARM)
    if len(state.stakes.charges[payload.verdict].harms) >= HARMS_MAX:
        raise InputError(f"a verdict has {HARMS_MAX} harms at most; put several into one", code=BAD_HARM)
