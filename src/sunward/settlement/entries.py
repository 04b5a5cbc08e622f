"""Entries for deposits, escrow, payments and refunds; formulas and roundings in docs/settlement.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sunward import units
from sunward.errors import InvariantError
from sunward.model.ledger import Entry, Posting
from sunward.settlement.ledger import FAUCET, NETWORK, OFFSET, escrow_account, provider_account, tenant_account


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The event that causes entries, and the number of the first one it may use."""

    sequence: int
    first: int
    epoch: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Rate and shares a job is settled at."""

    wei_per_usd_micro: int
    offset_share_bps: int
    provider_share_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How the escrow of one job was divided, and the entries that do it."""

    job: str
    escrow_wei: int
    price_usd_micro: int
    """What metering charges; the budget may cap what is due."""
    price_wei: int
    """What the tenant pays."""
    paid_usd_micro: int
    """The same in micro-USD at the rate of settlement, rounded down: the amount due, unless the escrow was short."""
    offset_wei: int
    provider_wei: int
    providers: tuple[tuple[str, int], ...]
    """(owner, wei) in order of owner; the sum is `provider_wei`."""
    network_wei: int
    refund_wei: int
    entries: tuple[Entry, ...]


def deposit(origin: Origin, tenant: str, amount_wei: int, name: str = "") -> Entry:
    """Test ATH from the local faucet; the entry refers to the deposit by its name, else to the tenant.

    Raises: InvariantError when the amount is not positive.
    """
    _require_positive(amount_wei, "deposit")
    return _entry(origin, 0, "deposit", name or tenant, ((FAUCET, -amount_wei), (tenant_account(tenant), amount_wei)))


def escrow(origin: Origin, tenant: str, job: str, amount_wei: int) -> Entry:
    """Set aside for one job.

    Raises: InvariantError when the amount is not positive.
    """
    _require_positive(amount_wei, "escrow")
    return _entry(origin, 0, "escrow", job, ((tenant_account(tenant), -amount_wei), (escrow_account(job), amount_wei)))


def movement(origin: Origin, index: int, cause: str, ref: str, postings: Sequence[tuple[str, int]]) -> Entry:
    """Any other entry of docs/settlement.md: (account, wei) each; `index` counts the entries of one origin from 0.

    Raises: InvariantError when nothing is moved.
    """
    entry = _entry(origin, index, cause, ref, tuple(postings))
    if not entry.postings:
        raise InvariantError(f"{cause} {ref} moves nothing; leave it out")
    return entry


def settle_job(
    origin: Origin,
    terms: Terms,
    *,
    job: str,
    tenant: str,
    escrow_wei: int,
    prices_usd_micro: Mapping[str, int],
    budget_usd_micro: int = 0,
) -> Settlement:
    """Pay a metered job out of its escrow and refund the rest.

    `prices_usd_micro` is the metered price by owner of the sites that ran it; a budget of 0 is none.
    Raises: InvariantError when a price or the escrow is negative.
    """
    if escrow_wei < 0 or min(prices_usd_micro.values(), default=0) < 0:
        raise InvariantError(f"job {job}: negative price or escrow")
    price = sum(prices_usd_micro.values())
    due = min(price, budget_usd_micro) if budget_usd_micro else price
    paid = min(due * terms.wei_per_usd_micro, escrow_wei)
    offset = paid * terms.offset_share_bps // units.BPS
    provider = (paid - offset) * terms.provider_share_bps // units.BPS
    network = paid - offset - provider
    refund = escrow_wei - paid
    providers = split_wei(provider, prices_usd_micro)
    source = escrow_account(job)
    payment = [(source, -paid), (OFFSET, offset), (NETWORK, network)]
    payment += [(provider_account(owner), wei) for owner, wei in providers]
    drafts = (
        _entry(origin, 0, "payment", job, payment),
        _entry(origin, 1 if paid else 0, "refund", job, ((source, -refund), (tenant_account(tenant), refund))),
    )
    return Settlement(
        job=job,
        escrow_wei=escrow_wei,
        price_usd_micro=price,
        price_wei=paid,
        paid_usd_micro=paid // terms.wei_per_usd_micro if paid else 0,
        offset_wei=offset,
        provider_wei=provider,
        providers=providers,
        network_wei=network,
        refund_wei=refund,
        entries=tuple([entry for entry in drafts if entry.postings]),
    )


def refund_all(origin: Origin, *, job: str, tenant: str, escrow_wei: int) -> Settlement:
    """Give back the whole escrow of a job that never ran.

    Raises: InvariantError when the escrow is negative.
    """
    terms = Terms(wei_per_usd_micro=0, offset_share_bps=0, provider_share_bps=0)
    return settle_job(origin, terms, job=job, tenant=tenant, escrow_wei=escrow_wei, prices_usd_micro={})


def split_wei(amount_wei: int, weights: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Divide an amount by weight, largest remainder first, ties by name; in order of name.

    The parts add up to the amount exactly. With no weight at all there is nobody to pay and the amount must be 0.
    Raises: InvariantError when there is an amount and no weight.
    """
    total = sum(weights.values())
    if total == 0:
        if amount_wei:
            raise InvariantError(f"{amount_wei} wei to divide and nobody to pay")
        return ()
    names = sorted(name for name, weight in weights.items() if weight)
    if len(names) == 1:
        return ((names[0], amount_wei),)
    parts = {name: amount_wei * weights[name] // total for name in names}
    left = amount_wei - sum(parts.values())
    by_remainder = sorted(names, key=lambda name: (-(amount_wei * weights[name] % total), name))
    for name in by_remainder[:left]:
        parts[name] += 1
    return tuple(parts.items())


def _require_positive(amount_wei: int, cause: str) -> None:
    if amount_wei <= 0:
        raise InvariantError(f"a {cause} of {amount_wei} wei; check the amount before it becomes an event")


def _entry(origin: Origin, offset: int, cause: str, ref: str, sides: Sequence[tuple[str, int]]) -> Entry:
    return Entry(
        entry=f"{origin.sequence}.{origin.first + offset}",
        epoch=origin.epoch,
        at_ms=origin.at_ms,
        cause=cause,
        ref=ref,
        postings=tuple([Posting(account=account, amount_wei=wei) for account, wei in sides if wei]),
    )
