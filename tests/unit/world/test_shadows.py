from __future__ import annotations

from sunward.model.identity import PoolId
from sunward.model.plan import ShadowPrice
from sunward.units import HOUR_MS
from sunward.world.shadows import ShadowBook

START = 1_000 * HOUR_MS


def price(pool: str, start_h: float, end_h: float, usd_micro: int) -> ShadowPrice:
    return ShadowPrice(
        pool=PoolId(pool),
        start_ms=START + round(start_h * HOUR_MS),
        end_ms=START + round(end_h * HOUR_MS),
        usd_micro_per_h=usd_micro,
    )


def test_prices_become_columns_of_the_slots_ahead():
    book = ShadowBook()
    assert book.over(["a", "b"], START, HOUR_MS, 4) is None
    book.take((price("a", -1, 2, 50), price("a", 2, 3, 70), price("b", 3, 99, 9), price("gone", 0, 4, 1)))
    assert book.over(["a", "b"], START, HOUR_MS, 4).tolist() == [[50, 50, 70, 0], [0, 0, 0, 9]]
    # Two hours later the first is past.
    assert book.over(["a"], START + 2 * HOUR_MS, HOUR_MS, 2).tolist() == [[70, 0]]
    book.take(())
    assert book.over(["a"], START, HOUR_MS, 4) is None
