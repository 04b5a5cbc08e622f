"""The owner comes first: which devices the owner keeps for itself now, and why.

A device is kept while a process of the owner's works on it, while it is too hot, while the disk is nearly full or the
day's traffic is used up, and while a file `keep` in the agent's folder names it. Own programs and the file take a
device from a running job at once; the other reasons only keep new work away, or ask the job to stop in its own time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sunward.agent.config import AgentConfig
from sunward.errors import SourceError
from sunward.units import BYTES_PER_GIB

KEEP_FILE = "keep"
TRAFFIC_FILE = "traffic.json"
COOLER_C = 5
"""A device kept for heat returns when it is so many degrees below the limit, so that it does not come and go."""
DESKTOP = frozenset(
    {"Xorg", "Xwayland", "gnome-shell", "kwin_wayland", "kwin_x11", "plasmashell", "sway", "weston", "mutter"}
)
"""Programs that draw the screen and always hold its GPU, as the kernel names them: no use that anybody waits for."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Why the owner keeps a device."""

    reason: str
    yields: bool = False
    """A job on it has to go."""
    now: bool = False
    """It has to go within seconds, whatever its grace."""


class Gauges(Protocol):
    """What a GPU's driver tells of one device."""

    def processes(self, device: str) -> Sequence[int]:
        """Numbers of the processes that use it. Raises: SourceError."""

    def temperature_c(self, device: str) -> int:
        """Of the chip. Raises: SourceError."""


@dataclass(slots=True)
class Owner:
    """Looks for the owner's wishes; used by one thread."""

    config: AgentConfig
    devices: tuple[str, ...]
    ours: Callable[[], set[int]]
    """Processes of the jobs that run here."""
    moved_bytes: Callable[[], int]
    """What the agent has sent and received of files and logs since it started."""
    gauges: Gauges | None = None
    _hot: set[str] = field(default_factory=set)
    _day: str = ""
    _moved_before: int = 0
    _moved_at: int = 0
    _written: int = 0
    """Bytes of the day as they stand in the file."""

    def look(self, day: str) -> dict[str, Kept]:
        """The devices kept now. `day`: today's date, UTC.

        A driver that does not answer keeps the device too: nobody can see whether the owner uses it.
        """
        everything = self._named() or self._full() or self._used_up(day)
        if everything is not None:
            named, kept = everything
            return dict.fromkeys(named, kept)
        return self._seen(self.gauges) if self.gauges is not None else {}

    def _named(self) -> tuple[Sequence[str], Kept] | None:
        """The devices that the file `keep` names, one a line; all of them when it is empty."""
        try:
            named = (self.config.home / KEEP_FILE).read_text("utf-8").split()
        except (OSError, UnicodeDecodeError):
            return None
        return [device for device in self.devices if device in named or not named], Kept(
            "the owner keeps it", True, True
        )

    def _full(self) -> tuple[Sequence[str], Kept] | None:
        free_bytes = shutil.disk_usage(self.config.home).free
        if free_bytes >= self.config.disk_free_gib * BYTES_PER_GIB:
            return None
        return self.devices, Kept("the disk is nearly full")

    def _used_up(self, day: str) -> tuple[Sequence[str], Kept] | None:
        limit_bytes = self.config.traffic_gib_per_day * BYTES_PER_GIB
        if not limit_bytes or self._moved_today(day) < limit_bytes:
            return None
        return self.devices, Kept("today's traffic is used up")

    def _moved_today(self, day: str) -> int:
        """Bytes of today, over restarts of the agent."""
        moved = self.moved_bytes()
        path = self.config.home / TRAFFIC_FILE
        if not self._day:
            self._day, self._moved_before = day, _recorded(path, day)
            self._written = self._moved_before
        if day != self._day:
            self._day, self._moved_before, self._moved_at, self._written = day, 0, moved, 0
        today = self._moved_before + moved - self._moved_at
        if today != self._written:
            with suppress(OSError):
                # On a full disk it is kept in memory until there is room again.
                path.write_text(json.dumps({"day": day, "bytes": today}), "utf-8")
                self._written = today
        return today

    def _seen(self, gauges: Gauges) -> dict[str, Kept]:
        """The devices that somebody else uses, that are too hot, or whose driver does not answer."""
        kept: dict[str, Kept] = {}
        seen: dict[str, tuple[set[int], int]] = {}
        for device in self.devices:
            try:
                heat_c = gauges.temperature_c(device) if self.config.temperature_c_max else 0
                seen[device] = set(gauges.processes(device)), heat_c
            except SourceError as reason:
                kept[device] = Kept(reason.message)
        # Asked after the users, so that a job that starts in between is known as ours.
        ours = self.ours() if any(users for users, _ in seen.values()) else set()
        for device, (users, heat_c) in seen.items():
            reason_for = self._reason(device, users - ours, heat_c)
            if reason_for is not None:
                kept[device] = reason_for
        return kept

    def _reason(self, device: str, others: set[int], heat_c: int) -> Kept | None:
        programs = sorted({program(pid) for pid in others} - DESKTOP - set(self.config.ignored_programs) - {""})
        if programs:
            return Kept(f"the owner uses it: {programs[0]}", True, True)
        if self._too_hot(device, heat_c):
            return Kept(f"it is at {heat_c} °C", True)
        return None

    def _too_hot(self, device: str, heat_c: int) -> bool:
        limit_c = self.config.temperature_c_max - COOLER_C * (device in self._hot)
        hot = bool(self.config.temperature_c_max) and heat_c >= limit_c
        (self._hot.add if hot else self._hot.discard)(device)
        return hot


def program(pid: int) -> str:
    """A process's program as the kernel names it; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def changes(before: Mapping[str, Kept], now: Mapping[str, Kept]) -> tuple[str, ...]:
    """One line for every device that was taken or given back; a new temperature is no news."""
    taken = [f"{device} is kept: {now[device].reason}" for device in sorted(now) if device not in before]
    given = [f"{device} is free for jobs again" for device in sorted(before) if device not in now]
    return (*taken, *given)


def _recorded(path: Path, day: str) -> int:
    """Bytes that the file tells of a day; none when it tells of another, or cannot be read."""
    try:
        told = json.loads(path.read_text("utf-8"))
        return int(told["bytes"]) if told["day"] == day else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0
