"""Double entry in wei: every entry names its cause and sums to zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One side of an entry: what an account gains (positive) or gives (negative)."""

    account: str
    """`kind:owner`, e.g. `tenant:t-abc`, `escrow:j-xyz`, `provider:s-1`, `network`, `offset`, `faucet`."""
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One movement of ATH; the postings sum to zero."""

    entry: str
    """Identifier, from the event that caused it: `<sequence>.<index>`."""
    epoch: int
    at_ms: int
    cause: str
    """A word of the tables of docs/settlement.md, such as `deposit`, `payment`, `reward` or `slash`."""
    ref: str
    """The job, site or epoch it is about."""
    postings: tuple[Posting, ...]
