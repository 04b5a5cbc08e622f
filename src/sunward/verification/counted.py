"""Which zone the lines of a receipt may count in, by the rules of places and what anchors measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sunward.model.events import Payload
from sunward.model.place import PlaceRules, RoundTrip
from sunward.model.place_events import PlaceMeasured, PlaceRulesSet
from sunward.model.receipt import Receipt
from sunward.model.site import SiteSpec
from sunward.model.trust import Level
from sunward.verification.place import dirtiest, holds, possible_countries
from sunward.verification.verdict import Finding, mismatch

DECLARED_ZONE = "declared_zone"
STATED = {f"place_{level}": level for level in Level}
"""What a receipt says of the place of its sites, of the weakest; nothing where all are attested."""


@dataclass(slots=True)
class Places:
    """What the records say of places."""

    rules: PlaceRules = field(default_factory=PlaceRules)
    measured: dict[str, dict[str, tuple[int, PlaceMeasured]]] = field(default_factory=dict)
    """By site and anchor, the newest last, since the rules were set; with the time of the record."""

    def take(self, payload: Payload, at_ms: int) -> bool:
        """Whether a record was about places."""
        match payload:
            case PlaceRulesSet():
                self.rules = payload.rules
                self.measured.clear()
            case PlaceMeasured():
                known = self.measured.setdefault(payload.trip.site, {})
                known.pop(payload.trip.anchor_key, None)
                known[payload.trip.anchor_key] = (at_ms, payload)
            case _:
                return False
        return True

    @property
    def asked(self) -> bool:
        """Whether the network asks for the place of its sites."""
        return self.rules.level is not Level.DECLARED

    def dirtiest(self, site: SiteSpec, at_ms: int) -> str:
        """The dirtiest zone that the measurements of a site did not exclude at a moment."""
        standing = self._standing(site.site)
        lapses_ms = min((known_ms for known_ms, _ in standing), default=0) + self.rules.valid_ms
        counts = standing and standing[-1][1].trip.site_key == site.public_key and at_ms < lapses_ms
        return dirtiest(site.zone, [one.trip for _, one in standing] if counts else []).zone

    def check(self, site: str) -> Iterator[Finding]:
        """Both keys signed each measurement, an anchor of the rules where it stands; and what is left follows."""
        standing = self._standing(site)
        for _, one in standing:
            if not (self._by_anchor(one.trip) and holds(one.trip)):
                yield Finding(
                    key="place_measured",
                    sentence="a round trip of {site} is not signed by it and an anchor of the network",
                    figures={"site": site},
                )
        if standing and set(standing[-1][1].countries) != possible_countries([one.trip for _, one in standing]):
            what = f"the measurements of {site}"
            yield mismatch("place_measured", "countries left", what, "what is recorded", "another set of countries")

    def _standing(self, site: str) -> list[tuple[int, PlaceMeasured]]:
        """What counted together when the newest was recorded."""
        known = list(self.measured.get(site, {}).values())
        return [
            (at_ms, one)
            for at_ms, one in known
            if one.trip.site_key == known[-1][1].trip.site_key and known[-1][0] < at_ms + self.rules.valid_ms
        ]

    def _by_anchor(self, trip: RoundTrip) -> bool:
        told = (trip.anchor_key, trip.lat_udeg, trip.lon_udeg)
        return any((one.key, one.lat_udeg, one.lon_udeg) == told for one in self.rules.anchors)


def check_zones(receipt: Receipt, sites: dict[str, SiteSpec], places: Places) -> Iterator[Finding]:
    """Each line counts in the zone declared, or, where the place is shown too little, in the dirtiest that is left.

    The receipt states the level of its weakest site alone: which of several is shown well enough stays its word.
    """
    stated = next((level for key, level in STATED.items() if key in receipt.not_proved), Level.ATTESTED)
    shown = not places.asked or stated.rank >= places.rules.level.rank
    elsewhere = unproven = False
    for name, spec in sites.items():
        yield from places.check(name)
        dirty = spec.zone if shown else places.dirtiest(spec, receipt.finished_ms)
        found = {str(line.zone) for line in receipt.lines if line.site == name}
        if len(found) != 1 or not found <= {spec.zone, dirty}:
            yield mismatch("zone", "zone", name, ", ".join(sorted(found)), f"{spec.zone} or {dirty}")
        elsewhere |= found != {spec.zone}
        unproven |= found == {dirty}
    if sites and not shown and not unproven:
        dirty = ", ".join(places.dirtiest(spec, receipt.finished_ms) for spec in sites.values())
        yield mismatch("zone", "zone", "the lines", "those declared", dirty)
    if (DECLARED_ZONE in receipt.not_proved) != elsewhere:
        expected = f"{DECLARED_ZONE} among them" if elsewhere else f"no {DECLARED_ZONE}"
        yield mismatch("not_proved", "not_proved", "the receipt", receipt.not_proved, expected)
