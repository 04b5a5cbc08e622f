"""What happens to orders of carbon credits, as recorded in the journal; docs/settlement.md."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.credits import CreditRules, RetiredCredits


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditRulesSet:
    """How credits are bought from now on, whole."""

    rules: CreditRules


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditsOrdered:
    """An order goes out now: whatever becomes of the request, it is never sent again."""

    order: str
    reference: str
    """What the registry knows it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditsRetired:
    """A registry carried an order out."""

    order: str
    credits: tuple[RetiredCredits, ...]
    paid_usd_micro: int
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditsRefused:
    """An order came to nothing."""

    order: str
    reason: str
