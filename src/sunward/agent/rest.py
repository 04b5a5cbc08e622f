"""When the machine of an agent may sleep: nobody wants it, its owner is away, and nothing is on its way."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sunward.units import HOUR_MS, MINUTE_MS, SECOND_MS

SLEEP_MS_MAX = HOUR_MS
"""Longest sleep at a time: then the agent looks in, for work that came meanwhile."""
SLEEP_MS_MIN = 5 * MINUTE_MS
"""A shorter one is not worth it."""
AWAKE_S = 120.0
"""Machine time that the agent stays awake at least, so that plans can ask for it."""
AWAY_S = 600.0
"""An owner who has typed nothing for as long is not here."""
TERMINALS = ("/dev/pts/[0-9]*", "/dev/tty[0-9]*")
ANSWER_S = 5.0
SCREENS = frozenset({"x11", "wayland", "mir"})


def sleep_until(wanted_ms: int, wake_ms: int, now_ms: int) -> int:
    """Until when to sleep, grid time; 0 where that would be too short. `wanted_ms`: the next planned need, 0 = none."""
    latest_ms = now_ms + SLEEP_MS_MAX
    until_ms = min(wanted_ms or latest_ms, latest_ms)
    return until_ms if until_ms - wake_ms - now_ms >= SLEEP_MS_MIN else 0


def alarm_s(until_ms: int, wake_ms: int, now_ms: int) -> int:
    """Seconds after which the alarm must ring for the machine to be ready in time."""
    return max(1, (until_ms - wake_ms - now_ms) // SECOND_MS)


class Gate:
    """Lets requests pass until it is shut, and knows how many are on their way."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._inside = 0
        self._is_shut = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait until it is open, and be on the way meanwhile."""
        with self._turn:
            self._turn.wait_for(lambda: not self._is_shut)
            self._inside += 1
        try:
            yield
        finally:
            with self._turn:
                self._inside -= 1
                self._turn.notify_all()

    def shut(self, timeout_s: float) -> bool:
        """Let nobody pass any more; whether all who were on their way have arrived in time."""
        with self._turn:
            self._is_shut = True
            return self._turn.wait_for(lambda: not self._inside, timeout_s)

    def open(self) -> None:
        """Let everybody pass again."""
        with self._turn:
            self._is_shut = False
            self._turn.notify_all()


def owner_here(root: Path = Path("/")) -> bool:
    """Whether somebody typed in a terminal lately, or a screen in use is not idle."""
    return _typed(root) or _at_screen()


def _typed(root: Path) -> bool:
    now_s = time.time()
    for pattern in TERMINALS:
        for terminal in root.glob(pattern.lstrip("/")):
            try:
                if now_s - terminal.stat().st_atime < AWAY_S:
                    return True
            except OSError:
                continue
    return False


def _at_screen() -> bool:
    """What the sessions of the login manager say; nobody is at a screen where there is none."""
    sessions = [line.split()[0] for line in _loginctl("list-sessions", "--no-legend").splitlines() if line.strip()]
    for session in sessions:
        told = dict(
            line.partition("=")[::2]
            for line in _loginctl("show-session", session, "--property=Type", "--property=IdleHint").splitlines()
        )
        if told.get("Type") in SCREENS and told.get("IdleHint") == "no":
            return True
    return False


def _loginctl(*words: str) -> str:
    program = shutil.which("loginctl")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
