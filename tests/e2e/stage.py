"""The demonstration's stage for runs with faults: the network between its processes, and clocks that can be set."""

from __future__ import annotations

import os
from pathlib import Path

from sunward.cli.demo.stage import Stage, environment
from sunward.client import ApiClient
from tests.support.fault_proxy import FaultProxy
from tests.support.stepped import Stepped

CONTROL, TENANT = "control", "tenant"
BUSY_S = 1.0
"""How long the control plane's database waits for a lock, here."""


class FaultyStage(Stage):
    """Agents and tenants talk through the proxy; every process reads a clock of its own."""

    def __init__(self, folder: Path, speed: int, port: int, proxy: FaultProxy) -> None:
        super().__init__(folder, speed, port)
        self.proxy = proxy
        self._log_at: dict[str, int] = {}

    def server(self, name: str) -> str:
        """The door of an agent."""
        return self.proxy.url(name)

    def tenant(self) -> ApiClient:
        """A tenant on the faulty network."""
        return ApiClient(self.proxy.url(TENANT), self.credentials.token("tenant"))

    def set_clock(self, name: str, off_s: float) -> None:
        """Set the machine clock of a process, now and for its later starts."""
        # Written over in place, in one piece: a process that runs has the file open.
        with self._clock(name).open("r+" if self._clock(name).exists() else "w", encoding="ascii") as file:
            file.write(f"{off_s:+08.3f}")

    def code(self, name: str) -> int | None:
        """How a process ended; None while it runs."""
        return self._processes[name].poll()

    def said(self, name: str) -> list[str]:
        """What a process has said since its last start."""
        with self.log(name).open("rb") as log:
            log.seek(self._log_at[name])
            return log.read().decode(errors="replace").splitlines()

    def running(self) -> frozenset[str]:
        """Names of all processes that nobody has ended."""
        return frozenset(self._processes)

    def drop(self, name: str) -> None:
        """Let go of a process that has ended."""
        del self._processes[name]

    def _spawn(self, name: str, words: list[str]) -> None:
        self._log_at[name] = self.log(name).stat().st_size if self.log(name).exists() else 0
        clock = self._clock(name)
        if not clock.exists():
            self.set_clock(name, 0.0)
        words = ["--home", str(self.home), *words]
        self._processes[name] = Stepped(clock, BUSY_S, words, self.log(name), environment(os.environ))

    def _clock(self, name: str) -> Path:
        return self.folder / f"{name}.clock"
