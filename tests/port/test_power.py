"""The PowerSwitch port: one suite for the model and for the machine, which runs a stand-in of `rtcwake` here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sunward.adapters import power_machine
from sunward.adapters.power_embedded import ModelledPowerSwitch
from sunward.adapters.power_machine import MachinePowerSwitch, RtcWake, find
from sunward.errors import InputError, SourceError
from sunward.model.site import PoolPower
from sunward.ports import PowerSwitch
from sunward.units import HOUR_MS
from tests.support import rtcwake

POOLS = {"site/L40S": 4, "site/T4": 1}
Make = Callable[[], PowerSwitch]


def machine() -> MachinePowerSwitch:
    return MachinePowerSwitch(POOLS, RtcWake(("/bin/false",)))


def always_on() -> ModelledPowerSwitch:
    return ModelledPowerSwitch(POOLS, sleeps=False)


@pytest.fixture(
    params=[lambda: ModelledPowerSwitch(POOLS), always_on, machine], ids=["modelled", "always on", "machine"]
)
def switch(request: pytest.FixtureRequest) -> PowerSwitch:
    made: PowerSwitch = request.param()
    return made


def awake(power: PoolPower) -> int:
    return power.idle + power.waking


def test_every_container_is_in_one_state_and_none_is_busy(switch: PowerSwitch) -> None:
    for count in (0, 3, 4, 1):
        switch.set_awake("site/L40S", count, 0)
        for power in switch.states(0):
            assert power.asleep + awake(power) == POOLS[power.pool]
            assert power.busy == 0


def test_what_is_asked_for_is_awake_in_the_end_at_least(switch: PowerSwitch) -> None:
    for count in (4, 2, 2):
        switch.set_awake("site/L40S", count, 0)
        found = {power.pool: power for power in switch.states(HOUR_MS)}
        assert found["site/L40S"].idle >= count
        assert found["site/L40S"].waking == 0


def test_unknown_pools_and_more_than_there_is_are_refused(switch: PowerSwitch) -> None:
    before = switch.states(0)
    for pool, count, code in (
        ("site/other", 1, "SW-507"),
        ("site/L40S", 5, "SW-508"),
        ("site/L40S", -1, "SW-508"),
    ):
        with pytest.raises(InputError) as caught:
            switch.set_awake(pool, count, 0)
        assert caught.value.code == code
    assert switch.states(0) == before


def test_a_machine_is_awake_or_asleep_as_a_whole() -> None:
    switch = machine()
    assert not switch.unused
    for pool in POOLS:
        switch.set_awake(pool, 0, 0)
    assert switch.unused
    assert [awake(power) for power in switch.states(0)] == [4, 1]
    switch.lie_down()
    assert [(power.asleep, awake(power)) for power in switch.states(0)] == [(4, 0), (1, 0)]
    switch.get_up()
    assert [power.idle for power in switch.states(0)] == [4, 1]


def test_what_cannot_sleep_is_idle_whatever_is_asked() -> None:
    switch = always_on()
    for count in (0, 2, 4):
        switch.set_awake("site/L40S", count, 0)
        assert [(power.asleep, power.waking, power.idle) for power in switch.states(0)] == [(0, 0, 4), (0, 0, 1)]


def test_the_program_is_run_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = rtcwake.install(tmp_path / "bin")
    rtcwake.only(folder, monkeypatch)
    program = find()
    assert isinstance(program, RtcWake)
    MachinePowerSwitch(POOLS, program).suspend(0)
    assert rtcwake.asked(folder) == ["-m mem -s 0"]


def test_what_the_program_complains_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = rtcwake.install(tmp_path / "bin")
    (folder / "broken").touch()
    rtcwake.only(folder, monkeypatch)
    program = find()
    assert isinstance(program, RtcWake)
    with pytest.raises(SourceError, match="unable to find device"):
        program.suspend(30)
    with pytest.raises(SourceError, match="did not run to its end"):
        RtcWake((str(tmp_path / "none"),)).suspend(1)
    monkeypatch.setattr(power_machine, "HANG_S", 0)
    with pytest.raises(SourceError, match="did not run to its end"):
        RtcWake(("/bin/sh", "-c", "exec /bin/sleep 60")).suspend(0)


SUDO = """#!/bin/sh
[ "$1" = "-n" ] || exit 2
shift
[ -e '{folder}/refused' ] && {{ echo "sudo: a password is required" >&2; exit 1; }}
[ "$1" = "-l" ] && exit 0
exec "$@"
"""


def test_who_is_not_root_asks_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = rtcwake.install(tmp_path / "bin")
    rtcwake.only(folder, monkeypatch)
    monkeypatch.setattr(power_machine.os, "geteuid", lambda: 1_000)
    assert "needs root" in str(find())
    (folder / "sudo").write_text(SUDO.format(folder=folder))
    (folder / "sudo").chmod(0o755)
    program = find()
    assert isinstance(program, RtcWake)
    program.suspend(0)
    assert rtcwake.asked(folder) == ["-m mem -s 0"]
    (folder / "refused").touch()
    assert "needs root" in str(find())


def test_why_it_cannot_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = rtcwake.install(tmp_path / "bin")
    rtcwake.only(folder, monkeypatch)
    (folder / "states").write_text("freeze disk\n")
    assert find() == "this machine has no suspend to memory"
    (folder / "states").unlink()
    assert find() == "this machine has no suspend to memory"
    (folder / "rtcwake").unlink()
    assert find() == "rtcwake is not installed"
