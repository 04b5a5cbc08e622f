"""The daemon of a machine whose sleep was proved: it tells, sleeps, meters the gap, and wakes its neighbour.

GPUs and `rtcwake` are stand-ins, and the sleep is a wait of seconds: modelled. Processes and packets are real.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sunward.agent.sleep import Proof, save_proof
from sunward.metering.wire import decode_batch
from sunward.model.reading import ReadingBatch
from sunward.model.site import AwakeOrder, Sleep, WakeCall
from sunward.model.wire import ClockMapping, SyncReply, SyncRequest
from tests.support import rtcwake
from tests.support.agents import GRID_MS, POOL, SETTINGS, WAIT_S, Control, join_with

pytestmark = pytest.mark.slow
MAC = "02:00:5e:10:00:af"
SCRIPT = """
import sys
from functools import partial
from pathlib import Path
from sunward.adapters import power_machine
from sunward.agent import daemon, rest
from sunward.agent.config import load_config
power_machine.SLEEP_STATES = Path(sys.argv[2]) / "states"
power_machine.os.geteuid = lambda: 0
daemon.AWAKE_S = 1.0
daemon.owner_here = lambda: Path(sys.argv[2], "here").exists()
daemon.OWNER_LOOK_S = 0.0
rest.SLEEP_MS_MIN, rest.SLEEP_MS_MAX = 500, 4_000
daemon.lan.call = partial(daemon.lan.call, address="127.255.255.255", port=int(sys.argv[3]))
daemon.run(load_config(Path(sys.argv[1])))
"""


class Sleepy(Control):
    """A control plane that takes note of sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ClockMapping(machine_ms=int(time.time() * 1000), grid_ms=GRID_MS, speed=1)
        self.notes = True
        self.needed = False
        self.wake: tuple[WakeCall, ...] = ()
        self.asked: list[SyncRequest] = []

    def sync(self, request: SyncRequest) -> SyncReply:
        self.asked.append(request)
        reply = super().sync(request)
        awake = (AwakeOrder(pool=POOL, count=int(self.needed)),)
        orders = replace(reply.orders, awake=awake, wake=self.wake)
        return replace(reply, orders=orders, asleep_until_ms=request.asleep_until_ms if self.notes else 0)

    def asked_to_sleep(self) -> list[SyncRequest]:
        return [one for one in self.asked if one.asleep_until_ms]


@pytest.fixture
def control() -> Iterator[Sleepy]:
    made = Sleepy()
    yield made
    made.close()


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    return rtcwake.install(tmp_path / "bin")


@pytest.fixture
def home(tmp_path: Path, control: Sleepy, stub: Path) -> Path:
    folder = tmp_path / "agent"
    told = {"server": control.url, "trusted": True, "meter": "modelled", "asleep_w": 360, "lan": "home", "poll_s": 1.0}
    join_with(folder, SETTINGS | told, {"gpu_model": "L40S", "devices": ["GPU-stub-0", "GPU-stub-1"]})
    file = folder / "agent.toml"
    # The drivers' stand-in is loaded by the agent's process alone, so it joins without them.
    file.write_text(file.read_text().replace('"modelled"', '"nvml"'))
    save_proof(folder, Proof(sleep=Sleep.SUSPEND, wake_s=1, proved_at="", by="", wake_mac=MAC, lan="home"))
    return folder


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("", 0))
        made.settimeout(WAIT_S)
        yield made


Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start(home: Path, bin_: Path, stub: Path, listener: socket.socket) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def made() -> subprocess.Popen[str]:
        words = [sys.executable, "-c", SCRIPT, str(home), str(bin_), str(listener.getsockname()[1])]
        path = f"{bin_}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "LD_LIBRARY_PATH": str(stub)}
        started.append(subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield made
    for one in started:
        if one.poll() is None:
            one.kill()
            one.communicate()


def end(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """What it said until it was asked to stop."""
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def wait(true: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def batches(control: Sleepy) -> list[ReadingBatch]:
    assert control.spec is not None
    return [decode_batch(raw, control.spec.public_key) for raw in control.batches]


def test_it_tells_sleeps_meters_the_gap_and_goes_on(control: Sleepy, bin_: Path, start: Start) -> None:
    process = start()
    wait(lambda: rtcwake.asked(bin_))
    asleep = control.asked_to_sleep()[0]
    assert [(one.asleep, one.idle) for one in asleep.power] == [(2, 0)]
    # Everything metered before was delivered before it slept.
    before = len(control.batches)
    wait(lambda: control.asked[-1] is not asleep and control.asked[-1].asleep_until_ms == 0)
    assert {one.boot for one in control.asked} == {asleep.boot}
    (Path(bin_) / "here").touch()
    said = end(process)
    told = [line["event"] for line in said if line["event"] in ("asleep", "awake")]
    assert told[:2] == ["asleep", "awake"]
    assert rtcwake.asked(bin_)[0] in ("-m mem -s 1", "-m mem -s 2", "-m mem -s 3")
    after = batches(control)[before:]
    assert [one.quality.value for one in after] == ["estimated"] * len(after)
    spans = [span for batch in after for span in batch.spans if span.state == "asleep"]
    host = [span for span in spans if span.device == "host"]
    slept_ms = sum(span.t1_ms - span.t0_ms for span in host)
    assert {span.device for span in spans} == {"GPU-stub-0", "GPU-stub-1", "host"}
    assert abs(sum(span.end_j - span.start_j for span in host) - 0.36 * slept_ms) <= len(host) + 1
    chained = batches(control)
    assert [one.t0_ms for one in chained[1:]] == [one.t1_ms for one in chained[:-1]]


@pytest.mark.parametrize("reason", ["needed", "not noted", "owner"])
def test_it_stays_awake(control: Sleepy, bin_: Path, start: Start, reason: str) -> None:
    control.needed, control.notes = reason == "needed", reason != "not noted"
    if reason == "owner":
        (bin_ / "here").touch()
    process = start()
    wait(lambda: control.asked_to_sleep() if reason == "not noted" else len(control.asked) > 4)
    wait(lambda: control.asked[-1].asleep_until_ms == 0)
    end(process)
    assert rtcwake.asked(bin_) == []
    assert bool(control.asked_to_sleep()) == (reason == "not noted")


def test_it_wakes_its_neighbour_until_told_otherwise(
    control: Sleepy, bin_: Path, start: Start, listener: socket.socket
) -> None:
    control.wake = (WakeCall(site="other", mac=MAC),)
    process = start()
    for _ in range(2):
        assert listener.recv(1_024) == b"\xff" * 6 + bytes.fromhex(MAC.replace(":", "")) * 16
    end(process)
    assert rtcwake.asked(bin_) == []


def test_a_program_that_fails_leaves_it_awake(control: Sleepy, bin_: Path, start: Start) -> None:
    (bin_ / "broken").touch()
    process = start()
    wait(lambda: rtcwake.asked(bin_))
    wait(lambda: control.asked[-1].asleep_until_ms == 0)
    said = end(process)
    assert any("unable to find device" in str(line.get("reason")) for line in said)
