"""The market of every zone, and what certificates of each source are worth."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from sunward.errors import InputError
from sunward.signals import markets, zones


def test_every_zone_has_a_market_but_those_that_cover_others() -> None:
    for zone in zones.load().rows:
        market = markets.market_of(zone)
        assert bool(market) != zones.load().zone(zone).aggregate, zone
        assert not market or markets.is_market(market)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("DE", "LU", True),
        ("IE", "GB-NIR", True),
        ("DK-BHM", "DK-DK2", True),
        ("DK-DK1", "DK-DK2", False),
        ("FR", "DE", False),
        ("US-CAL-CISO", "US-CAL-BANC", False),
        ("SE-SE3", "SE-SE4", False),
    ],
)
def test_markets_are_bidding_zones_or_narrower(one: str, other: str, *, same: bool) -> None:
    assert (markets.market_of(one) == markets.market_of(other)) == same


def test_factors_agree_with_those_feeds_are_weighted_with() -> None:
    path = resources.files("sunward.adapters.feeds") / "data" / "factors.csv"
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    feeds = {row["fuel"]: int(row["gco2e_per_kwh"]) * 1_000 for row in rows}
    ours = {name: one.mg_per_kwh for name, one in markets.sources().items() if name in feeds}
    assert len(ours) >= 6
    assert ours == {name: feeds[name] for name in ours}


def test_nuclear_is_carbon_free_and_not_renewable_and_biomass_the_other_way() -> None:
    assert (markets.energy_source("nuclear").renewable, markets.energy_source("nuclear").carbon_free) == (False, True)
    assert (markets.energy_source("biomass").renewable, markets.energy_source("biomass").carbon_free) == (True, False)


def test_what_is_unknown_is_said_so() -> None:
    with pytest.raises(InputError, match="Atlantis"):
        markets.market_of("Atlantis")
    with pytest.raises(InputError, match="solar"):
        markets.energy_source("coal")
    assert not markets.is_market("")
