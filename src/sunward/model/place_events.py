"""What the journal holds of places: what is asked of them, and what anchors measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sunward.model.place import PlaceRules, RoundTrip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRulesSet:
    """What is asked of places from now on, whole; all that was measured before is measured anew."""

    rules: PlaceRules


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceMeasured:
    """An anchor measured a site; it takes the place of what the same anchor measured of it before."""

    trip: RoundTrip
    countries: tuple[str, ...]
    """Where the site can be by this and all other measurements that count now, by code; worked out outside."""


Places: TypeAlias = PlaceRulesSet | PlaceMeasured
KINDS: dict[str, tuple[type[Places], int]] = {
    "place_rules_set": (PlaceRulesSet, 1),
    "place_measured": (PlaceMeasured, 1),
}
"""Kinds and versions, as `events.KINDS` takes them over."""
