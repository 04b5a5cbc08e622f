from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sunward.agent.config import AgentConfig, load_config
from sunward.agent.owner import DESKTOP, Kept, Owner, changes, program
from sunward.errors import SourceError
from sunward.units import BYTES_PER_GIB
from tests.support import agents

SETTINGS = agents.SETTINGS | {"pools": [{"gpu_model": "L40S", "count": 2}], "disk_free_gib": 0.0}
ME, PARENT = os.getpid(), os.getppid()
TODAY = "2026-06-11"


class FakeGauges:
    def __init__(self) -> None:
        self.users: dict[str, list[int]] = {}
        self.heat_c: dict[str, int] = {}
        self.fails = False

    def processes(self, device: str) -> list[int]:
        if self.fails:
            raise SourceError("the driver does not answer")
        return self.users.get(device, [])

    def temperature_c(self, device: str) -> int:
        return self.heat_c.get(device, 40)


class Bench:
    def __init__(self, folder: Path, **settings: object) -> None:
        self.gauges = FakeGauges()
        self.moved_bytes = 0
        self.ours: set[int] = set()
        self.asked = 0
        self.config = load_config(folder, SETTINGS | settings)
        self.owner = self.start()

    def start(self) -> Owner:
        return Owner(self.config, ("a", "b"), self.our_processes, lambda: self.moved_bytes, self.gauges)

    def our_processes(self) -> set[int]:
        self.asked += 1
        return self.ours

    def look(self, day: str = TODAY) -> dict[str, Kept]:
        return self.owner.look(day)


def test_a_process_of_the_owners_takes_its_gpu_at_once_and_leaves_the_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.gauges.users = {"a": [ME]}
    assert bench.look() == {"a": Kept(f"the owner uses it: {program(ME)}", yields=True, now=True)}
    bench.gauges.users = {}
    assert bench.look() == {}


def test_jobs_the_screen_and_named_programs_are_no_own_use(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ignored_programs=[program(PARENT)])
    bench.ours = {ME}
    bench.gauges.users = {"a": [ME, PARENT], "b": [2**22 + 1]}
    assert bench.look() == {}
    assert "Xorg" in DESKTOP


def test_our_processes_are_asked_for_once_a_look_and_only_where_somebody_works(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.look()
    assert bench.asked == 0
    bench.ours, bench.gauges.users = {ME}, {"a": [ME], "b": [ME]}
    assert bench.look() == {}
    assert bench.asked == 1


def test_heat_keeps_new_work_away_until_it_is_clearly_cooler(tmp_path: Path) -> None:
    bench = Bench(tmp_path, temperature_c_max=80)
    seen = []
    for heat_c in (79, 80, 78, 76, 75, 74, 79):
        bench.gauges.heat_c = {"b": heat_c}
        seen.append(bench.look().get("b", Kept("")).reason)
    assert seen == ["", "it is at 80 °C", "it is at 78 °C", "it is at 76 °C", "it is at 75 °C", "", ""]


def test_heat_lets_a_job_stop_in_its_own_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, temperature_c_max=80)
    bench.gauges.heat_c = {"a": 95}
    assert bench.look()["a"] == Kept("it is at 95 °C", yields=True, now=False)


def test_a_driver_that_does_not_answer_keeps_new_work_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.gauges.fails = True
    assert bench.look() == dict.fromkeys(("a", "b"), Kept("the driver does not answer"))


@pytest.mark.parametrize(("text", "kept"), [("", ["a", "b"]), ("b\n", ["b"]), ("c", [])])
def test_a_file_keeps_devices_by_name(tmp_path: Path, text: str, kept: list[str]) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "keep").write_text(text)
    assert list(bench.look()) == kept
    assert all(one.now for one in bench.look().values())
    (tmp_path / "keep").unlink()
    assert bench.look() == {}


def test_traffic_counts_by_day_and_over_restarts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, traffic_gib_per_day=1.0)
    bench.moved_bytes = BYTES_PER_GIB - 10
    assert bench.look() == {}
    bench.owner = bench.start()
    bench.moved_bytes = 0
    assert bench.look() == {}
    bench.moved_bytes = 10
    assert bench.look()["a"] == Kept("today's traffic is used up")
    assert bench.look("2026-06-12") == {}
    bench.moved_bytes += BYTES_PER_GIB
    assert bench.look("2026-06-12")["b"].yields is False


def test_traffic_that_could_not_be_written_is_written_when_it_can(tmp_path: Path) -> None:
    bench = Bench(tmp_path, traffic_gib_per_day=1.0)
    file = tmp_path / "traffic.json"
    file.mkdir()
    bench.moved_bytes = BYTES_PER_GIB
    assert bench.look()["a"] == Kept("today's traffic is used up")
    file.rmdir()
    bench.look()
    assert json.loads(file.read_text()) == {"day": TODAY, "bytes": BYTES_PER_GIB}
    file.unlink()
    bench.look()
    assert not file.exists(), "what stands there is known, and not written again"


def test_a_nearly_full_disk_takes_no_new_work(tmp_path: Path) -> None:
    assert Bench(tmp_path, disk_free_gib=1e9).look()["a"] == Kept("the disk is nearly full")


def test_only_what_changed_is_told() -> None:
    hot, hotter = {"a": Kept("it is at 80 °C")}, {"a": Kept("it is at 81 °C")}
    assert changes({}, hot) == ("a is kept: it is at 80 °C",)
    assert changes(hot, hotter) == ()
    assert changes(hotter, {}) == ("a is free for jobs again",)


def test_a_gpu_is_the_owners_again_within_five_seconds_by_its_settings(tmp_path: Path) -> None:
    from sunward.agent.daemon import LOOK_S  # noqa: PLC0415  the daemon is Linux alone
    from sunward.errors import InputError  # noqa: PLC0415

    longest_s = 3.5
    assert LOOK_S + load_config(tmp_path, SETTINGS | {"yield_s": longest_s}).yield_s < 5
    with pytest.raises(InputError, match="yield_s"):
        load_config(tmp_path, SETTINGS | {"yield_s": longest_s + 0.1})


def test_settings_have_defaults_that_withhold_nothing(tmp_path: Path) -> None:
    config: AgentConfig = load_config(tmp_path, SETTINGS)
    assert (config.temperature_c_max, config.gpu_power_w_max, config.traffic_gib_per_day) == (0, 0, 0)
