"""Emissions that know on which basis they were counted, so that two bases are never added or compared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sunward.errors import InvariantError


class Basis(StrEnum):
    """How the electricity behind emissions was counted (GHG Protocol, scope 2)."""

    LOCATION = "location-based, life-cycle"
    MARKET = "market-based, life-cycle"


@dataclass(frozen=True, slots=True)
class Emissions:
    """mgCO2e on one basis."""

    basis: Basis
    mg: int

    def __add__(self, other: Emissions) -> Emissions:
        """Raises: InvariantError on another basis, as do subtraction and comparison."""
        return Emissions(self.basis, self.mg + self._same(other))

    def __sub__(self, other: Emissions) -> Emissions:
        return Emissions(self.basis, self.mg - self._same(other))

    def __lt__(self, other: Emissions) -> bool:
        return self.mg < self._same(other)

    def __le__(self, other: Emissions) -> bool:
        return self.mg <= self._same(other)

    def _same(self, other: Emissions) -> int:
        if not isinstance(other, Emissions) or other.basis is not self.basis:
            raise InvariantError(f"{self.basis} emissions and {other!r} answer different questions")
        return other.mg


def total(basis: Basis, parts: tuple[Emissions, ...]) -> Emissions:
    """The sum of emissions that must all be on one basis."""
    found = Emissions(basis, 0)
    for part in parts:
        found = found + part
    return found
