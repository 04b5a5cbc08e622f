"""The exchange rate of a service whose sources stand on this machine: outage, nonsense, one liar, age, confirmation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sunward.adapters.prices import PriceEntry, PriceSource
from sunward.errors import InputError
from sunward.service.rating import Rating
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS
from tests.api.harness import JOB, Machine, Service
from tests.support.json_server import Asked, JsonServer, Reply


class Market:
    """Three sources; each tells its price, or fails as told."""

    def __init__(self) -> None:
        self.tells: dict[str, Reply] = {}
        self.server = JsonServer(self.answer)
        self.say(a="0.5", b="0.5", c="0.5")

    def answer(self, asked: Asked) -> Reply:
        return self.tells[asked.path.strip("/")]

    def say(self, **prices: object) -> None:
        self.tells |= {name: Reply({"usd": price}) for name, price in prices.items()}

    def fail(self, *names: str) -> None:
        self.tells |= {name: Reply(status=500) for name in names}


@pytest.fixture
def market() -> Iterator[Market]:
    made = Market()
    yield made
    made.server.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    machine = Machine()
    made = Service(tmp_path / "home", machine, speed=1, start_ms=machine.ms)
    yield made
    made.close()


def rating(service: Service, market: Market) -> Rating:
    entries = [PriceEntry(source=name, url=f"{market.server.url}/{name}", price="/usd") for name in "abc"]
    made = Rating(service.control, [PriceSource(entry) for entry in entries], 60)
    made.begin()
    return made


def round_of(service: Service, one: Rating, minutes: int = 1) -> dict[str, object]:
    service.machine.ms += minutes * MINUTE_MS
    service.loop.run_until_complete(one.round())
    found: dict[str, object] = service.ok("GET", "/v1/rate")
    return found


def test_the_test_rate_stays_fixed_without_sources(service: Service) -> None:
    found = service.ok("GET", "/v1/rate")
    assert (found["fixed"], found["usd_micro_per_ath"], found["stale"]) == (True, 500_000, False)
    assert found["wei_per_usd_micro"] == str(2 * 10**12)
    refused = service.ask("POST", "/v1/rate/confirm", "operator", json={"usd_micro_per_ath": 500_000})
    assert (refused.status_code, refused.json()["code"]) == (409, "SW-801")


def test_one_liar_one_outage_and_nonsense(service: Service, market: Market) -> None:
    one = rating(service, market)
    assert service.ok("GET", "/v1/rate")["stale"]
    market.say(a="0.5", b="0.501", c="400")
    found = round_of(service, one)
    assert (found["usd_micro_per_ath"], found["stale"], found["fixed"]) == (501_000, False, False)
    assert service.control.state.world.wei_per_usd_micro == 10**18 // 501_000
    market.fail("c")
    market.say(a="nothing")
    assert round_of(service, one, 10)["stale"] is False
    found = round_of(service, one, 25)
    assert (found["usd_micro_per_ath"], found["stale"]) == (501_000, True)
    assert [each["usd_micro_per_ath"] for each in found["sources"]] == [None, 501_000, None]  # type: ignore[attr-defined]
    market.say(a="0.49", c="0.49")
    assert round_of(service, one)["stale"] is False
    one.close()


def test_a_second_round_with_the_same_prices_records_no_other_rate(service: Service, market: Market) -> None:
    one = rating(service, market)
    round_of(service, one)
    before = service.head[0]
    round_of(service, one, 2)
    assert service.head[0] == before + 1
    again = Rating(service.control, one.sources, 60)
    again.begin()
    assert service.head[0] == before + 1


def test_after_a_day_without_sources_nothing_is_quoted(service: Service, market: Market) -> None:
    one = rating(service, market)
    round_of(service, one)
    market.fail("a", "b", "c")
    asked = JOB | {"budget_usd": 1.0, "deadline_s": 2 * 86_400}
    service.machine.ms += DAY_MS - HOUR_MS
    assert service.ask("POST", "/v1/quotes", json=asked).is_success
    service.machine.ms += 2 * HOUR_MS
    assert round_of(service, one)["quotes_refused"]
    for path in ("/v1/quotes", "/v1/jobs"):
        refused = service.ask("POST", path, json=asked)
        assert (refused.status_code, refused.json()["code"]) == (400, "SW-802"), refused.text
    market.say(a="0.5", b="0.5", c="0.5")
    round_of(service, one)
    assert service.ask("POST", "/v1/jobs", json=asked).is_success


def test_a_large_move_pauses_promises_and_the_operator_may_confirm_it(service: Service, market: Market) -> None:
    one = rating(service, market)
    round_of(service, one)
    market.say(a="0.8", b="0.8", c="0.8")
    round_of(service, one, 40)
    found = round_of(service, one, 31)
    assert (found["usd_micro_per_ath"], found["promises_paused"], found["quotes_refused"]) == (800_000, True, False)
    assert service.ask("POST", "/v1/quotes", json=JOB | {"budget_usd": 1.0}).is_success
    found = service.ok("POST", "/v1/rate/confirm", "operator", json={"usd_micro_per_ath": 800_000})
    assert (found["promises_paused"], found["reference_usd_micro_per_ath"]) == (False, 800_000)
    assert [act.action for act in service.control.store.access.audit_trail()] == ["confirm_rate"]


def test_prices_of_the_real_hour_are_no_use_where_time_runs_faster(tmp_path: Path, market: Market) -> None:
    fast = Service(tmp_path / "fast")
    with pytest.raises(InputError, match="prices tell of the real hour"):
        rating(fast, market)
    fast.close()
