"""A machine that suspends as a whole (`rtcwake`): its containers are awake while it is, and asleep together."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sunward.errors import InputError, SourceError
from sunward.model.identity import PoolId
from sunward.model.site import PoolPower

SLEEP_STATES = Path("/sys/power/state")
ANSWER_S = 10
HANG_S = 120
"""Time awake, beyond the time asked for, after which the program is taken to hang."""


@dataclass(frozen=True, slots=True)
class RtcWake:
    """The program that sets the alarm clock and suspends the machine to memory."""

    command: tuple[str, ...]

    def suspend(self, seconds: int) -> None:
        """Suspend until the alarm in so many seconds, or until something else wakes the machine; returns then.

        Raises: SourceError when it says that it cannot, or does not end.
        """
        words = [*self.command, "-m", "mem", "-s", str(seconds)]
        try:
            # Time asleep does not count towards this limit.
            done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + HANG_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as reason:
            raise SourceError(f"rtcwake did not run to its end: {reason}", code="SW-547", transient=False) from None
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            raise SourceError(f"rtcwake: {lines[-1]}", code="SW-547", transient=False)


def find() -> RtcWake | str:
    """The program as this process may run it, or why it cannot."""
    program = shutil.which("rtcwake")
    if program is None:
        return "rtcwake is not installed"
    try:
        states = SLEEP_STATES.read_text().split()
    except OSError:
        states = []
    if "mem" not in states:
        return "this machine has no suspend to memory"
    if os.geteuid() == 0:
        return RtcWake((program,))
    sudo = shutil.which("sudo")
    if sudo is not None and _may(sudo, program):
        return RtcWake((sudo, "-n", program))
    return f"rtcwake needs root; allow `sudo -n {program}` to this user, or run the agent as a system service"


def _may(sudo: str, program: str) -> bool:
    try:
        done = subprocess.run([sudo, "-n", "-l", program], capture_output=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class MachinePowerSwitch:
    """All containers of one machine: idle as long as it is on, whatever is asked, and asleep when it suspends.

    It does not know leases, nor when the machine may sleep: who holds the leases asks whether it is `unused`.
    """

    def __init__(self, pools: Mapping[str, int], program: RtcWake) -> None:
        """`pools`: containers that exist per pool. All count as wanted until somebody says otherwise."""
        self._exist = dict(pools)
        self._wanted = dict(pools)
        self._program = program
        self._asleep = False

    def set_awake(self, pool: str, count: int, at_ms: int) -> None:
        """Ask for a number of awake containers.

        Raises: InputError for an unknown pool or a count it does not have.
        """
        del at_ms
        if pool not in self._exist:
            raise InputError(f"no pool {pool} here", code="SW-507")
        if not 0 <= count <= self._exist[pool]:
            raise InputError(f"{pool} has {self._exist[pool]} containers, not {count}", code="SW-508")
        self._wanted[pool] = count

    def states(self, at_ms: int) -> tuple[PoolPower, ...]:
        """Containers by power state now."""
        del at_ms
        return tuple(
            PoolPower(
                pool=PoolId(pool),
                asleep=count if self._asleep else 0,
                waking=0,
                idle=0 if self._asleep else count,
                busy=0,
            )
            for pool, count in self._exist.items()
        )

    @property
    def unused(self) -> bool:
        """Whether nobody wants any container awake."""
        return not any(self._wanted.values())

    def lie_down(self) -> None:
        """From now on the machine counts as asleep: it is about to suspend."""
        self._asleep = True

    def suspend(self, seconds: int) -> None:
        """Suspend for so many seconds at most. Raises: SourceError."""
        self._program.suspend(seconds)

    def get_up(self) -> None:
        """From now on the machine counts as awake."""
        self._asleep = False
