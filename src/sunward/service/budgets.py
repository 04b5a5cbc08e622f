"""A tenant's monthly budget: what a month of grid time has cost, what may still come, and who is told.

The service refuses before anything is recorded, so neither the engine nor the journal knows of budgets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from sunward.adapters.budgets_sql import Budget
from sunward.errors import InputError
from sunward.model.calendar import month_of
from sunward.model.records import BudgetRequest, BudgetView
from sunward.service import notices
from sunward.service.config import ServiceConfig
from sunward.service.control import ControlPlane
from sunward.settlement.ledger import escrow_account
from sunward.units import MICRO

LIMIT_USD_MAX = 10**9
PERCENT = 100
BUDGET_ALERT = "budget_alert"
OVER_BUDGET, BAD_BUDGET = "SW-180", "SW-181"


def view(control: ControlPlane, tenant: str) -> BudgetView:
    """A tenant's budget and its present month."""
    budget = control.store.budgets.get(tenant)
    month = month_of(control.clock.grid_ms())
    return BudgetView(
        limit_usd_micro=budget.limit_usd_micro if budget else None,
        alert_percent=budget.alert_percent if budget else 0,
        webhook=budget.webhook if budget else "",
        month=month,
        spent_usd_micro=_spent(control, tenant, month),
        open_usd_micro=_open(control, tenant),
    )


def set_budget(control: ControlPlane, config: ServiceConfig, tenant: str, wanted: BudgetRequest) -> None:
    """Keep a tenant's budget, or drop it.

    Raises: InputError for figures or an address that cannot be kept.
    """
    if wanted.monthly_usd is None:
        control.store.budgets.drop(tenant)
        return
    if not 0 <= wanted.monthly_usd <= LIMIT_USD_MAX:
        raise InputError(f"monthly_usd must lie between 0 and {LIMIT_USD_MAX}", code=BAD_BUDGET)
    if not 0 <= wanted.alert_percent <= PERCENT:
        raise InputError(f"alert_percent must lie between 0 and {PERCENT}", code=BAD_BUDGET)
    notices.check_webhook(config, wanted.webhook)
    control.store.budgets.put(
        Budget(
            tenant=tenant,
            limit_usd_micro=round(wanted.monthly_usd * MICRO),
            alert_percent=wanted.alert_percent,
            webhook=wanted.webhook,
        )
    )
    alert(control, tenant)


def refusal(control: ControlPlane, tenant: str, escrow_wei: int) -> str:
    """Why a job with this escrow does not fit into the month's budget; empty when it does or there is no budget."""
    budget = control.store.budgets.get(tenant)
    if budget is None:
        return ""
    month = month_of(control.clock.grid_ms())
    left = budget.limit_usd_micro - _spent(control, tenant, month) - _open(control, tenant)
    needed = _usd_micro(control, escrow_wei)
    if needed <= left:
        return ""
    return (
        f"the budget of {_usd(budget.limit_usd_micro)} USD a month leaves {_usd(max(left, 0))} USD in {month} and "
        f"this job may cost {_usd(needed)} USD; raise it with `sunward account budget`, or wait for the next month"
    )


@contextmanager
def reserved(control: ControlPlane, tenant: str, job: str, escrow_wei: int) -> Iterator[None]:
    """Count a job against the budget while it waits to be recorded, so that none slips in beside it.

    Raises: InputError for a job that could exceed the tenant's budget.
    """
    if job in control.coming.get(tenant, {}):
        # The same request came twice at once: it is one job, and counted already.
        yield
        return
    reason = refusal(control, tenant, escrow_wei)
    if reason:
        raise InputError(reason, code=OVER_BUDGET)
    control.coming.setdefault(tenant, {})[job] = escrow_wei
    try:
        yield
    finally:
        del control.coming[tenant][job]
        if not control.coming[tenant]:
            del control.coming[tenant]


def alert(control: ControlPlane, tenant: str) -> None:
    """Tell the tenant, once a month, that the share of its budget it named is spent or set aside."""
    budget = control.store.budgets.get(tenant)
    month = month_of(control.clock.grid_ms())
    if budget is None or not budget.webhook or not budget.alert_percent or budget.alerted_month == month:
        return
    spent, held = _spent(control, tenant, month), _open(control, tenant)
    if (spent + held) * PERCENT < budget.limit_usd_micro * budget.alert_percent:
        return
    body = {
        "tenant": tenant,
        "month": month,
        "limit_usd_micro": budget.limit_usd_micro,
        "alert_percent": budget.alert_percent,
        "spent_usd_micro": spent,
        "open_usd_micro": held,
    }
    # In this order, so that a kill between the two sends it twice and never loses it.
    notices.enqueue(control, tenant, budget.webhook, BUDGET_ALERT, body)
    control.store.budgets.mark_alerted(tenant, month)


def _spent(control: ControlPlane, tenant: str, month: str) -> int:
    """Paid by jobs that ended in the month, micro-USD; it changes only when an epoch closes."""
    epoch = control.state.epoch
    known = control.month_paid.get(tenant)
    if known is None or known[:2] != (month, epoch):
        known = (month, epoch, control.store.queries.month_paid(tenant, month))
        control.month_paid[tenant] = known
    return known[2]


def _open(control: ControlPlane, tenant: str) -> int:
    """In the escrow of the tenant's jobs that are not settled yet, or are about to be recorded, micro-USD."""
    jobs = control.state.world.jobs
    code = jobs.code_of.get(tenant, -1)
    rows = np.flatnonzero(jobs.ints["tenant"][: len(jobs.ids)] == code).tolist()
    held = (control.state.ledger.balance(escrow_account(job)) for row in rows if (job := jobs.ids[row]) is not None)
    coming = (wei for job, wei in control.coming.get(tenant, {}).items() if job not in jobs)
    return _usd_micro(control, sum(held) + sum(coming))


def _usd_micro(control: ControlPlane, amount_wei: int) -> int:
    """At the present rate, rounded up: a limit is never exceeded by rounding."""
    return -(-amount_wei // control.state.world.wei_per_usd_micro)


def _usd(amount_micro: int) -> str:
    return f"{amount_micro / MICRO:.2f}"
