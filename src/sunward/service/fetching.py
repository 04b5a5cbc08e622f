"""Asks live feeds in threads of its own, one for each source, and fills the cache; the control plane never waits.

Machine time decides when to ask again; without acceleration it is grid time too, and feeds run on no other.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sunward.adapters.feeds.cache import FILE, Asked, Cache
from sunward.adapters.feeds.feed import FeedError, Told
from sunward.adapters.feeds.live import LiveFeeds
from sunward.adapters.feeds.settings import Subscription
from sunward.engine.inputs import Feeds
from sunward.errors import InputError
from sunward.model.datum import SeriesKind
from sunward.service.control import ControlPlane
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, floor_to

log = logging.getLogger("sunward.feeds")

RECENT_MS = DAY_MS
"""How far back every request looks: figures of the last day are still being revised."""
REVISED_MS = 9 * DAY_MS
"""How far back the first request of each day looks, as far as the source lets it."""
AHEAD_MS = 72 * HOUR_MS
FIRST_REST_MS, LONGEST_REST_MS = MINUTE_MS, 30 * MINUTE_MS
REFUSED_REST_MS = HOUR_MS
"""After a refusal that asking again cannot change."""
NAP_S = 60.0
END_S = 5.0
"""How long the end of the process waits for a request in flight."""


@contextlib.contextmanager
def fetching(control: ControlPlane, subscriptions: tuple[Subscription, ...], home: Path) -> Iterator[Path | None]:
    """Let a control plane live on feeds, what it had so far standing behind them, and ask until the end.

    Gives the file that they fill; None without feeds.
    Gives the file that they fill; None without feeds.
    Raises: InputError when its grid clock is not that of the world the feeds tell of.
    """
    if not subscriptions:
        yield None
        return
    require_real_time(control, "live feeds")
    clock = control.clock
    cache = Cache(home / FILE)
    before = control.feeds
    live = LiveFeeds(cache, subscriptions, before.source, before.forecaster)
    control.feeds = Feeds(before.source, live, live)
    fetcher = Fetcher(home / FILE, subscriptions, clock.grid_ms, live.tell_news)
    fetcher.start()
    try:
        yield home / FILE
    finally:
        fetcher.stop()
        cache.close()


def require_real_time(control: ControlPlane, what: str) -> None:
    """Refuse to live on what is told of the real hour where grid time is another. Raises: InputError."""
    clock = control.clock
    if clock.mapping.speed > 1 or abs(clock.grid_ms() - clock.machine_ms()) > HOUR_MS:
        line = f"{what} tell of the real hour, and grid time here is another; start a home without --speed and --start"
        raise InputError(line, code="SW-220")


class Fetcher:
    """The threads."""

    def __init__(
        self, path: Path, subscriptions: Iterable[Subscription], now_ms: Callable[[], int], tell: Callable[[], None]
    ) -> None:
        self._path = path
        self._now_ms = now_ms
        self._tell = tell
        self._of: defaultdict[str, list[Subscription]] = defaultdict(list)
        for one in subscriptions:
            self._of[one.feed.name].append(one)
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to ask."""
        for name, subscriptions in self._of.items():
            thread = threading.Thread(target=self._keep, args=(subscriptions,), name=f"feed-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ask no more."""
        self._end.set()
        for thread in self._threads:
            thread.join(END_S)

    def _keep(self, subscriptions: list[Subscription]) -> None:
        cache = Cache(self._path)
        try:
            while not self._end.is_set():
                try:
                    next_ms = self.round(subscriptions, cache)
                except Exception:  # a fault of one source must not end its feed for good
                    log.exception("feeds: asking %s went wrong", subscriptions[0].feed.name)
                    next_ms = self._now_ms() + FIRST_REST_MS
                self._end.wait(min(NAP_S, max(1.0, (next_ms - self._now_ms()) / SECOND_MS)))
        finally:
            cache.close()
            for one in subscriptions:
                one.feed.close()

    def round(self, subscriptions: Iterable[Subscription], cache: Cache) -> int:
        """Ask for every series that is due; when the next one will be."""
        soonest_ms = self._now_ms() + DAY_MS
        for one in subscriptions:
            for kind in one.kinds:
                asked = cache.asked(one.zone, kind)
                if asked is None or asked.feed != one.feed.name or asked.next_ms <= self._now_ms():
                    asked = self._ask(one, kind, cache, asked)
                soonest_ms = min(soonest_ms, asked.next_ms)
                if self._end.is_set():
                    return soonest_ms
        return soonest_ms

    def _ask(self, one: Subscription, kind: SeriesKind, cache: Cache, before: Asked | None) -> Asked:
        """Observed hours first, then those ahead; what came before a failure is kept."""
        now_ms = self._now_ms()
        hour_ms = floor_to(now_ms, HOUR_MS)
        source = one.feed.source(kind)
        had_ms = before.had_ms if before else 0
        try:
            told = _observed(one, kind, hour_ms, deep=had_ms // DAY_MS != now_ms // DAY_MS)
            cache.keep(one.zone, kind, told, source, now_ms, ahead=False)
            ahead = one.feed.ahead(kind, hour_ms, hour_ms + AHEAD_MS)
            cache.keep(one.zone, kind, ahead, source, now_ms, ahead=True)
        except FeedError as reason:
            asked = _failed(one, reason, before, now_ms)
            if before is None or before.error != asked.error:
                log.warning("feeds: %s of %s: %s", kind, one.zone, reason.message)
        else:
            next_ms = now_ms + one.every_minutes * MINUTE_MS
            asked = Asked(feed=one.feed.name, tried_ms=now_ms, had_ms=now_ms, next_ms=next_ms)
            if before is not None and before.error:
                log.info("feeds: %s of %s: told again", kind, one.zone)
        cache.note(one.zone, kind, asked)
        self._tell()
        return asked


def _observed(one: Subscription, kind: SeriesKind, hour_ms: int, *, deep: bool) -> tuple[Told, ...]:
    """Hours up to the present one; a plan that does not reach far back is asked for the last day alone."""
    end_ms = hour_ms + HOUR_MS
    if deep:
        back_ms = min(REVISED_MS, one.feed.span_ms - HOUR_MS)
        try:
            return one.feed.observed(kind, end_ms - back_ms, end_ms)
        except FeedError as reason:
            if reason.transient:
                raise
    return one.feed.observed(kind, hour_ms - RECENT_MS, end_ms)


def _failed(one: Subscription, reason: FeedError, before: Asked | None, now_ms: int) -> Asked:
    """Rest longer after each failure in a row, and at least as long as the source asks."""
    failures = before.failures + 1 if before else 1
    rest_ms = min(FIRST_REST_MS << min(failures - 1, 10), LONGEST_REST_MS) if reason.transient else REFUSED_REST_MS
    return Asked(
        feed=one.feed.name,
        tried_ms=now_ms,
        had_ms=before.had_ms if before else 0,
        next_ms=now_ms + max(rest_ms, reason.rest_s * SECOND_MS),
        failures=failures,
        code=reason.code,
        error=reason.message,
    )
