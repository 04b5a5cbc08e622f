"""Reconciliation, step by step: what is ordered, what happens, what is asked of the executor, what is reported."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from sunward.agent import archive
from sunward.agent.devices import DeviceBook
from sunward.agent.leases import LeaseKeeper, Pace
from sunward.agent.owner import Kept
from sunward.errors import ConflictError, InputError, NotFoundError, SourceError, SunwardError
from sunward.model.hardware import PowerState
from sunward.model.site import LeaseOrder, LeaseReport, PoolPower, SiteOrders
from sunward.model.wire import InputFile
from tests.unit.agent.fakes import Carriers, FakeExecutor, FakePlane, courier, order

T0 = 1_000_000
POOL = "site/L40S"
LEASE = "job-a.1"


class Bench:
    """A keeper with everything around it faked; time moves one second a step."""

    def __init__(self, root: Path, awake: int = 2) -> None:
        self.executor = FakeExecutor()
        self.plane = FakePlane()
        self.carriers = Carriers()
        self.book = DeviceBook({POOL: ("gpu-0", "gpu-1")})
        self.root = root / "attempts"
        pace = Pace(grace_s=1, save_s=1, yield_s=0.5)
        carrier = courier(self.plane, root / "cache")
        self.keeper = LeaseKeeper(self.root, self.executor, carrier, self.book, self.carriers.submit, pace)
        self.version = 0
        self.now_ms = T0
        self.notes: list[str] = []
        self.awake(awake)

    def awake(self, count: int) -> None:
        self.book.update([PoolPower(pool=POOL, asleep=2 - count, waking=0, idle=count, busy=0)])

    def told(self, *orders: LeaseOrder, settled: tuple[str, ...] = ()) -> None:
        self.version += 1
        self.keeper.apply(SiteOrders(site="site", version=self.version, leases=orders, awake=()), settled, self.now_ms)

    def step(self, count: int = 1) -> LeaseReport | None:
        for _ in range(count):
            self.now_ms += 1_000
            self.notes += self.keeper.step(self.now_ms, self.now_ms / 1_000, 10)
        reports = self.keeper.reports()
        return reports[0] if reports else None

    def running(self, **changes: object) -> LeaseReport:
        self.told(order(**changes))
        report = self.step()
        assert report is not None
        assert report.phase == "running"
        return report

    def write(self, name: str, text: str) -> None:
        path = self.root / LEASE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def phase_of(report: LeaseReport | None) -> str:
    return "" if report is None else report.phase


def test_a_limit_is_lifted_while_the_job_runs_on(bench: Bench) -> None:
    bench.running(power_cap_w=200)
    assert bench.book.states["gpu-0"].power_cap_w == 200
    bench.told(order(power_cap_w=0))
    assert phase_of(bench.step()) == "running"
    assert bench.book.states["gpu-0"].power_cap_w == 0
    assert bench.executor.launches[LEASE].order.power_cap_w == 200, "it was not started again"


def test_a_limit_lifted_before_the_start_changes_the_pace(bench: Bench) -> None:
    bench.awake(0)
    bench.told(order(power_cap_w=200, unit_ms_grid=90_000))
    bench.step(2)
    bench.told(order(power_cap_w=0, unit_ms_grid=60_000))
    bench.awake(1)
    bench.step()
    assert bench.book.states["gpu-0"].power_cap_w == 0
    assert bench.executor.launches[LEASE].unit_ms_machine == 6_000


def test_a_lease_goes_through_its_phases_to_the_end(bench: Bench) -> None:
    bench.carriers.held = True
    bench.awake(0)
    bench.told(order(units=3))
    assert phase_of(bench.step()) == "accepted"
    bench.carriers.work()
    assert phase_of(bench.step()) == "waking"
    bench.awake(1)
    report = bench.step()
    assert (phase_of(report), report.devices, report.at_ms) == ("running", ("gpu-0",), bench.now_ms)
    assert bench.executor.launches[LEASE].unit_ms_machine == 6_000
    bench.executor.progress(LEASE, 3)
    bench.write("output/model.txt", "weights")
    bench.write("log", "hello\n")
    bench.executor.end(LEASE, 0)
    ended = bench.step()
    # The end is not reported before its output is stored, but it counts from when it happened.
    assert phase_of(ended) == "running"
    ended_ms = bench.now_ms
    assert bench.book.states["gpu-0"].state == PowerState.IDLE
    bench.carriers.work()
    report = bench.step()
    assert (report.phase, report.at_ms, report.units, report.exit_code) == ("finished", ended_ms, 3, 0)
    assert hashlib.sha256(bench.plane.objects[report.output]).hexdigest() == report.output
    assert bench.plane.logs[LEASE] == b"hello\n"
    assert not (bench.root / LEASE).exists()
    bench.told(settled=(LEASE,))
    assert bench.step() is None


def test_a_report_is_repeated_until_it_is_settled(bench: Bench) -> None:
    bench.running()
    bench.executor.progress(LEASE, 10)
    bench.executor.end(LEASE, 0)
    assert phase_of(bench.step()) == "running"
    assert phase_of(bench.step()) == "finished"
    bench.told(order())
    assert phase_of(bench.step(3)) == "finished"
    assert len(bench.executor.launches) == 1
    bench.told(order("job-b.1"), settled=(LEASE,))
    assert bench.step().lease == "job-b.1"


def test_suspend_stores_the_checkpoint_before_it_is_reported(bench: Bench) -> None:
    bench.running()
    bench.told(order(action="suspend"))
    assert phase_of(bench.step()) == "running"
    assert bench.executor.asked == [("suspend", LEASE)]
    assert bench.book.states["gpu-0"].state == PowerState.DRAINING
    bench.write("checkpoint/state", "loss 0.4")
    bench.write("checkpoint/UNITS", "7")
    bench.executor.end(LEASE, 143)
    bench.carriers.held = True
    report = bench.step()
    assert (report.phase, report.checkpoint_units, report.checkpoint) == ("running", 0, "")
    ended_ms = bench.now_ms
    bench.carriers.work()
    report = bench.step()
    assert (report.phase, report.at_ms, report.checkpoint_units) == ("suspended", ended_ms, 7)
    assert report.checkpoint_bytes == len(bench.plane.objects[report.checkpoint])
    assert report.detail == ""
    assert bench.executor.asked == [("suspend", LEASE)]


def test_a_job_killed_after_its_grace_is_suspended_with_what_was_safe(bench: Bench) -> None:
    bench.running(checkpoint_units=0)
    bench.write("checkpoint/UNITS", "4")
    bench.step(2)
    bench.told(order(action="suspend"))
    bench.step()
    (bench.root / LEASE / "checkpoint" / "UNITS").unlink()
    bench.executor.end(LEASE, 137, "killed: it did not stop within the grace")
    report = bench.step(2)
    assert (report.phase, report.checkpoint_units, report.exit_code) == ("suspended", 4, 137)
    assert "grace" in report.detail


def test_a_job_stopped_between_its_checkpoint_and_its_progress_has_done_what_is_stored(bench: Bench) -> None:
    bench.running(checkpoint_units=0)
    bench.told(order(action="suspend"))
    bench.step()
    bench.write("checkpoint/UNITS", "7")
    bench.executor.progress(LEASE, 6)
    bench.executor.end(LEASE, 143)
    report = bench.step(2)
    assert (report.phase, report.units, report.checkpoint_units) == ("suspended", 7, 7)


def test_the_next_attempt_starts_from_the_stored_files(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "job.py").write_text("print()")
    (source / "deep" / "data").write_text("1")
    archive.pack(source, tmp_path / "bundle.tar")
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "UNITS").write_text("4")
    archive.pack(saved, tmp_path / "saved.tar")
    for name in ("bundle.tar", "saved.tar"):
        raw = (tmp_path / name).read_bytes()
        bench.plane.objects[hashlib.sha256(raw).hexdigest()] = raw
    bundle, checkpoint = list(bench.plane.objects)
    report = bench.running(bundle=bundle, checkpoint=checkpoint, checkpoint_units=4)
    assert (bench.root / LEASE / "work" / "deep" / "data").read_text() == "1"
    assert (bench.root / LEASE / "checkpoint" / "UNITS").read_text() == "4"
    assert (report.units, report.checkpoint_units, report.checkpoint) == (4, 4, checkpoint)
    assert report.checkpoint_bytes == len(bench.plane.objects[checkpoint])
    bench.step(3)
    assert bench.plane.checkpoints == []


def test_a_running_job_is_saved_when_its_checkpoint_changed_and_only_then(bench: Bench) -> None:
    bench.running()
    bench.write("checkpoint/state", "a")
    bench.step(2)
    assert bench.plane.checkpoints == []
    bench.write("checkpoint/UNITS", "3")
    report = bench.step(3)
    assert bench.plane.checkpoints == [(LEASE, 3)]
    assert report.checkpoint_units == 3
    bench.write("checkpoint/UNITS", "55")
    assert bench.step(2).checkpoint_units == 55
    assert bench.plane.checkpoints == [(LEASE, 3), (LEASE, 55)]


def test_a_checkpoint_that_changes_while_it_is_packed_is_not_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.running()
    bench.write("checkpoint/UNITS", "3")
    pack = archive.pack

    def interrupted(folder: Path, target: Path, *, links: bool = True) -> None:
        pack(folder, target, links=links)
        (folder / "UNITS").unlink(missing_ok=True)

    monkeypatch.setattr(archive, "pack", interrupted)
    report = bench.step(3)
    assert (report.checkpoint_units, bench.plane.checkpoints) == (0, [])


@pytest.mark.parametrize(
    ("exit_code", "units", "phase", "detail"),
    [
        (0, 10, "finished", ""),
        (0, 9, "failed", "exit code 0 after 9 of 10 units; write progress to $SUNWARD_PROGRESS"),
        (7, 10, "failed", "exit code 7"),
        (143, 5, "failed", "exit code 143"),
    ],
)
def test_how_a_job_ends_on_its_own(bench: Bench, exit_code: int, units: int, phase: str, detail: str) -> None:
    bench.running()
    bench.executor.progress(LEASE, units)
    bench.executor.end(LEASE, exit_code)
    report = bench.step(2)
    assert (report.phase, report.detail, report.exit_code, report.units) == (phase, detail, exit_code, units)


def test_a_job_that_finishes_while_it_is_asked_to_suspend_is_finished(bench: Bench) -> None:
    bench.running()
    bench.told(order(action="suspend"))
    bench.step()
    bench.executor.progress(LEASE, 10)
    bench.executor.end(LEASE, 0)
    assert phase_of(bench.step(2)) == "finished"


def test_stop_kills_and_keeps_no_checkpoint(bench: Bench) -> None:
    bench.running()
    bench.told(order(action="stop"))
    bench.step()
    bench.write("checkpoint/UNITS", "9")
    bench.write("log", "bye")
    bench.executor.end(LEASE, 137)
    assert phase_of(bench.step(2)) == "suspended"
    assert bench.executor.asked == [("stop", LEASE)]
    assert (bench.plane.checkpoints, bench.plane.logs) == ([], {LEASE: b"bye"})


def test_suspend_before_the_start_ends_at_once(bench: Bench) -> None:
    bench.awake(0)
    bench.told(order(checkpoint_units=4))
    bench.step()
    bench.told(order(action="suspend", checkpoint_units=4))
    report = bench.step()
    assert (report.phase, report.units, report.checkpoint_units) == ("suspended", 4, 4)
    assert bench.executor.launches == {}


def test_a_lease_that_is_no_longer_ordered_is_stopped_and_forgotten(bench: Bench) -> None:
    bench.running()
    bench.told()
    assert bench.step() is None
    assert bench.executor.asked == [("stop", LEASE)]
    bench.executor.end(LEASE, 137)
    bench.step(2)
    assert (bench.executor.runs, bench.plane.calls) == ({}, ["fetch_content", "fetch_secrets"])
    assert bench.book.busy(POOL) == 0
    assert not (bench.root / LEASE).exists()


def test_a_fenced_attempt_is_stopped_and_forgotten(bench: Bench) -> None:
    bench.running()
    bench.plane.fails["put_checkpoint"] = ConflictError("attempt 1 is not the current one")
    bench.write("checkpoint/UNITS", "3")
    assert bench.step(3) is None
    assert bench.executor.asked == [("stop", LEASE)]
    bench.executor.end(LEASE, 137)
    bench.step(2)
    assert bench.executor.runs == {}
    assert any("fenced" in note for note in bench.notes)


@pytest.mark.parametrize("reason", [InputError("too large"), SourceError("no", transient=False), NotFoundError("gone")])
def test_a_start_that_cannot_work_fails_with_the_reason(bench: Bench, reason: SunwardError) -> None:
    bench.plane.fails["fetch_content"] = reason
    bench.told(order())
    report = bench.step()
    assert (report.phase, report.detail) == ("failed", reason.message)


def test_a_job_the_machine_cannot_start_fails_and_frees_its_devices(bench: Bench) -> None:
    bench.executor.refuses = SourceError("cannot start a process: out of memory", transient=False)
    bench.told(order())
    assert phase_of(bench.step()) == "failed"
    assert bench.book.busy(POOL) == 0


def test_transient_faults_are_tried_again(bench: Bench) -> None:
    bench.plane.fails["fetch_content"] = SourceError("unreachable")
    bench.told(order())
    assert phase_of(bench.step(3)) == "accepted"
    del bench.plane.fails["fetch_content"]
    assert phase_of(bench.step(2)) == "running"
    bench.plane.fails["put_output"] = SourceError("unreachable")
    bench.write("output/x", "1")
    bench.executor.progress(LEASE, 10)
    bench.executor.end(LEASE, 0)
    assert phase_of(bench.step(3)) == "running"
    del bench.plane.fails["put_output"]
    assert phase_of(bench.step(2)) == "finished"


def test_an_output_that_is_refused_fails_the_job(bench: Bench) -> None:
    bench.running()
    bench.plane.fails["put_output"] = InputError("output larger than allowed")
    bench.write("output/x", "1")
    bench.executor.progress(LEASE, 10)
    bench.executor.end(LEASE, 0)
    report = bench.step(2)
    assert (report.phase, report.detail) == ("failed", "output larger than allowed")


def test_a_slow_upload_delays_neither_the_stop_nor_the_meter(bench: Bench) -> None:
    bench.running()
    bench.carriers.held = True
    bench.write("checkpoint/UNITS", "2")
    bench.step(2)
    bench.told(order(action="suspend"))
    bench.step()
    assert bench.executor.asked == [("suspend", LEASE)]
    bench.executor.end(LEASE, 143)
    bench.step()
    ended_ms = bench.now_ms
    assert bench.book.busy(POOL) == 0
    bench.step(3)
    bench.carriers.work()
    bench.step()
    bench.carriers.work()
    report = bench.step()
    assert (report.phase, report.at_ms, report.checkpoint_units) == ("suspended", ended_ms, 2)


def test_old_orders_change_nothing(bench: Bench) -> None:
    bench.running()
    bench.keeper.apply(SiteOrders(site="site", version=0, leases=(), awake=()), (), bench.now_ms)
    assert phase_of(bench.step()) == "running"
    assert bench.executor.asked == []


def test_an_order_of_a_later_version_of_the_protocol_is_refused_whole(bench: Bench) -> None:
    with pytest.raises(InputError, match="upgrade"):
        bench.told(order(), order("job-b.1", action="teleport"))
    assert bench.step() is None


def test_a_gang_waits_until_all_of_its_devices_are_awake(bench: Bench) -> None:
    bench.awake(1)
    bench.told(order(gpus=2))
    assert phase_of(bench.step()) == "waking"
    bench.awake(2)
    assert bench.step().devices == ("gpu-0", "gpu-1")


def test_two_leases_never_share_a_device(bench: Bench) -> None:
    bench.told(order(), order("job-b.1"), order("job-c.1"))
    bench.step(2)
    phases = {report.lease: (report.phase, report.devices) for report in bench.keeper.reports()}
    assert phases == {
        LEASE: ("running", ("gpu-0",)),
        "job-b.1": ("running", ("gpu-1",)),
        "job-c.1": ("waking", ()),
    }


def test_draining_suspends_everything_and_accepts_nothing(bench: Bench) -> None:
    bench.running()
    bench.keeper.drain()
    bench.told(order(), order("job-b.1"))
    bench.step()
    assert bench.executor.asked == [("suspend", LEASE)]
    assert bench.keeper.active == 1
    bench.executor.end(LEASE, 143)
    assert phase_of(bench.step(2)) == "suspended"
    assert bench.keeper.active == 0


def test_what_an_earlier_run_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "attempts" / "job-old.1"
    left.mkdir(parents=True)
    Bench(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize(("kept", "grace_s"), [(Kept("mine", True, True), 0.5), (Kept("hot", True), 1)])
def test_a_job_on_a_device_that_the_owner_takes_back_is_suspended(bench: Bench, kept: Kept, grace_s: float) -> None:
    bench.running()
    bench.write("checkpoint/UNITS", "7")
    bench.keeper.keep({"gpu-0": kept})
    bench.step()
    assert bench.executor.asked == [("suspend", LEASE)]
    assert bench.executor.graces == [grace_s]
    bench.told(order())
    bench.executor.end(LEASE, 143)
    report = bench.step(2)
    assert (report.phase, report.checkpoint_units, report.detail) == ("suspended", 7, kept.reason)
    assert bench.book.powers()[0].withheld == 1


def test_what_only_keeps_new_work_away_lets_a_job_run(bench: Bench) -> None:
    bench.running()
    bench.keeper.keep(dict.fromkeys(("gpu-0", "gpu-1"), Kept("the disk is nearly full")))
    assert phase_of(bench.step(2)) == "running"
    assert bench.executor.asked == []


def test_a_job_that_waits_for_a_device_that_is_kept_goes_elsewhere(bench: Bench) -> None:
    bench.awake(0)
    bench.told(order())
    assert phase_of(bench.step(2)) == "waking"
    bench.keeper.keep({"gpu-0": Kept("mine", True, True)})
    assert phase_of(bench.step(2)) == "waking"
    bench.keeper.keep(dict.fromkeys(("gpu-0", "gpu-1"), Kept("mine", True, True)))
    report = bench.step(2)
    assert (report.phase, report.detail) == ("suspended", "the owner keeps the GPUs it would have had")


def test_secrets_reach_the_job_and_are_dropped_when_it_has_started(bench: Bench) -> None:
    bench.plane.secrets = {"TOKEN": "hunter2"}
    bench.awake(0)
    bench.told(order())
    bench.step(2)
    assert "hunter2" not in repr(bench.keeper._held[LEASE])
    bench.awake(1)
    bench.step()
    launch = bench.executor.launches[LEASE]
    assert (launch.secrets, launch.content.env) == ({"TOKEN": "hunter2"}, {})
    assert bench.keeper._held[LEASE].prepared is None
    assert "hunter2" not in "".join(bench.notes) + repr(launch)


def test_a_job_that_used_up_its_run_time_is_killed_and_failed(bench: Bench) -> None:
    bench.running(timeout_ms=5_000)
    report = bench.step(4)
    assert bench.executor.asked == []
    bench.step()
    assert bench.executor.asked == [("stop", LEASE)]
    assert bench.book.states["gpu-0"].state == PowerState.DRAINING
    bench.told(order(timeout_ms=5_000, action="suspend"))
    bench.step(2)
    assert bench.executor.asked == [("stop", LEASE)]
    bench.write("output/part", "half")
    bench.executor.end(LEASE, 137)
    report = bench.step(2)
    assert report is not None
    assert (report.phase, report.timed_out, report.exit_code) == ("failed", True, 137)
    assert "run time was used up" in report.detail
    assert report.output in bench.plane.objects


def test_a_job_that_ends_well_in_its_last_moment_is_finished(bench: Bench) -> None:
    bench.running(timeout_ms=2_000)
    bench.step(2)
    bench.executor.progress(LEASE, 10)
    bench.executor.end(LEASE, 0)
    report = bench.step(2)
    assert report is not None
    assert (report.phase, report.timed_out) == ("finished", False)


@pytest.mark.parametrize(("exit_code", "phase"), [(0, "finished"), (1, "failed")])
def test_named_outputs_are_kept_whether_it_finished_or_failed(
    bench: Bench, tmp_path: Path, exit_code: int, phase: str
) -> None:
    bench.plane.content = replace(bench.plane.content, outputs=("models/*.pt", "logs", "result"))
    bench.running()
    for name in ("work/models/a.pt", "work/models/a.tmp", "work/logs/deep/one", "work/result", "output/result"):
        bench.write(name, name)
    (bench.root / LEASE / "work" / "models" / "b.pt").symlink_to("/etc/passwd")
    bench.executor.progress(LEASE, 10)
    bench.executor.end(LEASE, exit_code)
    report = bench.step(2)
    assert report is not None
    assert report.phase == phase
    (tmp_path / "output.tar").write_bytes(bench.plane.objects[report.output])
    archive.unpack(tmp_path / "output.tar", tmp_path / "got")
    got = {str(p.relative_to(tmp_path / "got")): p.read_text() for p in (tmp_path / "got").rglob("*") if p.is_file()}
    # What the job put into its output folder itself counts before a file of the same name elsewhere.
    assert got == {
        "models/a.pt": "work/models/a.pt",
        "logs/deep/one": "work/logs/deep/one",
        "result": "output/result",
    }


def test_patterns_that_name_nothing_leave_no_results(bench: Bench) -> None:
    bench.plane.content = replace(bench.plane.content, outputs=("models/*.pt",))
    bench.running()
    bench.executor.progress(LEASE, 10)
    bench.executor.end(LEASE, 0)
    report = bench.step(2)
    assert report is not None
    assert (report.phase, report.output, "put_output" in bench.plane.calls) == ("finished", "", False)


def test_a_suspended_attempt_leaves_no_results(bench: Bench) -> None:
    bench.running()
    bench.write("output/part", "half")
    bench.told(order(action="suspend"))
    bench.step()
    bench.executor.end(LEASE, 143)
    report = bench.step(2)
    assert report is not None
    assert (report.phase, report.output) == ("suspended", "")


def test_inputs_are_in_place_before_the_job_starts(bench: Bench) -> None:
    digest = hashlib.sha256(b"data").hexdigest()
    bench.plane.objects[digest] = b"data"
    bench.plane.content = replace(bench.plane.content, inputs=(InputFile(path="in/data", sha256=digest),))
    bench.running()
    assert (bench.root / LEASE / "work" / "in" / "data").read_bytes() == b"data"


def test_a_provider_that_builds_no_environments_fails_the_attempt_in_one_line(bench: Bench) -> None:
    bench.plane.content = replace(bench.plane.content, setup="numpy\n")
    bench.told(order())
    report = bench.step(2)
    assert report is not None
    assert (report.phase, report.exit_code) == ("failed", None)
    assert report.detail == "this provider builds no environments; send what is needed in the bundle"
