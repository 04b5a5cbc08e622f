"""Sources of prices on this machine: their documented answers, and their bad days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sunward.adapters.prices import PriceEntry, PriceSource, read_rates
from sunward.errors import InputError, SourceError
from sunward.units import SECOND_MS
from tests.support.json_server import Asked, JsonServer, Reply

NOW_S = 1_781_186_400
NOW_MS = NOW_S * SECOND_MS
KRAKEN = {"error": [], "result": {"ATHUSD": {"a": ["0.0392"], "c": ["0.03915", "12.5"], "v": ["1", "2"]}}}
GOOD: dict[str, object] = {
    "/api/v3/simple/price": {"aethir": {"usd": 0.03914, "last_updated_at": NOW_S - 40}},
    "/0/public/Ticker": KRAKEN,
    "/v2/prices/ATH-USD/spot": {"data": {"amount": "0.0390000001", "base": "ATH", "currency": "USD"}},
    "/own": {"quotes": [{"usd": "0.041"}], "at/ms": NOW_MS + 5},
}


class Sources:
    def __init__(self) -> None:
        self.good = dict(GOOD)
        self.bad: dict[str, Reply] = {}
        self.server = JsonServer(self.answer)

    def answer(self, asked: Asked) -> Reply:
        path = asked.path.partition("?")[0]
        return self.bad.get(path) or Reply(self.good[path])


@pytest.fixture
def sources() -> Iterator[Sources]:
    made = Sources()
    yield made
    made.server.close()


def source(sources: Sources, form: str, **more: str) -> PriceSource:
    path = {
        "coingecko": "/api/v3/simple/price?ids={asset}&vs_currencies=usd&include_last_updated_at=true",
        "kraken": "/0/public/Ticker?pair={asset}",
        "coinbase": "/v2/prices/{asset}/spot",
        "json": "/own",
    }[form]
    asset = {"coingecko": "aethir", "kraken": "ATHUSD", "coinbase": "ATH-USD"}.get(form, "")
    entry = {"source": form, "form": form, "asset": asset, "url": sources.server.url + path} | more
    return PriceSource(PriceEntry(**entry))


@pytest.mark.parametrize(
    ("form", "more", "price", "at_ms"),
    [
        ("coingecko", {}, 39_140, NOW_MS - 40 * SECOND_MS),
        ("kraken", {}, 39_150, NOW_MS),
        ("coinbase", {}, 39_000, NOW_MS),
        ("json", {"price": "/quotes/*/usd", "moment": "/at~1ms"}, 41_000, NOW_MS),
        ("json", {"price": "/quotes/0/usd"}, 41_000, NOW_MS),
    ],
)
def test_each_form_is_read(sources, form, more, price, at_ms):
    one = source(sources, form, **more)
    found = one.ask(NOW_MS)
    assert (found.source, found.usd_micro_per_ath, found.at_ms) == (form, price, at_ms)
    one.close()


def test_what_is_asked_is_what_the_source_documents(sources):
    source(sources, "coingecko").ask(NOW_MS)
    source(sources, "kraken").ask(NOW_MS)
    first, second = (one.path for one in sources.server.asked)
    assert first == "/api/v3/simple/price?ids=aethir&vs_currencies=usd&include_last_updated_at=true"
    assert second == "/0/public/Ticker?pair=ATHUSD"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"result": {}},
        {"result": {"A": {"c": ["1"]}, "B": {"c": ["2"]}}},
        {"result": {"A": {"c": []}}},
        {"result": {"A": {"c": ["nan"]}}},
        {"result": {"A": {"c": ["-1"]}}},
        {"result": {"A": {"c": [0]}}},
        {"result": {"A": {"c": [True]}}},
        {"result": {"A": {"c": ["1e99"]}}},
        {"result": {"A": {"c": ["0.0000001"]}}},
        {"result": {"A": {"c": "x"}}},
    ],
)
def test_nonsense_is_no_price(sources, answer):
    sources.good["/0/public/Ticker"] = answer
    with pytest.raises(SourceError) as refused:
        source(sources, "kraken").ask(NOW_MS)
    assert refused.value.code == "SW-804"


def test_a_price_without_its_moment_is_none(sources):
    sources.good["/api/v3/simple/price"] = {"aethir": {"usd": 0.039}}
    with pytest.raises(SourceError, match="no moment"):
        source(sources, "coingecko").ask(NOW_MS)


@pytest.mark.parametrize(
    "reply", [Reply(status=503), Reply(status=429), Reply(raw=b"<html>"), Reply([1]), Reply(drop=True)]
)
def test_an_outage_is_named_and_ends_nothing(sources, reply):
    sources.bad["/0/public/Ticker"] = reply
    with pytest.raises(SourceError):
        source(sources, "kraken").ask(NOW_MS)
    sources.bad.clear()
    assert source(sources, "kraken").ask(NOW_MS).usd_micro_per_ath == 39_150


def test_a_key_travels_in_its_header_and_in_no_message(sources):
    one = PriceSource(
        PriceEntry(source="x", url=f"{sources.server.url}/own", price="/none", key_header="x-cg-demo-api-key"), "sesame"
    )
    with pytest.raises(SourceError) as refused:
        one.ask(NOW_MS)
    assert sources.server.asked[0].headers["x-cg-demo-api-key"] == "sesame"
    assert "sesame" not in refused.value.message


FILE = """
every_seconds = 60

[[price]]
source = "gecko"
form = "coingecko"
asset = "aethir"

[[price]]
source = "kraken"
form = "kraken"
asset = "ATHUSD"

[[price]]
source = "own"
url = "https://prices.example/ath"
price = "/usd"
key_env = "OWN_KEY"
"""


def test_a_settings_file_names_the_sources(tmp_path: Path):
    path = tmp_path / "rates.toml"
    path.write_text(FILE)
    found, every_s = read_rates(path, {"OWN_KEY": "k"})
    assert ([one.name for one in found], every_s) == (["gecko", "kraken", "own"], 60)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("every_seconds = 60", "every_seconds = 3600", "10..900"),
        ('source = "own"', 'source = "gecko"', "another name"),
        ('form = "kraken"\nasset = "ATHUSD"', 'form = "craken"', "unknown form"),
        ('asset = "ATHUSD"', "", "name the asset"),
        ('price = "/usd"', "", "a price such as"),
        ('price = "/usd"', 'price = "usd"', "no JSON pointer"),
        ('key_env = "OWN_KEY"', 'key_env = "NONE"', "set NONE"),
        ('source = "own"', 'sauce = "own"', "unknown word"),
        ("[[price]]", "[price", "not TOML"),
        ("https://prices.example", "http://prices.example", "https"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old, new, words):
    path = tmp_path / "rates.toml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(InputError, match=words):
        read_rates(path, {"OWN_KEY": "k"})


def test_two_sources_are_refused_and_so_is_no_file(tmp_path: Path):
    path = tmp_path / "rates.toml"
    path.write_text(FILE[: FILE.index('[[price]]\nsource = "own"')])
    with pytest.raises(InputError, match="3 sources"):
        read_rates(path, {})
    with pytest.raises(InputError, match="cannot read"):
        read_rates(tmp_path / "none.toml", {})
