"""The conformance suite of the Executor port, on the embedded executor with and without bubblewrap."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sunward.adapters import gvisor, sandbox
from sunward.adapters.cage import Cage
from sunward.adapters.embedded import EmbeddedExecutor, read_units
from sunward.adapters.gvisor import GVisor
from sunward.adapters.sandbox import Sandbox
from sunward.adapters.warden import Limits
from sunward.errors import InputError
from sunward.model.site import LeaseOrder
from sunward.model.wire import JobContent
from sunward.ports import Launch, Run

WAIT_S = 90.0
STEP_S = 0.01
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]

COUNTER_JOB = """
    import os, pathlib, signal, sys, time
    state = pathlib.Path(os.environ["SUNWARD_CHECKPOINT"]) / "UNITS"
    progress = pathlib.Path(os.environ["SUNWARD_PROGRESS"])
    done = int(state.read_text()) if state.exists() else 0
    def stop(number, frame):
        state.write_text(str(done))
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    print("from", done)
    while done < int(os.environ["SUNWARD_UNITS"]):
        time.sleep(float(os.environ["SUNWARD_UNIT_MS"]) / 1000)
        done += 1
        progress.write_text(str(done))
"""


def order(lease: str = "job-a.1", units: int = 1, checkpoint_units: int = 0) -> LeaseOrder:
    return LeaseOrder(
        lease=lease,
        job=lease.split(".", maxsplit=1)[0],
        attempt=int(lease.split(".")[1]),
        pool="s/L40S",
        gpus=1,
        action="run",
        bundle="",
        checkpoint="",
        checkpoint_units=checkpoint_units,
        units=units,
        unit_ms_grid=0,
        power_cap_w=0,
    )


def launch_of(
    root: Path, script: str, *, env: dict[str, str] | None = None, mark: str = "", **changes: object
) -> Launch:
    made = order(**changes)
    folder = root / made.lease
    (folder / "work").mkdir(parents=True, exist_ok=True)
    (folder / "work" / "job.py").write_text(textwrap.dedent(script))
    content = JobContent(name="test", command=("python", "job.py", mark), env=env or {})
    return Launch(made, content, ("s/L40S/0",), folder, 5.0)


def wait_for(executor: EmbeddedExecutor, lease: str, true: Callable[[Run], bool]) -> Run:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        run = next(r for r in executor.poll() if r.lease == lease)
        if true(run):
            return run
        time.sleep(STEP_S)
    raise AssertionError(f"waited in vain; last: {run}")


def ended(run: Run) -> bool:
    return not run.running


GVISOR = pytest.param("gvisor", marks=[pytest.mark.services, pytest.mark.slow])
"""Slow: every process of a job under it starts through a kernel in user space."""


@pytest.fixture(params=["bubblewrap", "bare", GVISOR])
def cage(request: pytest.FixtureRequest) -> Cage | None:
    return {"bubblewrap": bubblewrap, "gvisor": strict, "bare": lambda: None}[request.param]()


def bubblewrap() -> Sandbox:
    found = sandbox.find()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def strict() -> GVisor:
    found = gvisor.find()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def executor(cage: Cage | None, tmp_path: Path) -> Iterator[EmbeddedExecutor]:
    made = EmbeddedExecutor(tmp_path, cage)
    yield made
    for run in made.poll():
        made.stop(run.lease)
    for run in made.poll():
        wait_for(made, run.lease, ended)


def test_a_job_runs_in_its_folder_and_reports_progress(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    launch = launch_of(tmp_path, COUNTER_JOB, units=3)
    executor.start(launch)
    run = wait_for(executor, "job-a.1", ended)
    assert (run.exit_code, run.units) == (0, 3)
    assert (launch.folder / "log").read_text() == "from 0\n"


def test_a_unit_job_without_progress_file_has_done_its_unit(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    executor.start(launch_of(tmp_path, "print('made')"))
    assert wait_for(executor, "job-a.1", ended).units == 1


def test_a_job_of_many_units_that_ends_early_has_not_done_them(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    executor.start(launch_of(tmp_path, "", units=5, checkpoint_units=2))
    run = wait_for(executor, "job-a.1", ended)
    assert (run.exit_code, run.units) == (0, 2)


def test_suspend_saves_and_a_later_attempt_resumes(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    first = launch_of(tmp_path, COUNTER_JOB, units=10_000)
    executor.start(first)
    wait_for(executor, "job-a.1", lambda run: run.units >= 3)
    executor.suspend("job-a.1", grace_s=10)
    run = wait_for(executor, "job-a.1", ended)
    saved = read_units(first.folder / "checkpoint" / "UNITS")
    assert run.exit_code == 143
    assert saved is not None
    assert saved >= 3
    again = launch_of(tmp_path, COUNTER_JOB, lease="job-a.2", units=saved + 2, checkpoint_units=saved)
    (again.folder / "checkpoint").mkdir()
    (again.folder / "checkpoint" / "UNITS").write_text(str(saved))
    executor.start(again)
    assert wait_for(executor, "job-a.2", ended).units == saved + 2
    assert (again.folder / "log").read_text() == f"from {saved}\n"


def test_a_deaf_job_is_killed_after_the_grace(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    script = """
        import os, pathlib, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pathlib.Path(os.environ["SUNWARD_PROGRESS"]).write_text("1")
        time.sleep(60)
    """
    executor.start(launch_of(tmp_path, script, units=9))
    wait_for(executor, "job-a.1", lambda run: run.units == 1)
    asked = time.monotonic()
    executor.suspend("job-a.1", grace_s=0.3)
    run = wait_for(executor, "job-a.1", ended)
    assert time.monotonic() - asked >= 0.3
    assert run.exit_code == 137
    assert "grace" in run.detail


def test_a_suspend_right_after_the_start_reaches_the_job(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    executor.start(launch_of(tmp_path, "import time; time.sleep(60)", units=9))
    executor.suspend("job-a.1", grace_s=WAIT_S)
    assert wait_for(executor, "job-a.1", ended).exit_code == 143


@pytest.mark.parametrize(("script", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_exit_codes_are_the_jobs_own(executor: EmbeddedExecutor, tmp_path: Path, script: str, code: int) -> None:
    executor.start(launch_of(tmp_path, script))
    assert wait_for(executor, "job-a.1", ended).exit_code == code


def test_a_command_that_does_not_exist_says_so_in_the_log(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    made = launch_of(tmp_path, "")
    content = JobContent(name="x", command=("no-such-program",))
    executor.start(Launch(made.order, content, made.devices, made.folder, 0))
    assert wait_for(executor, "job-a.1", ended).exit_code == 127
    assert "no-such-program" in (made.folder / "log").read_text()


def test_output_and_errors_go_to_the_log_in_order(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    made = launch_of(tmp_path, "import sys; print('one'); print('two', file=sys.stderr); print('세 번째')")
    executor.start(made)
    wait_for(executor, "job-a.1", ended)
    assert (made.folder / "log").read_text() == "one\ntwo\n세 번째\n"


def test_starting_twice_runs_once(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    made = launch_of(tmp_path, "import time; print('run'); time.sleep(0.3)")
    executor.start(made)
    executor.start(made)
    wait_for(executor, "job-a.1", ended)
    executor.start(made)
    assert (made.folder / "log").read_text() == "run\n"
    assert len(executor.poll()) == 1


def test_stop_ends_grandchildren_too(executor: EmbeddedExecutor, cage: Cage | None, tmp_path: Path) -> None:
    script = """
        import os, pathlib, subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "grandchild-" + os.environ["MARK"]])
        pathlib.Path(os.environ["SUNWARD_PROGRESS"]).write_text("1")
        time.sleep(60)
    """
    mark = f"{os.getpid()}-{tmp_path.name}"
    executor.start(launch_of(tmp_path, script, units=9, env={"MARK": mark}))
    wait_for(executor, "job-a.1", lambda run: run.units == 1)
    # The machine sees no process of a job under gVisor, only the kernel that runs them all.
    seen = str(tmp_path / "job-a.1" / "gvisor") if isinstance(cage, GVisor) else f"grandchild-{mark}"
    assert wait_until(lambda: processes_with(seen))
    executor.stop("job-a.1")
    assert wait_for(executor, "job-a.1", ended).exit_code == 137
    assert wait_until(lambda: not processes_with(seen))


def test_an_ended_attempt_is_kept_until_it_is_forgotten(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    executor.start(launch_of(tmp_path, ""))
    executor.start(launch_of(tmp_path, "import time; time.sleep(60)", lease="job-b.1"))
    wait_for(executor, "job-a.1", ended)
    executor.forget("job-a.1")
    executor.forget("job-b.1")
    executor.forget("never-known.1")
    assert [run.lease for run in executor.poll()] == ["job-b.1"]


def test_the_environment_is_clean_and_the_contract_wins(
    executor: EmbeddedExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_SECRET", "s3cret")
    script = """
        import os
        for name in sorted(os.environ):
            print(name, os.environ[name])
        print("cwd", os.getcwd())
    """
    made = launch_of(tmp_path, script, units=4, env={"MINE": "yes", "SUNWARD_UNITS": "999", "LD_BIND_NOW": "1"})
    executor.start(made)
    wait_for(executor, "job-a.1", ended)
    seen = dict(line.split(" ", 1) for line in (made.folder / "log").read_text().splitlines())
    inside = "/job" if executor.sandboxed else str(made.folder)
    assert seen["cwd"] == seen["HOME"] == f"{inside}/work"
    assert seen["SUNWARD_CHECKPOINT"] == f"{inside}/checkpoint"
    assert (seen["SUNWARD_UNITS"], seen["SUNWARD_UNIT_MS"], seen["MINE"]) == ("4", "5.000", "yes")
    assert (seen["SUNWARD_JOB"], seen["SUNWARD_ATTEMPT"], seen["TZ"]) == ("job-a", "1", "UTC")
    assert "PROVIDER_SECRET" not in seen


SPREADS = {
    "memory": "held = bytearray(os.urandom(1 << 20)) * 300",
    "disk": "open('large', 'wb').write(bytes(40 << 20))",
}


@pytest.mark.parametrize(
    ("kind", "limits", "reason"),
    [
        ("memory", Limits(memory_bytes=200 << 20), "of memory, and it may take 0.195 GiB"),
        ("disk", Limits(disk_bytes=20 << 20), "on disk, and it may take 0.0195 GiB"),
    ],
)
def test_a_job_that_takes_too_much_is_killed_and_told_why(
    cage: Cage | None, tmp_path: Path, kind: str, limits: Limits, reason: str
) -> None:
    require_killed(cage, tmp_path, SPREADS[kind], limits, reason)


@pytest.mark.parametrize("cage", ["bubblewrap", "bare"], indirect=True)
def test_a_job_of_too_many_processes_is_killed(cage: Cage | None, tmp_path: Path) -> None:
    # Under gVisor they are no processes of the machine's: there the limit of memory bounds them.
    script = "workers = [subprocess.Popen(['sleep', '90']) for _ in range(30)]"
    require_killed(cage, tmp_path, script, Limits(processes=20), "processes and threads, and it may have 20")


def require_killed(cage: Cage | None, tmp_path: Path, script: str, limits: Limits, reason: str) -> None:
    executor = EmbeddedExecutor(tmp_path, cage, limits)
    script = f"import os, subprocess, time\n{script}\ntime.sleep(90)"
    executor.start(launch_of(tmp_path, script))
    executor.start(launch_of(tmp_path, "import time; time.sleep(90)", lease="job-b.1"))
    run = wait_for(executor, "job-a.1", ended)
    assert (run.exit_code, run.detail.startswith("killed: "), reason in run.detail) == (137, True, True), run
    assert next(one for one in executor.poll() if one.lease == "job-b.1").running
    executor.stop("job-b.1")
    wait_for(executor, "job-b.1", ended)


def test_a_folder_outside_the_root_is_refused(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    made = launch_of(tmp_path, "")
    with pytest.raises(InputError, match="not below"):
        executor.start(Launch(made.order, made.content, made.devices, tmp_path.parent / "elsewhere", 0))


def test_links_and_pipes_are_not_read_as_progress(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("42")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    assert [read_units(tmp_path / name) for name in ("secret", "link", "pipe", "absent")] == [42, None, None, None]


@pytest.mark.parametrize("made_cage", [bubblewrap, pytest.param(strict, marks=GVISOR.marks)])
def test_a_cage_has_no_network_and_no_other_folders(tmp_path: Path, made_cage: Callable[[], Cage]) -> None:
    executor = EmbeddedExecutor(tmp_path / "attempts", made_cage())
    neighbour = tmp_path / "attempts" / "job-b.1"
    neighbour.mkdir()
    script = f"""
        import os, pathlib, socket
        print("interfaces", [name for _, name in socket.if_nameindex()])
        for path in ({str(neighbour)!r}, {str(Path.home())!r} + "/.bashrc", "/etc/shadow", "/home"):
            print(path, pathlib.Path(path).exists())
        print("processes", 0 < sum(name.isdigit() for name in os.listdir("/proc")) < 6)
        for path in ("/usr/planted", "/job/planted", "/job/launch.json"):
            try:
                open(path, "w")
                print(path, "written")
            except OSError:
                print(path, "refused")
        try:
            os.rename("/job/checkpoint", "/job/moved")
        except OSError:
            print("checkpoint stays")
        import numpy
        print("numpy", numpy.ones(3).sum())
    """
    made = launch_of(tmp_path / "attempts", script)
    executor.start(made)
    assert wait_for(executor, "job-a.1", ended).exit_code == 0, (made.folder / "log").read_text()
    lines = (made.folder / "log").read_text().splitlines()
    assert lines[0] in ("interfaces ['lo']", "interfaces []")
    assert all(line.endswith(" False") for line in lines[1:5])
    assert lines[5] == "processes True"
    # /job is the sandbox's own memory: a file there is gone with it, and never the provider's.
    assert lines[6] == "/usr/planted refused"
    assert lines[8:] == ["/job/launch.json refused", "checkpoint stays", "numpy 3.0"]
    assert not (made.folder / "planted").exists()


HOLDER = """
    import sys, time
    from pathlib import Path
    from tests.port.test_executor import launch_of
    from sunward.adapters import gvisor, sandbox
    from sunward.adapters.embedded import EmbeddedExecutor
    root = Path(sys.argv[1])
    cages = {"bubblewrap": sandbox.find, "gVisor": gvisor.find, "": lambda: None}
    executor = EmbeddedExecutor(root, cages[sys.argv[2]]())
    script = "import os, pathlib, time; pathlib.Path(os.environ['SUNWARD_PROGRESS']).write_text('1'); time.sleep(60)"
    executor.start(launch_of(root, script, units=9, mark=sys.argv[3]))
    while True:
        print(max(run.units for run in executor.poll()), flush=True)
        time.sleep(0.01)
"""


def test_a_job_dies_with_its_agent(cage: Cage | None, tmp_path: Path) -> None:
    mark = f"{os.getpid()}-{tmp_path.name}"
    arguments = [str(tmp_path), cage.name if cage else "", mark]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout is not None
        assert any(line == "1\n" for line in holder.stdout)
        seen = str(tmp_path / "job-a.1" / "gvisor") if isinstance(cage, GVisor) else mark
        assert [pid for pid in processes_with(seen) if pid != holder.pid]
        holder.send_signal(signal.SIGKILL)
        assert wait_until(lambda: not [pid for pid in processes_with(seen) if pid != holder.pid])


def test_a_new_executor_ends_what_outlived_the_old_one(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    stray = subprocess.Popen(SLEEP, env={"SUNWARD_CHECKPOINT": f"{root}/job-a.1/checkpoint"})
    other = subprocess.Popen(SLEEP, env={"SUNWARD_CHECKPOINT": f"{root}-other/job-a.1/checkpoint"})
    try:
        EmbeddedExecutor(root, None)
        assert stray.wait(WAIT_S) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_machine_without_bubblewrap_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox.find() == "bubblewrap is not installed (package bubblewrap)"
    denied = tmp_path / "bwrap"
    denied.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    denied.chmod(0o755)
    assert sandbox.find() == "bubblewrap cannot isolate here: bwrap: No permissions to create new namespace"


def test_a_machine_without_gvisor_or_with_gpus_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gvisor.find() == "gVisor is not installed (package runsc)"
    denied = tmp_path / "runsc"
    denied.write_text("#!/bin/sh\necho 'starting' >&2\necho 'cannot create namespace' >&2\nexit 1\n")
    denied.chmod(0o755)
    assert gvisor.find() == "gVisor cannot isolate here: cannot create namespace"
    assert (
        gvisor.find({"GPU-1": ("/dev/nvidia0",)}) == "gVisor gives a job no GPU here; use bubblewrap for known tenants"
    )


def test_gpu_files_of_the_lease_alone_are_visible(tmp_path: Path) -> None:
    made = Sandbox("bwrap", {"GPU-1": ("/dev/nvidia0",), "GPU-2": ("/dev/nvidia1",)})
    arguments = made.wrap(tmp_path, ["GPU-2"], ["true"])
    assert "/dev/nvidia1" in arguments
    assert "/dev/nvidia0" not in arguments
    assert "/dev/nvidiactl" in arguments
    assert not any("nvidia" in part for part in made.wrap(tmp_path, ["modelled"], ["true"]))


def processes_with(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def wait_until(true: Callable[[], object]) -> bool:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(STEP_S)
    return False


def test_secrets_are_in_the_environment_and_nowhere_else(executor: EmbeddedExecutor, tmp_path: Path) -> None:
    script = """
        import hashlib, os, time
        print(hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest(), os.environ["SUNWARD_JOB"], flush=True)
        time.sleep(60)
    """
    launch = launch_of(tmp_path, script)
    secret = "hunter2-Zx9"
    executor.start(replace(launch, secrets={"TOKEN": secret, "SUNWARD_JOB": "another"}))
    log = launch.folder / "log"
    wait_for(executor, "job-a.1", lambda _: bool(log.read_text()))
    assert log.read_text().split() == [hashlib.sha256(secret.encode()).hexdigest(), "job-a"]
    wait_for(executor, "job-a.1", lambda _: not (launch.folder / "launch.json").exists())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
