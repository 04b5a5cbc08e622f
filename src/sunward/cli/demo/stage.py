"""The processes of the demo: one control plane, one agent a site, each a real process that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from sunward.agent.config import CONFIG_FILE
from sunward.cli.demo.scenario import START, DemoSite
from sunward.client import ApiClient
from sunward.client.credentials import CREDENTIALS, Credentials
from sunward.errors import InputError, SourceError
from sunward.model.codec import decode

GRACE_S = 2.0
"""Machine time of silence after which an agent is lost; short, for a short demo."""
START_S = 30.0
STOP_S = 20.0


class Stage:
    """Starts, kills and ends processes; on leaving nothing it started is left."""

    def __init__(self, folder: Path, speed: int, port: int = 0) -> None:
        """`port`: of the control plane; 0 takes a free one. Every later start takes the same one again."""
        self.folder = folder
        self.home = folder / "home"
        self.environ: dict[str, str] = {}
        """What the processes are told besides."""
        self._speed = speed
        self._port = port
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def credentials(self) -> Credentials:
        """What the control plane left in its home."""
        return decode((self.home / CREDENTIALS).read_bytes(), Credentials)

    def client(self, role: str = "tenant") -> ApiClient:
        """A client with the token of a role."""
        return ApiClient(self.credentials.url, self.credentials.token(role))

    def server(self, name: str) -> str:  # noqa: ARG002  tests have a network between
        """Where the agent of this name finds the control plane."""
        return self.credentials.url

    def start_control(self) -> int:
        """Start the control plane, for the first time or again, and wait until it answers; its pid."""
        self.spawn_control()
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            self._check_alive("control")
            try:
                with self.client() as client:
                    client.journal_head()
            except (OSError, InputError, SourceError):
                time.sleep(0.1)
                continue
            # Agents know the control plane by its address, so it must come back there.
            self._port = urlsplit(self.credentials.url).port or self._port
            return self.pid("control")
        raise SourceError(f"the control plane did not answer within {START_S:.0f} s; see {self.log('control')}")

    def spawn_control(self) -> None:
        """Start the control plane without waiting for it."""
        words = ["up", "--port", str(self._port), "--speed", str(self._speed)]
        self._spawn("control", [*words, "--start", START, "--grace", str(GRACE_S)])

    def start_agent(self, site: DemoSite) -> int:
        """Start the agent of a site, for the first time or again; its pid."""
        words = ["join", "--folder", str(self.agent_folder(site.site))]
        if not (self.agent_folder(site.site) / CONFIG_FILE).exists():
            with self.client("provider") as client:
                token = client.enrol(f"demo {site.site}").token
            words += ["--join-token", token, "--server", self.server(site.site), "--site", site.site]
            words += ["--zone", site.zone, "--gpu", f"{site.gpu}:{site.count}", "--cooling", site.cooling]
            words += ["--overhead", str(site.overhead), "--ask", str(site.ask_usd), "--admission", "own", "--trusted"]
            words += ["--poll", str(GRACE_S / 4)]
        self._spawn(site.site, words)
        return self.pid(site.site)

    def agent_folder(self, site: str) -> Path:
        """Where the agent of a site keeps its key, outbox and attempts."""
        return self.folder / "agents" / site

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.folder / f"{name}.log"

    def pid(self, name: str) -> int:
        """The pid of a process that was started."""
        return self._processes[name].pid

    def kill(self, name: str) -> int:
        """`kill -9`; the pid it had."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()
        return process.pid

    def check_alive(self) -> None:
        """Raise SourceError when a process ended that nobody ended."""
        for name in self._processes:
            self._check_alive(name)

    def _check_alive(self, name: str) -> None:
        code = self._processes[name].poll()
        if code is not None:
            tail = self.log(name).read_text(errors="replace").strip().splitlines()[-1:]
            raise SourceError(
                f"{name} ended with code {code}: {' '.join(tail)} (see {self.log(name)})", transient=False
            )

    def _spawn(self, name: str, words: list[str]) -> None:
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "sunward", "--home", str(self.home), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(os.environ) | self.environ,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Keep everything running until Ctrl-C."""
        try:
            while True:
                self.check_alive()
                time.sleep(1)
        except KeyboardInterrupt:
            return

    def close(self) -> None:
        """End every process: politely first, agents before the control plane they talk to."""
        for name in sorted(self._processes, key=lambda name: name == "control"):
            self.stop(name)

    def stop(self, name: str) -> int:
        """End one process politely, or by force when it takes too long; its exit code."""
        process = self._processes.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would point the processes elsewhere."""
    own = {"SUNWARD_HOME", "SUNWARD_URL", "SUNWARD_TOKEN", "SUNWARD_LANG"}
    return {name: value for name, value in environ.items() if name not in own} | {"OMP_NUM_THREADS": "1"}
