"""Does to the processes of a run what its faults say, and undoes it."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from sunward.cli.demo.scenario import SITES, DemoSite
from sunward.cli.main import EXIT_INPUT, EXIT_SOURCE
from sunward.errors import SourceError
from sunward.service.bootstrap import DATABASE_FILE
from tests.e2e import processes
from tests.e2e.matrix import JOB, Fault, Kind
from tests.e2e.stage import CONTROL, FaultyStage
from tests.support.fault_proxy import FaultProxy

FULL_BYTES = 8_192
"""Where files stop growing on a full disk: below what the databases have, above what a log has."""
LOG_MARGIN_BYTES = 4_096
STARTED = '"event": "started"'
BACK_S = 1.0
"""How long a clock that was off at a start stays so."""
DATABASE_FAULTS = ("error SW-210: ", "error SW-211: ", "error SW-590: ", "error SW-612: ")
"""How a process says in its last line that it could not read or write."""
WATCH_S = 0.5
UNSPRUNG_S = 5.0
MAY_END = frozenset({Kind.FULL, Kind.LOCKED})
"""What the control plane may end by itself of, in one line, and an agent while it starts; a service manager would start
them again."""


Undo: TypeAlias = Callable[[float], None]
"""Ends a fault; told the moment."""


@dataclass(slots=True)
class _Standing:
    """A fault that is not over."""

    fault: Fault
    over_s: float
    undo: Undo
    dead: bool = False
    """The process is to be started again."""
    watched: bool = False
    """The fault is over, and the process may still end of it."""


@dataclass(slots=True)
class Hand:
    """Carries out faults, one at a time for each process."""

    stage: FaultyStage
    proxy: FaultProxy
    choose: random.Random
    note: Callable[[str], None]
    orphans: list[processes.Process]
    """Processes below agents at the moment these were killed."""
    standing: dict[str, _Standing] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        """Whether nothing is wrong now."""
        return not self.standing

    def strike(self, fault: Fault, now_s: float) -> bool:
        """Whether the fault has fallen; one whose target is not there to be struck waits for it."""
        if fault.target == JOB:
            return self._strike_job()
        if fault.target in self.standing:
            return False
        self.note(str(fault))
        begin = {
            Kind.KILL: self._kill,
            Kind.AWAY: self._set_trap,
            Kind.PAUSE: self._pause,
            Kind.FULL: self._fill,
            Kind.LOCKED: self._lock,
            Kind.STEP: self._step,
        }
        undo = begin[fault.kind](fault)
        self.standing[fault.target] = _Standing(fault, now_s + fault.lasts_s, undo, dead=fault.kind is Kind.KILL)
        return True

    def pass_time(self, now_s: float) -> None:
        """Notice who has ended, undo what is over, and start again whoever is dead."""
        for name, standing in list(self.standing.items()):
            if standing.fault.kind is Kind.AWAY and not standing.dead:
                self._look_at_trap(name, standing, now_s)
            elif standing.fault.kind in MAY_END and not standing.dead:
                self._look_at_end(name, standing)
            if standing.over_s <= now_s:
                self._end(name, standing, now_s)

    def _end(self, name: str, standing: _Standing, now_s: float) -> None:
        del self.standing[name]
        standing.undo(now_s)
        if standing.dead:
            self.start(name)
        elif standing.fault.kind in MAY_END and not (standing.watched and self._is_sound(name)):
            self.standing[name] = _Standing(standing.fault, now_s + WATCH_S, _nothing, watched=True)

    def _is_sound(self, name: str) -> bool:
        if name != CONTROL:
            return any(STARTED in line for line in self.stage.said(name))
        try:
            with self.stage.client() as client:
                client.journal_head()
        except SourceError:
            return False
        return True

    def check_alive(self) -> None:
        """Fail when a process has ended that may not end of what it meets."""
        for name in self.stage.running() - self.standing.keys():
            assert self.stage.code(name) is None, (name, self.stage.said(name)[-2:])

    def start(self, name: str) -> None:
        """Start a process again."""
        if name == CONTROL:
            self.stage.spawn_control()
        else:
            self.stage.start_agent(site_of(name))

    def _strike_job(self) -> bool:
        gone = {name for name, one in self.standing.items() if one.dead}
        alive = [site.site for site in SITES if site.site not in gone]
        found = [process for site in alive for process in processes.of_jobs(self.stage.pid(site))]
        if not found:
            return False
        process = self.choose.choice(found)
        self.note(f"{process.name} of lease {process.lease} killed")
        process.kill()
        return True

    def _kill(self, fault: Fault) -> Undo:
        if fault.target != CONTROL:
            self.orphans += processes.below(self.stage.pid(fault.target))
        self.stage.kill(fault.target)
        return _nothing

    def _set_trap(self, fault: Fault) -> Undo:
        self.proxy.set_trap(fault.route, self.stage.pid(CONTROL))

        def set_right(now_s: float) -> None:
            # The clock is found to be off only after a while.
            right = Fault(at_s=0.0, kind=Kind.STEP, target=CONTROL, lasts_s=BACK_S)
            self.standing[CONTROL] = _Standing(right, now_s + BACK_S, lambda _now_s: self.stage.set_clock(CONTROL, 0.0))

        return set_right

    def _look_at_trap(self, name: str, standing: _Standing, now_s: float) -> None:
        if self.proxy.sprung.is_set():
            self.stage.kill(name)
            self.stage.set_clock(name, standing.fault.off_s)
            standing.dead, standing.over_s = True, now_s + standing.fault.lasts_s
        else:
            standing.over_s = now_s + 2 * WATCH_S
            if now_s > standing.fault.at_s + UNSPRUNG_S:
                # Nobody goes that way any more; agents always talk.
                self.proxy.set_trap("POST /v1/agents", self.stage.pid(name))

    def _pause(self, fault: Fault) -> Undo:
        pid = self.stage.pid(fault.target)
        os.kill(pid, signal.SIGSTOP)
        return lambda _now_s: os.kill(pid, signal.SIGCONT)

    def _fill(self, fault: Fault) -> Undo:
        pid = self.stage.pid(fault.target)
        log_bytes = self.stage.log(fault.target).stat().st_size
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(FULL_BYTES, log_bytes + LOG_MARGIN_BYTES), most))

        def make_room(_now_s: float) -> None:
            if fault.target in self.stage.running() and self.stage.pid(fault.target) == pid:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

        return make_room

    def _lock(self, _fault: Fault) -> Undo:
        database = sqlite3.connect(self.stage.home / DATABASE_FILE, timeout=30, isolation_level=None)
        database.execute("BEGIN EXCLUSIVE")
        return lambda _now_s: database.close()

    def _step(self, fault: Fault) -> Undo:
        self.stage.set_clock(fault.target, fault.off_s)
        return lambda _now_s: self.stage.set_clock(fault.target, 0.0)

    def _look_at_end(self, name: str, standing: _Standing) -> None:
        """Who ended says why in its last line, and that the database or the disk is at fault."""
        code = self.stage.code(name)
        if code is None:
            return
        last = self.stage.said(name)[-2:]
        assert code in (EXIT_INPUT, EXIT_SOURCE), (code, last)
        assert any(line.startswith(DATABASE_FAULTS) for line in last), last
        assert name == CONTROL or not any(STARTED in line for line in self.stage.said(name)), last
        self.note(f"{name} ended: {last[0]}")
        self.stage.drop(name)
        standing.dead = True


def site_of(name: str) -> DemoSite:
    """A site by name."""
    return next(site for site in SITES if site.site == name)


def at_moment(what: str) -> str:
    """A line of what was done, with its moment."""
    return f"{time.strftime('%H:%M:%S')} {what}"


def _nothing(_now_s: float) -> None:
    """Nothing is to be undone."""
