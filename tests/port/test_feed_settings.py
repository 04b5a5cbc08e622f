"""feeds.toml: what it may say, and what is refused with which remedy; keys stay out of it and of every message."""

from __future__ import annotations

import pytest

from sunward.adapters.feeds.settings import read_feeds
from sunward.errors import InputError
from sunward.model.datum import SeriesKind

GOOD = """
[[feed]]
zone = "GB"
source = "neso"
kinds = ["carbon_average_direct"]

[[feed]]
zone = "GB"
source = "electricity-maps"
kinds = ["carbon_average_lifecycle"]
wait_hours = 6

[[feed]]
zone = "DE"
source = "energy-charts"
place = "DE-LU"
usd_per_eur = 1.1
every_minutes = 60

[[feed]]
zone = "DE"
source = "open-meteo"
"""
KEYS = {"ELECTRICITY_MAPS_TOKEN": "top-secret", "EIA_API_KEY": "top-secret", "MINE": "top-secret"}


@pytest.fixture
def read(tmp_path):
    def made(text, environment=KEYS):
        path = tmp_path / "feeds.toml"
        path.write_text(text, encoding="utf-8")
        return read_feeds(path, environment)

    return made


def test_a_file_names_the_source_of_each_series(read):
    neso, maps, charts, weather = read(GOOD)
    assert (neso.zone, neso.feed.name, neso.kinds) == ("GB", "neso", (SeriesKind.CARBON_AVERAGE_DIRECT,))
    assert (maps.feed.name, maps.wait_hours, maps.every_minutes) == ("electricity-maps", 6, 15)
    assert (charts.kinds, charts.every_minutes) == ((SeriesKind.PRICE,), 60)
    assert "1.1 USD/EUR" in charts.feed.source(SeriesKind.PRICE)
    assert "," in weather.feed.source(SeriesKind.WET_BULB), "the zone's own place, when none is named"
    for one in (neso, maps, charts, weather):
        one.feed.close()


def entry(**words):
    lines = [f"{name} = {value!r}" for name, value in {"zone": "DE", **words}.items()]
    return "[[feed]]\n" + "\n".join(lines).replace("'", '"') + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("feed = 3", "feeds.toml"),
        ("[[feed]\n", "not TOML"),
        ("", "feeds.toml"),
        ("[[feeds]]\n", "unknown word 'feeds'"),
        (entry(source="neso", zoom=1), "unknown word 'zoom'"),
        (entry(source="neso"), "NESO tells of zone GB only"),
        (entry(source="tarot"), "unknown source; use one of eia, electricity-maps"),
        (entry(zone="Atlantis", source="eia"), "unknown grid zone"),
        (entry(source="energy-charts"), "name its bidding zone as `place`"),
        (entry(source="energy-charts", place="DE-LU"), "name a rate as `usd_per_eur`"),
        (entry(source="eia"), "name its balancing authority"),
        (entry(source="watttime", place="X"), "no key; set WATTTIME_LOGIN"),
        (entry(source="electricity-maps", key_env="NOT_SET"), "no key; set NOT_SET"),
        (entry(source="electricity-maps", key_file="absent.key"), "cannot read the key"),
        (entry(source="electricity-maps", kinds=["price"]), "it has no price; it has carbon_average_lifecycle"),
        (entry(source="electricity-maps", kinds=["carbon"]), "Invalid enum value 'carbon'"),
        (entry(source="electricity-maps", every_minutes=1), "every_minutes 5 to 1440"),
        (entry(source="electricity-maps", wait_hours=0), "wait_hours 1 to 168"),
        (entry(source="electricity-maps", url="http://example.org"), "must begin with https://"),
        (entry(source="open-meteo", place="north pole"), "write it as latitude,longitude"),
        (entry(source="electricity-maps") * 2, "is told by electricity-maps already"),
        (entry(source="electricity-maps") + entry(source="eia", place="X"), "is told by electricity-maps already"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(read, text, message):
    with pytest.raises(InputError) as caught:
        read(text)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert "top-secret" not in caught.value.message
    assert caught.value.code in {"SW-221", "SW-222", "SW-100"}


def test_a_key_file_is_its_owners_alone(read, tmp_path):
    key = tmp_path / "em.key"
    key.write_text("top-secret\n", encoding="utf-8")
    key.chmod(0o644)
    text = entry(source="electricity-maps", key_file="em.key")
    with pytest.raises(InputError, match="chmod 600"):
        read(text, {})
    key.chmod(0o600)
    assert read(text, {})[0].feed.name == "electricity-maps"
    key.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is empty"):
        read(text, {})


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*absent\.toml"):
        read_feeds(tmp_path / "absent.toml", {})
