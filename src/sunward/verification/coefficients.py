"""The coefficients of the bounds, each with its unit, date and source; `data/bounds.csv` holds them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from sunward.errors import InvariantError

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One figure that a bound rests on."""

    name: str
    scope: str
    """What it holds for; `*` = whatever has no figure of its own."""
    value: float
    unit: str
    dated: int
    quality: str
    source: str
    why: str


@cache
def load() -> dict[tuple[str, str], Coefficient]:
    """All coefficients by name and scope; read once."""
    text = (resources.files("sunward.verification") / "data" / "bounds.csv").read_text(encoding="utf-8")
    rows = (
        Coefficient(
            name=row["name"],
            scope=row["scope"],
            value=float(row["value"]),
            unit=row["unit"],
            dated=int(row["dated"]),
            quality=row["quality"],
            source=row["source"],
            why=row["why"],
        )
        for row in csv.DictReader(text.splitlines())
    )
    return {(row.name, row.scope): row for row in rows}


def value(name: str, *scopes: str) -> float:
    """The figure of the first scope that has one, else the one for all.

    Raises: InvariantError when there is none.
    """
    known = load()
    for scope in (*scopes, ANY):
        if (name, scope) in known:
            return known[name, scope].value
    raise InvariantError(f"bounds.csv has no {name} for {scopes}")
