"""The daemon as a process against a small control plane: the way of one job, SIGTERM, and a kill."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from sunward.agent import archive
from sunward.agent.identity import load_key, public_key
from sunward.metering.chain import Fault, check_next
from sunward.metering.wire import batch_hash, decode_batch
from sunward.model.reading import ReadingBatch
from sunward.model.site import LeaseOrder
from sunward.model.wire import InputFile, JobContent
from tests.support.agents import POOL, SETTINGS, SPEED, WAIT_S, Control, join_with
from tests.unit.agent.fakes import order

pytestmark = pytest.mark.slow

JOB = """
    import os, pathlib, signal, sys, time
    folder = pathlib.Path(os.environ["SUNWARD_CHECKPOINT"])
    progress = pathlib.Path(os.environ["SUNWARD_PROGRESS"])
    done = int((folder / "UNITS").read_text()) if (folder / "UNITS").exists() else 0
    def save():
        (folder / "new").write_text(str(done))
        (folder / "new").rename(folder / "UNITS")
    def stop(number, frame):
        save()
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    print("from", done, "on", os.environ["SUNWARD_GPUS"], flush=True)
    while done < int(os.environ["SUNWARD_UNITS"]):
        time.sleep(float(os.environ["SUNWARD_UNIT_MS"]) / 1000)
        done += 1
        progress.write_text(str(done))
    (pathlib.Path(os.environ["SUNWARD_OUTPUT"]) / "result").write_text("made " + str(done))
"""


@pytest.fixture
def control() -> Iterator[Control]:
    made = Control()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path, control: Control) -> Path:
    folder = tmp_path / "agent"
    join_with(folder, SETTINGS | {"server": control.url, "trusted": True}, {"gpu_model": "L40S", "count": 2})
    return folder


@pytest.fixture
def bundle(tmp_path: Path, control: Control) -> str:
    source = tmp_path / "bundle"
    source.mkdir()
    (source / "job.py").write_text(textwrap.dedent(JOB))
    archive.pack(source, tmp_path / "bundle.tar")
    return control.keep((tmp_path / "bundle.tar").read_bytes())


class Daemon:
    """The agent in its own process."""

    def __init__(self, home: Path) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from sunward.agent.config import load_config\nfrom sunward.agent.daemon import run\n"
            "run(load_config(Path(sys.argv[1])))"
        )
        self.process = subprocess.Popen([sys.executable, "-c", script, str(home)], stderr=subprocess.PIPE, text=True)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, said


@pytest.fixture
def daemon(home: Path) -> Iterator[Callable[[], Daemon]]:
    started: list[Daemon] = []

    def start() -> Daemon:
        started.append(Daemon(home))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def lease(bundle: str, attempt: int = 1, **changes: object) -> LeaseOrder:
    made = order(f"job-a.{attempt}", bundle=bundle, pool=POOL, units=20, unit_ms_grid=10 * SPEED)
    return replace(made, **changes)


def chain(control: Control, home: Path) -> list[ReadingBatch]:
    """The batches the control plane holds, in an unbroken chain."""
    previous, previous_hash, found = None, "", []
    for raw in control.batches:
        batch = decode_batch(raw, public_key(load_key(home)))
        faults = check_next(previous, previous_hash, batch, seen=False, received_ms=batch.t1_ms)
        assert set(faults) <= {Fault.RESET}
        previous, previous_hash = batch, batch_hash(raw)
        found.append(batch)
    return found


def test_a_job_runs_is_metered_and_leaves_its_results(
    control: Control, home: Path, bundle: str, daemon: Callable[[], Daemon], tmp_path: Path
) -> None:
    agent = daemon()
    control.order(lease(bundle))
    control.wait(lambda: control.phase("job-a.1") == "finished")
    report = control.reports["job-a.1"]
    assert (report.units, report.exit_code, report.devices) == (20, 0, ("L40S-0",))
    (tmp_path / "output.tar").write_bytes(control.objects[report.output])
    archive.unpack(tmp_path / "output.tar", tmp_path / "output")
    assert (tmp_path / "output" / "result").read_text() == "made 20"
    assert control.logs["job-a.1"] == b"from 0 on 1\n"
    code, said = agent.end(signal.SIGTERM)
    assert code == 0, said
    leased = [span for batch in chain(control, home) for span in batch.spans if span.lease]
    assert {span.lease for span in leased} == {"job-a.1"}
    assert sum(span.end_j - span.start_j for span in leased) > 0
    # The lease ends at the reported moment; everything the counters counted has been delivered.
    assert max(span.t1_ms for span in leased) == report.at_ms
    assert '"event": "stopped"' in said


def test_sigterm_suspends_with_a_checkpoint_and_a_later_run_goes_on(
    control: Control, home: Path, bundle: str, daemon: Callable[[], Daemon]
) -> None:
    agent = daemon()
    control.order(lease(bundle, units=10_000))
    control.wait(lambda: control.phase("job-a.1") == "running" and control.reports["job-a.1"].units > 5)
    code, said = agent.end(signal.SIGTERM)
    assert code == 0, said
    report = control.reports["job-a.1"]
    assert (report.phase, report.exit_code) == ("suspended", 143)
    assert report.checkpoint_units == report.units > 5
    daemon()
    again = lease(bundle, 2, checkpoint=report.checkpoint, checkpoint_units=report.units, units=report.units + 3)
    control.order(again)
    control.wait(lambda: control.phase("job-a.2") == "finished")
    assert control.logs["job-a.2"] == f"from {report.units} on 1\n".encode()


def test_an_elastic_job_is_suspended_on_two_gpus_and_goes_on_with_one(
    control: Control, home: Path, bundle: str, daemon: Callable[[], Daemon]
) -> None:
    agent = daemon()
    first = lease(bundle, gpus=2, units=10_000)
    control.order(first)
    control.wait(lambda: control.phase("job-a.1") == "running" and control.reports["job-a.1"].units > 5)
    assert control.reports["job-a.1"].devices == ("L40S-0", "L40S-1")
    control.order(replace(first, action="suspend"))
    control.wait(lambda: control.phase("job-a.1") == "suspended")
    report = control.reports["job-a.1"]
    assert report.checkpoint_units == report.units > 5
    kept = {"checkpoint": report.checkpoint, "checkpoint_units": report.units}
    control.order(lease(bundle, 2, units=report.units + 5, unit_ms_grid=20 * SPEED, **kept))
    control.wait(lambda: control.phase("job-a.2") == "finished")
    last = control.reports["job-a.2"]
    assert (last.units, len(last.devices)) == (report.units + 5, 1)
    assert (control.logs["job-a.1"], control.logs["job-a.2"]) == (
        b"from 0 on 2\n",
        f"from {report.units} on 1\n".encode(),
    )
    code, said = agent.end(signal.SIGTERM)
    assert code == 0, said
    spans = [span for batch in chain(control, home) for span in batch.spans if span.lease]
    used = {name: {span.device for span in spans if span.lease == name} for name in ("job-a.1", "job-a.2")}
    assert used == {"job-a.1": {"L40S-0", "L40S-1"}, "job-a.2": set(last.devices)}


def test_after_a_kill_the_job_is_gone_and_the_readings_go_on_without_a_hole(
    control: Control, home: Path, bundle: str, daemon: Callable[[], Daemon]
) -> None:
    agent = daemon()
    control.order(lease(bundle, units=10_000))
    control.wait(lambda: control.phase("job-a.1") == "running" and control.reports["job-a.1"].units > 2)
    agent.end(signal.SIGKILL)
    assert jobs_of(home) == []
    control.order()
    held = len(control.batches)
    second = daemon()
    control.wait(lambda: len(control.boots) == 2)
    control.order(lease(bundle, 2))
    control.wait(lambda: control.phase("job-a.2") == "finished")
    code, said = second.end(signal.SIGTERM)
    assert code == 0, said
    found = chain(control, home)
    assert len(found) > held
    assert [batch.boot for batch in found] == sorted((b.boot for b in found), key=control.boots.index)
    assert {span.lease for batch in found for span in batch.spans} >= {"job-a.1", "job-a.2"}


def test_an_agent_outlives_an_absent_control_plane(
    control: Control, home: Path, bundle: str, daemon: Callable[[], Daemon]
) -> None:
    agent = daemon()
    control.order(lease(bundle, units=60))
    control.wait(lambda: control.phase("job-a.1") == "running")
    answer, control.answer = control.answer, lambda *_: (503, b"{}")  # type: ignore[method-assign]
    time.sleep(2)
    assert agent.process.poll() is None
    control.answer = answer  # type: ignore[method-assign]
    control.wait(lambda: control.phase("job-a.1") == "finished")
    code, said = agent.end(signal.SIGTERM)
    assert code == 0, said
    assert said.count('"event": "problem", "what": "sync"') == 1
    found = chain(control, home)
    assert {after.t0_ms - before.t1_ms for before, after in pairwise(found)} == {0}


def test_a_folder_has_one_agent(control: Control, bundle: str, daemon: Callable[[], Daemon]) -> None:
    first = daemon()
    control.order(lease(bundle, units=10_000))
    control.wait(lambda: control.phase("job-a.1") == "running")
    second = daemon()
    _, said = second.process.communicate(timeout=WAIT_S)
    assert second.process.returncode != 0
    assert "another agent runs in" in said
    units = control.reports["job-a.1"].units
    control.wait(lambda: control.reports["job-a.1"].units > units)
    assert len(control.boots) == 1
    first.end(signal.SIGTERM)


DEAF_JOB = """
    import os, pathlib, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path(os.environ["SUNWARD_PROGRESS"]).write_text("1")
    time.sleep(600)
"""


def test_the_owners_own_program_takes_its_gpu_from_a_job(
    control: Control, home: Path, tmp_path: Path, stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stub of the driver: which process the owner's is, the real bindings say; the energy is modelled."""
    seen = tmp_path / "seen"
    seen.write_text("")
    monkeypatch.setenv("NVML_STUB_SEEN", str(seen))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stub))
    # Without bubblewrap: the stub's GPUs have no device files to bind.
    monkeypatch.setenv("PATH", str(tmp_path))
    control.clock = replace(control.clock, speed=1)
    text = (home / "agent.toml").read_text().replace("count = 2", 'devices = ["GPU-stub-0", "GPU-stub-1"]')
    (home / "agent.toml").write_text(f'meter = "nvml"\nsleep = "gpu_idle"\n{text}')
    source = tmp_path / "deaf"
    source.mkdir()
    (source / "job.py").write_text(textwrap.dedent(DEAF_JOB))
    archive.pack(source, tmp_path / "deaf.tar")
    agent = Daemon(home)
    try:
        control.order(lease(control.keep((tmp_path / "deaf.tar").read_bytes()), unit_ms_grid=0, units=9))
        control.wait(lambda: control.phase("job-a.1") == "running" and control.reports["job-a.1"].units == 1)
        assert control.reports["job-a.1"].devices == ("GPU-stub-0",)
        seen.write_text(f"0 {os.getpid()}\n")
        asked_s = time.monotonic()
        control.wait(lambda: control.phase("job-a.1") == "suspended")
        print(f"given back after {time.monotonic() - asked_s:.1f} s, by a job that ignores SIGTERM")  # noqa: T201
        report = control.reports["job-a.1"]
        assert report.exit_code == 137
        assert report.detail.startswith("the owner uses it: ")
        control.wait(lambda: [power.withheld for power in control.powers] == [1])
        seen.write_text("")
        control.wait(lambda: [power.withheld for power in control.powers] == [0])
    finally:
        agent.end(signal.SIGTERM)


def jobs_of(home: Path) -> list[int]:
    """Processes that still work in an attempt's folder; the kernel may need a moment to end them."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if str(home / "attempts") in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.05)
    return [pid for pid in found if pid != os.getpid()]


def test_secrets_inputs_and_named_outputs_go_their_way_and_leave_nothing(
    control: Control, home: Path, daemon: Callable[[], Daemon], tmp_path: Path
) -> None:
    secret, data = "hunter2-Zx9", b"input data"
    script = """
        import hashlib, os, pathlib
        pathlib.Path("models").mkdir()
        pathlib.Path("models/a.pt").write_bytes(pathlib.Path("in/data").read_bytes())
        print(hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest())
        raise SystemExit(3)
    """
    source = tmp_path / "bundle"
    source.mkdir()
    (source / "job.py").write_text(textwrap.dedent(script))
    archive.pack(source, tmp_path / "bundle.tar")
    control.secrets = {"TOKEN": secret}
    inputs = (InputFile(path="in/data", sha256=control.keep(data)),)
    control.content = JobContent(name="n", command=("python", "job.py"), inputs=inputs, outputs=("models",))
    agent = daemon()
    control.order(lease(control.keep((tmp_path / "bundle.tar").read_bytes()), units=1))
    control.wait(lambda: control.phase("job-a.1") == "failed")
    report = control.reports["job-a.1"]
    assert (report.exit_code, report.detail) == (3, "exit code 3")
    assert control.logs["job-a.1"].decode().strip() == hashlib.sha256(secret.encode()).hexdigest()
    (tmp_path / "output.tar").write_bytes(control.objects[report.output])
    archive.unpack(tmp_path / "output.tar", tmp_path / "output")
    assert (tmp_path / "output" / "models" / "a.pt").read_bytes() == data
    code, said = agent.end(signal.SIGTERM)
    assert (code, secret in said) == (0, False)
    assert not [path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_run_time_is_kept_while_the_control_plane_is_away(
    control: Control, home: Path, bundle: str, daemon: Callable[[], Daemon]
) -> None:
    agent = daemon()
    control.order(lease(bundle, units=1_000_000, timeout_ms=2_000 * SPEED))
    control.wait(lambda: control.phase("job-a.1") == "running")
    answer, control.answer = control.answer, lambda *_: (503, b"{}")  # type: ignore[method-assign]
    assert jobs_of(home) == []
    control.answer = answer  # type: ignore[method-assign]
    control.wait(lambda: control.phase("job-a.1") == "failed")
    report = control.reports["job-a.1"]
    assert (report.timed_out, report.exit_code) == (True, 137)
    assert agent.end(signal.SIGTERM)[0] == 0
