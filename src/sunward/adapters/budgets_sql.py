"""Monthly limits that tenants set themselves: private settings, so they stand beside the journal and not in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, delete, select, update

from sunward.adapters import tables
from sunward.adapters.database import Database

_budgets = tables.budgets
_BUDGET = select(_budgets).where(_budgets.c.tenant == bindparam("of"))
"""Made once: every submission asks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A tenant's limit for every calendar month of grid time."""

    tenant: str
    limit_usd_micro: int
    alert_percent: int
    """Share of the limit at which a notice is sent; 0 = none."""
    webhook: str
    alerted_month: str = ""
    """The last month in which a notice was sent."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Budget rows of one store."""

    database: Database

    def put(self, budget: Budget) -> None:
        """Set a tenant's budget; the notice of this month, if one was sent, is sent anew under the new terms."""
        statement = self.database.insert(_budgets)
        changing = {name: statement.excluded[name] for name in _budgets.c.keys() if name != "tenant"}  # noqa: SIM118
        upsert = statement.on_conflict_do_update(index_elements=["tenant"], set_=changing)
        with self.database.writing() as connection:
            connection.execute(upsert, asdict(budget))

    def get(self, tenant: str) -> Budget | None:
        """A tenant's budget, if it has set one."""
        with self.database.reading() as connection:
            row = connection.execute(_BUDGET, {"of": tenant}).one_or_none()
        return None if row is None else Budget(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name

    def drop(self, tenant: str) -> None:
        """Forget a tenant's budget; forgetting what is not there changes nothing."""
        with self.database.writing() as connection:
            connection.execute(delete(_budgets).where(_budgets.c.tenant == tenant))

    def mark_alerted(self, tenant: str, month: str) -> None:
        """Note that the notice of a month is on its way."""
        with self.database.writing() as connection:
            connection.execute(update(_budgets).where(_budgets.c.tenant == tenant).values(alerted_month=month))
