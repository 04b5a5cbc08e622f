"""The reserve as callers see it: everybody the vault and the offers, both sides of a promise what is theirs."""

from __future__ import annotations

from sunward.engine import calls, cover
from sunward.engine.state import State
from sunward.model.reserve import Call, Promise, PromiseState
from sunward.model.reserve_views import CallLine, HolderLine, PromiseLine, ReserveView, VaultRequestLine
from sunward.service.auth import AUDITOR, OPERATOR, PROVIDER, TENANT, Caller
from sunward.settlement.ledger import RESERVE, provider_account, tenant_account


def accounts_of(caller: Caller) -> tuple[str, ...]:
    """The accounts of the ledger that a caller acts for."""
    own = ((TENANT, tenant_account(caller.subject)), (PROVIDER, provider_account(caller.subject)))
    return tuple(account for role, account in own if caller.has(role))


def reserve_view(state: State, caller: Caller) -> ReserveView:
    """The vault and the caller's part of it."""
    book, everything = state.world.reserve, caller.has(OPERATOR, AUDITOR)
    own, vault = accounts_of(caller), cover.vault(state)
    has_rules = book.rules is not None
    return ReserveView(
        rules=book.rules,
        held_wei=state.ledger.balance(RESERVE),
        usd_held_micro=book.usd_held_micro,
        value_usd_micro=cover.value_of(state) if has_rules else 0,
        liability_usd_micro=cover.liability_of(state) if has_rules else 0,
        coverage_ppm=cover.coverage_of(state) if has_rules else None,
        fell_ms=book.fell_ms,
        penalties_usd_micro=cover.penalties_of(state),
        sold=sum(one.containers for one in book.promises.values() if one.tenant),
        called=sum(part.containers for one in book.calls.values() for part in one.backing),
        holders=tuple(
            HolderLine(holder=holder, shares=shares, worth_wei=vault.worth_wei(shares))
            for holder, shares in sorted(book.shares.items())
            if everything or holder in own
        ),
        requests=tuple(
            VaultRequestLine(
                number=one.number, holder=one.holder, wei=one.wei, shares=one.shares, matures_ms=one.matures_ms
            )
            for _, one in sorted(book.requests.items())
            if everything or one.holder in own
        ),
    )


def promise_lines(state: State, caller: Caller) -> tuple[PromiseLine, ...]:
    """What is for sale, and the caller's own promises; operator and auditor see all."""
    promises = sorted(state.world.reserve.promises.values(), key=lambda one: (one.start_ms, one.promise))
    return tuple(promise_line(state, one, caller) for one in promises if not one.tenant or knows(caller, one))


def knows(caller: Caller, one: Promise) -> bool:
    """Whether a caller is one of the two sides of a promise, or may see all."""
    bought = caller.has(TENANT) and one.tenant == caller.subject
    promised = caller.has(PROVIDER) and one.owner == caller.subject
    return bought or promised or caller.has(OPERATOR, AUDITOR)


def promise_line(state: State, one: Promise, caller: Caller) -> PromiseLine:
    """A promise; who stands behind it is told to its two sides."""
    book, seen = state.world.reserve, knows(caller, one)
    return PromiseLine(
        promise=one.promise,
        gpu_model=one.gpu_model,
        containers=one.containers,
        region=one.region,
        start_ms=one.start_ms,
        end_ms=one.end_ms,
        notice_ms=one.notice_ms,
        premium_usd_micro_per_h=one.premium_usd_micro_per_h,
        state=PromiseState.SOLD if one.tenant else PromiseState.OFFERED,
        owner=one.owner if seen else "",
        tenant=one.tenant if seen else "",
        backing=one.backing if seen else (),
        calls=tuple(_call(state, call) for call in book.open_calls(one.promise)) if seen else (),
        last=book.ended.get(one.promise) if seen else None,
    )


def _call(state: State, call: Call) -> CallLine:
    return CallLine(
        call=call.call,
        kind=call.kind,
        containers=sum(part.containers for part in call.backing),
        asked_ms=call.asked_ms,
        ready_ms=call.ready_ms,
        until_ms=call.until_ms,
        ready=calls.ready_of(state, call),
    )
