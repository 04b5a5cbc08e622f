"""What is kept of feeds' answers: across restarts, in two threads at once, and after damage."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from sunward.adapters.feeds.cache import FILE, KEPT_MS, LEARNT_MS, Asked, Cache
from sunward.adapters.feeds.feed import Told
from sunward.errors import SourceError
from sunward.model.datum import Quality, SeriesKind
from sunward.model.identity import ZoneId
from sunward.units import HOUR_MS

CARBON = SeriesKind.CARBON_AVERAGE_LIFECYCLE
DE = ZoneId("DE")
START = 1_000_000 * HOUR_MS


@pytest.fixture
def cache(tmp_path):
    opened = Cache(tmp_path / FILE)
    yield opened
    opened.close()


def told(*values, first=START, quality=Quality.MEASURED):
    return [Told(first + index * HOUR_MS, value, quality) for index, value in enumerate(values)]


def values(cache, *, ahead=False, start=START, hours=100):
    held = cache.held(DE, CARBON, start, start + hours * HOUR_MS, ahead=ahead)
    return {(one.hour_ms - START) // HOUR_MS: one.value for one in held}


def test_a_later_answer_replaces_hour_by_hour_and_leaves_the_rest(cache):
    cache.keep(DE, CARBON, told(1, 2, 3), "a", START, ahead=False)
    cache.keep(DE, CARBON, told(20, 30, first=START + HOUR_MS, quality=Quality.ESTIMATED), "b", START + 5, ahead=False)
    assert values(cache) == {0: 1, 1: 20, 2: 30}
    first, second, _ = cache.held(DE, CARBON, START, START + 3 * HOUR_MS, ahead=False)
    assert (first.source, first.quality, first.fetched_ms) == ("a", Quality.MEASURED, START)
    assert (second.source, second.quality, second.fetched_ms) == ("b", Quality.ESTIMATED, START + 5)
    assert cache.latest(DE, CARBON) == (START + 3 * HOUR_MS, 0)


def test_a_new_forecast_ends_the_old_one_and_keeps_what_it_said_of_hours_gone(cache):
    cache.keep(DE, CARBON, told(1, 2, 3, 4, 5), "a", START, ahead=True)
    cache.keep(DE, CARBON, told(20, 30, first=START + HOUR_MS), "a", START + 1, ahead=True)
    assert values(cache, ahead=True) == {0: 1, 1: 20, 2: 30}
    assert values(cache) == {}
    cache.keep(DE, CARBON, [], "a", START + 2, ahead=True)
    assert values(cache, ahead=True) == {0: 1, 1: 20, 2: 30}, "an empty answer takes nothing away"


def test_it_survives_a_restart_and_is_its_owners_alone(cache, tmp_path):
    cache.keep(DE, CARBON, told(1), "a", START, ahead=False)
    cache.note(DE, CARBON, Asked(feed="neso", tried_ms=1, had_ms=2, next_ms=3, failures=4, code="SW-226", error="x"))
    cache.close()
    again = Cache(tmp_path / FILE)
    assert values(again) == {0: 1}
    asked = again.asked(DE, CARBON)
    assert (asked.failures, asked.code, asked.had_ms) == (4, "SW-226", 2)
    assert again.asked(DE, SeriesKind.PRICE) is None
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    again.close()


def test_old_hours_are_forgotten(cache):
    for ahead, kept_ms in ((True, KEPT_MS), (False, LEARNT_MS)):
        cache.keep(DE, CARBON, told(1, 2), "a", START, ahead=ahead)
        later_ms = START + kept_ms
        cache.keep(DE, CARBON, told(3, first=later_ms), "a", later_ms + HOUR_MS, ahead=ahead)
        assert values(cache, ahead=ahead) == {1: 2}


def test_a_damaged_file_is_made_anew(tmp_path):
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    cache = Cache(tmp_path / FILE)
    cache.keep(DE, CARBON, told(1), "a", START, ahead=False)
    assert values(cache) == {0: 1}
    cache.close()


def test_one_thread_writes_while_another_reads(cache, tmp_path):
    def write():
        mine = Cache(tmp_path / FILE)
        for value in range(100):
            mine.keep(DE, CARBON, told(value, value), "a", START, ahead=False)
        mine.close()

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert len(set(values(cache).values())) <= 1, "an answer is seen whole or not at all"
    writer.join()
    assert values(cache) == {0: 99, 1: 99}


def test_a_file_that_somebody_holds_is_never_deleted(cache, tmp_path, monkeypatch):
    monkeypatch.setattr("sunward.adapters.feeds.cache.BUSY_S", 0.05)
    path = tmp_path / FILE
    cache.keep(DE, CARBON, told(1), "a", START, ahead=False)
    cache.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match=r"cannot be opened: database is locked"):
            Cache(path)
        other.execute("COMMIT")
    again = Cache(path)
    assert values(again) == {0: 1}
    again.close()


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path):
    """Each keeps one hour of its own; none may lose its file to another, or be refused."""
    openers = 8
    together = threading.Barrier(openers)

    def open_and_keep(index):
        together.wait()
        mine = Cache(tmp_path / FILE)
        mine.keep(DE, CARBON, told(index, first=START + index * HOUR_MS), "a", START, ahead=False)
        mine.close()

    with ThreadPoolExecutor(openers) as pool:
        list(pool.map(open_and_keep, range(openers)))
    after = Cache(tmp_path / FILE)
    assert values(after) == {index: index for index in range(openers)}
    after.close()
