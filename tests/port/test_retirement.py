"""The registry port: the one inside the service, and two aggregators that answer here as they document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sunward.adapters.retirement import InnerRegistry, read_registries
from sunward.adapters.retirement_carbonmark import Carbonmark
from sunward.adapters.retirement_cnaught import CNaught
from sunward.errors import InputError, SourceError
from sunward.model.credits import AnswerKind, CreditOrder, Offer
from sunward.ports import Retirement
from sunward.units import MICRO
from tests.support.retirement_server import KEY, CarbonmarkServer, CNaughtServer
from tests.unit.settlement.test_credits import order as plain_order

PROJECTS = ("VCS-191", "VCS-1100", "VCS-7", "GS-5")


@pytest.fixture
def cnaught() -> Iterator[CNaughtServer]:
    made = CNaughtServer()
    yield made
    made.server.close()


@pytest.fixture
def carbonmark() -> Iterator[CarbonmarkServer]:
    made = CarbonmarkServer()
    yield made
    made.server.close()


def of_cnaught(server: CNaughtServer, key: str = KEY) -> CNaught:
    return CNaught("cnaught", key, "Sunward", ("GS-METER", 2022), portfolio="p1", url=server.url)


def of_carbonmark(server: CarbonmarkServer, key: str = KEY) -> Carbonmark:
    return Carbonmark("carbonmark", key, PROJECTS, "Sunward", url=server.url)


@pytest.fixture(params=["test", "cnaught", "carbonmark"])
def registry(request: pytest.FixtureRequest, cnaught: CNaughtServer, carbonmark: CarbonmarkServer) -> Retirement:
    made: dict[str, Retirement] = {
        "test": InnerRegistry(),
        "cnaught": of_cnaught(cnaught),
        "carbonmark": of_carbonmark(carbonmark),
    }
    return made[request.param]


def order(**changes: Any) -> CreditOrder:
    return plain_order(**({"start_ms": 1_781_136_000_000, "end_ms": 1_781_222_400_000} | changes))


def offered(registry: Retirement, asked: CreditOrder) -> Offer:
    found = registry.offer(asked)
    assert isinstance(found, Offer), found
    return found


def test_an_order_is_offered_placed_and_found_again(registry):
    asked = order(kg=10)
    offer = offered(registry, asked)
    assert 0 < offer.usd_micro <= 100 * MICRO
    placed = registry.place(asked, offer.reference)
    assert placed.kind is AnswerKind.RETIRED
    assert sum(one.kg for one in placed.credits) == 10
    assert placed.paid_usd_micro == offer.usd_micro
    assert all(one.kg == one.last - one.first + 1 for one in placed.credits)
    assert registry.find(asked, offer.reference) == placed


def test_two_orders_never_share_serials(registry):
    found = []
    for name in ("co-1", "co-2"):
        asked = order(order=name, kg=4)
        answer = registry.place(asked, offered(registry, asked).reference)
        found += [(one.registry, one.first) for one in answer.credits]
    assert len(set(found)) == len(found)


def test_the_inner_registry_marks_all_as_a_test():
    asked = order()
    (one,) = InnerRegistry().place(asked, asked.order).credits
    assert (one.test, one.kg, one.registry) == (True, asked.kg, "test/co-1")
    assert offered(InnerRegistry(), asked).usd_micro <= asked.limit_usd_micro


def test_cnaught_is_asked_as_it_documents(cnaught):
    one = of_cnaught(cnaught)
    asked = order(kg=10)
    offer = offered(one, asked)
    assert (offer.usd_micro, offer.reference) == (250_000, "co-1")
    placed = one.place(asked, offer.reference)
    sent = cnaught.server.asked[-1]
    assert (sent.headers["idempotency-key"], sent.body["amount_kg"], sent.body["portfolio_id"]) == ("co-1", 10, "p1")
    assert sent.body["description"] == "Sunward: emissions 2026-06-11T00:00:00Z to 2026-06-12T00:00:00Z in DE"
    assert [(each.registry, each.kg, each.project) for each in placed.credits] == [
        ("cnaught/o1/kariba", 7, "Kariba"),
        ("cnaught/o1/tuyil", 3, "Tuyil"),
    ]
    assert placed.credits[0].serials == "GS1-1-KE-GS-1"
    assert placed.certificate == "https://certificates.cnaught.com/o1"


def test_an_order_among_hundreds_is_found(cnaught):
    one = of_cnaught(cnaught)
    for number in range(120):
        one.place(order(order=f"co-{number}", kg=1), f"co-{number}")
    found = one.find(order(order="co-3", kg=1), "co-3")
    assert found.credits[0].registry == "cnaught/o4/kariba"
    assert one.find(order(order="co-999"), "co-999").kind is AnswerKind.UNKNOWN


def test_carbonmark_sells_the_cheapest_that_the_filters_let_pass(carbonmark):
    one = of_carbonmark(carbonmark)
    offer = offered(one, order(kg=10))
    assert (offer.usd_micro, offer.reference) == (45_000, "quote-1|VCS-1100|2023|ACM0002|ES")
    assert offered(one, order(kg=1)).reference.split("|")[1] == "VCS-7"
    assert offered(one, order(kg=10, methods=("GS-METER",))).reference == "quote-3|GS-5|2024|GS-METER|"
    for changes in ({"countries": ("KR",)}, {"methods": ("X",)}, {"vintage_from": 2025}, {"kg": 10**6}):
        refused = one.offer(order(**changes))
        assert not isinstance(refused, Offer)
        assert refused.kind is AnswerKind.REFUSED, changes


def test_carbonmark_is_told_period_country_and_order(carbonmark):
    one = of_carbonmark(carbonmark)
    asked = order(kg=10)
    placed = one.place(asked, offered(one, asked).reference)
    sent = carbonmark.server.asked[-1].body
    assert sent["retirement_message"].startswith("co-1; Sunward: emissions 2026-06-11")
    assert sent["consumption_metadata"] == {
        "country_of_consumption_code": "DE",
        "consumption_period_start": 1_781_136_000,
        "consumption_period_end": 1_781_222_400,
    }
    (found,) = placed.credits
    assert (found.project, found.vintage, found.method, found.country) == ("VCS-1100", 2023, "ACM0002", "ES")
    assert found.registry == f"carbonmark/0x{0:064x}"


def test_a_quote_that_was_used_up_is_refused_and_the_order_found(carbonmark):
    one = of_carbonmark(carbonmark)
    asked = order(kg=10)
    reference = offered(one, asked).reference
    first = one.place(asked, reference)
    assert one.place(asked, reference).kind is AnswerKind.REFUSED
    assert one.find(asked, reference) == first
    assert len(carbonmark.orders) == 1


def test_what_is_not_done_yet_is_pending(cnaught, carbonmark):
    cnaught.at_once = carbonmark.at_once = False
    for one in (of_cnaught(cnaught), of_carbonmark(carbonmark)):
        asked = order(kg=10)
        reference = offered(one, asked).reference
        assert one.place(asked, reference).kind is AnswerKind.PENDING
        assert one.find(asked, reference).kind is AnswerKind.PENDING
    cnaught.orders[0]["state"] = "cancelled"
    assert of_cnaught(cnaught).find(order(), "co-1").kind is AnswerKind.REFUSED


def test_an_order_whose_answer_is_lost_is_found_and_was_placed_once(cnaught, carbonmark):
    for server, one in ((cnaught, of_cnaught(cnaught)), (carbonmark, of_carbonmark(carbonmark))):
        asked = order(kg=10)
        reference = offered(one, asked).reference
        server.drop_after_order = True
        with pytest.raises(SourceError):
            one.place(asked, reference)
        server.drop_after_order = False
        assert one.find(asked, reference).kind is AnswerKind.RETIRED
        assert len(server.orders) == 1


def test_what_was_never_reached_is_known_not_to_have_it(cnaught, carbonmark):
    for one in (of_cnaught(cnaught), of_carbonmark(carbonmark)):
        asked = order(kg=10)
        reference = offered(one, asked).reference
        (cnaught if one.name == "cnaught" else carbonmark).server.close()
        assert one.place(asked, reference).kind is AnswerKind.UNSENT
        with pytest.raises(SourceError):
            one.find(asked, reference)


@pytest.mark.parametrize("status", [500, 429, 409, 408])
def test_a_fault_that_says_nothing_of_the_order_is_no_refusal(cnaught, carbonmark, status):
    for server, one in ((cnaught, of_cnaught(cnaught)), (carbonmark, of_carbonmark(carbonmark))):
        asked = order(kg=10)
        reference = offered(one, asked).reference
        server.status = status
        with pytest.raises(SourceError):
            one.place(asked, reference)


def test_a_wrong_key_is_a_refusal_that_does_not_name_it(cnaught, carbonmark):
    for one in (of_cnaught(cnaught, "secret-1"), of_carbonmark(carbonmark, "secret-1")):
        with pytest.raises(SourceError) as refused:
            one.offer(order(kg=10))
        assert "secret-1" not in refused.value.message + repr(one)
        reference = "quote-1|VCS-1100|2023|ACM0002|ES"
        assert one.place(order(kg=10), reference).kind is AnswerKind.REFUSED


def test_filters_that_a_portfolio_does_not_meet_are_refused_before_anything_is_asked(cnaught):
    one = of_cnaught(cnaught)
    for changes in ({"methods": ("ACM0002",)}, {"vintage_from": 2023}, {"countries": ("KE",)}):
        answer = one.offer(order(**changes))
        assert not isinstance(answer, Offer)
        assert answer.kind is AnswerKind.REFUSED
    assert not cnaught.server.asked


def test_a_strange_reference_is_not_followed(carbonmark):
    with pytest.raises(SourceError):
        of_carbonmark(carbonmark).find(order(), "quote-1")


FILE = """
[[registry]]
kind = "cnaught"
method = "GS-METER"
vintage = 2022

[[registry]]
kind = "carbonmark"
name = "market"
projects = ["VCS-191"]
key_env = "MARKET"
"""
KEYS = {"CNAUGHT_KEY": "a", "MARKET": "b"}


def test_a_settings_file_names_the_registries(tmp_path: Path):
    path = tmp_path / "credits.toml"
    path.write_text(FILE)
    assert list(read_registries(path, "local", KEYS)) == ["test", "cnaught", "market"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kind = "cnaught"', 'kind = "other"', "unknown kind"),
        ('method = "GS-METER"', "", "which method"),
        ('projects = ["VCS-191"]', "", "name the projects"),
        ('key_env = "MARKET"', 'key_env = "NONE"', "set NONE"),
        ('name = "market"', 'name = "cnaught"', "two registries"),
        ('name = "market"', 'nome = "market"', "unknown word"),
        ('name = "market"', 'url = "http://market.example"', "https"),
        ("[[registry]]", "[registry", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old, new, words):
    path = tmp_path / "credits.toml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(InputError, match=words):
        read_registries(path, "local", KEYS)
    with pytest.raises(InputError, match="cannot read"):
        read_registries(tmp_path / "none.toml", "local", KEYS)


def test_an_offer_is_for_the_order_as_it_stands(registry):
    assert offered(registry, order(kg=4)).usd_micro <= offered(registry, replace(order(), kg=8)).usd_micro
