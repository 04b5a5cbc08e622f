"""What was proved of this machine's sleep, and the proof: it really suspends, and what wakes it is measured.

Asleep, the clock that counts suspension goes on and the one that does not stands still: by how much they part is how
long the machine slept. Without that nothing is proved, whatever a program said.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sunward.adapters.power_machine import RtcWake
from sunward.adapters.secret_file import write_secret
from sunward.errors import InputError, SourceError
from sunward.model.codec import decode, encode
from sunward.model.site import Sleep

SLEEP_FILE = "sleep.json"
EARLY_S = 10
"""A machine takes as long to fall asleep; who sleeps still less was woken by something else than its alarm."""
LATE_S = 60
"""An alarm that is as late did not wake it."""
CALL_AFTER_S = 30
"""From asking for the packet to its being sent: time to fall asleep."""
CALL_FOR_S = 90
ALARM_S = 240
"""Of the alarm that wakes the machine when no packet does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was proved; the content of `sleep.json`."""

    sleep: Sleep
    wake_s: int
    """Seconds from the alarm until GPUs and control plane answered."""
    proved_at: str
    by: str
    """What was run."""
    wake_mac: str = ""
    """Address by which a neighbour woke it; empty = that was not proved."""
    lan: str = ""
    """The network that was on."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Two clocks of one machine, seconds: the first counts suspension, the second does not."""

    boottime_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    monotonic_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_MONOTONIC)

    def suspended_s(self) -> float:
        """How long the machine has slept since it was started."""
        return self.boottime_s() - self.monotonic_s()


def load_proof(folder: Path) -> Proof | None:
    """What was proved of the machine of this folder; None when nothing was.

    Raises: InputError when the file cannot be read.
    """
    path = folder / SLEEP_FILE
    try:
        return decode(path.read_bytes(), Proof)
    except FileNotFoundError:
        return None
    except InputError as reason:
        raise InputError(
            f"{path}: {reason.message}; delete it and run `sunward doctor --prove-sleep`", code="SW-541"
        ) from None


def save_proof(folder: Path, proof: Proof) -> None:
    """Keep what was proved."""
    write_secret(folder / SLEEP_FILE, encode(proof))


def prove_sleep(program: RtcWake, seconds: int, clocks: Clocks, until_ready: Callable[[], object]) -> Proof:
    """Suspend for so long, and measure the sleep and the way back. `until_ready` returns when work could begin.

    Raises: SourceError when it cannot, or when it did not sleep as long as it should: nothing is proved then.
    """
    began_s, before_s = clocks.boottime_s(), clocks.suspended_s()
    program.suspend(seconds)
    slept_s = clocks.suspended_s() - before_s
    if slept_s < seconds - EARLY_S:
        raise SourceError(
            f"it slept {max(0.0, slept_s):.0f} of {seconds} s: its sleep is not proved", code="SW-543", transient=False
        )
    if slept_s > seconds + LATE_S:
        raise SourceError(
            f"it slept {slept_s:.0f} s, the alarm was set to {seconds} s: its waking is not proved",
            code="SW-543",
            transient=False,
        )
    until_ready()
    wake_s = max(1, math.ceil(clocks.boottime_s() - began_s - seconds))
    return Proof(sleep=Sleep.SUSPEND, wake_s=wake_s, proved_at=_now(), by=f"rtcwake -m mem -s {seconds}")


def prove_wake_on_lan(
    known: Proof, program: RtcWake, clocks: Clocks, mac: str, lan: str, ask: Callable[[], int]
) -> Proof:
    """Suspend, and see whether a neighbour's packet wakes the machine before its alarm does.

    `ask`: has the control plane send packets from `CALL_AFTER_S` on; it returns how many neighbours there are.
    Raises: SourceError when there is no neighbour, or when something else woke it: nothing is proved then.
    """
    if not ask():
        raise SourceError(
            "no other machine of yours is awake on this network; start its agent first", code="SW-546", transient=False
        )
    before_s = clocks.suspended_s()
    program.suspend(ALARM_S)
    slept_s = clocks.suspended_s() - before_s
    if slept_s >= ALARM_S - EARLY_S:
        raise SourceError("the alarm woke it, not the packet; enable Wake-on-LAN", code="SW-544", transient=False)
    if slept_s < CALL_AFTER_S - EARLY_S:
        raise SourceError(
            f"it slept {max(0.0, slept_s):.0f} s, too short for a packet to have woken it",
            code="SW-544",
            transient=False,
        )
    return replace(known, proved_at=_now(), wake_mac=mac, lan=lan)


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
