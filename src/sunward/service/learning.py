"""Learns forecasts in a thread of its own, at low priority: neither the API nor the writer waits for it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from sunward.adapters.feeds.cache import Cache
from sunward.adapters.learnt import LearntForecaster
from sunward.units import DAY_MS

log = logging.getLogger("sunward.forecasts")

NICENESS = 5
NAP_S = 15.0
REST_S = 600.0
"""Least machine time between two times of learning, however fast the grid clock runs."""
END_S = 5.0
"""How long the end of the process waits for what is being learnt."""


@contextlib.contextmanager
def learning(forecaster: LearntForecaster, now_ms: Callable[[], int], feeds: Path | None) -> Iterator[Learning]:
    """Let a forecaster learn at once and then each day of the grid clock `now_ms`; `feeds` is the cache of live feeds.

    Hourly forecasts rest on the newest hours all the same: only the coefficients are a day old at most.
    """
    thread = Learning(forecaster, now_ms, feeds)
    if feeds is None and not forecaster.past.files:
        # Nothing can be learnt, and nothing runs.
        yield thread
        return
    cache = Cache(feeds) if feeds is not None else None
    forecaster.past = replace(forecaster.past, feeds=cache)
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
        if cache is not None:
            cache.close()


class Learning:
    """The thread."""

    def __init__(self, forecaster: LearntForecaster, now_ms: Callable[[], int], feeds: Path | None) -> None:
        self._forecaster = forecaster
        self._now_ms = now_ms
        self._feeds = feeds
        self._end = threading.Event()
        self.first = threading.Event()
        """Set once it was tried to learn."""
        self._thread = threading.Thread(target=self._keep, name="forecasts", daemon=True)

    def start(self) -> None:
        """Begin to learn."""
        self._thread.start()

    def stop(self) -> None:
        """Learn no more."""
        self._end.set()
        self._thread.join(END_S)

    def _keep(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            # On Linux the priority is the thread's own; elsewhere it stays what it is.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        own = Cache(self._feeds) if self._feeds is not None else None
        learnt_day = -1
        try:
            while not self._end.is_set():
                day = self._now_ms() // DAY_MS
                if day == learnt_day:
                    self._end.wait(NAP_S)
                    continue
                learnt_day = day
                self._learn(own)
                self.first.set()
                self._end.wait(REST_S)
        finally:
            if own is not None:
                own.close()

    def _learn(self, own: Cache | None) -> None:
        begun = time.monotonic()
        try:
            self._forecaster.learn(replace(self._forecaster.past, feeds=own), self._now_ms())
        except Exception:  # what was learnt before goes on to count
            log.exception("forecasts: learning went wrong")
            return
        count = self._forecaster.count()
        if count:
            log.info("forecasts: learnt %d series in %.1f s", count, time.monotonic() - begun)
