"""The Meter port: the modelled meter against integrals by hand, NVML through its real bindings on a stub library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunward.adapters.meters import HOST, METER, ModelledMeter, container_power_w
from sunward.errors import InputError, InvariantError, SourceError
from sunward.model.hardware import PowerState, WorkClass
from sunward.units import HOUR_MS, MICRO, MINUTE_MS, SECOND_MS
from sunward.world.catalogue import load
from sunward.world.power import device_power_w, host_power_w

T0 = 1_749_600_000_000
GPU = "L40S"


def test_energy_is_the_integral_of_the_power_of_each_state() -> None:
    gpu = load().gpu(GPU)
    meter = ModelledMeter({"a": GPU, "b": GPU}, T0)
    meter.set_state("a", PowerState.IDLE, WorkClass.GENERIC, T0 + MINUTE_MS)
    meter.set_state("a", PowerState.BUSY, WorkClass.TRAINING, T0 + 2 * MINUTE_MS)
    meter.set_state("a", PowerState.ASLEEP, WorkClass.GENERIC, T0 + HOUR_MS)
    read = meter.read(T0 + 2 * HOUR_MS)
    busy_w = device_power_w(gpu, WorkClass.TRAINING, 1.0)
    assert read["a"] == int(60 * gpu.power_w_idle + 58 * 60 * busy_w)
    assert read["b"] == 0
    host = 60 * host_power_w(gpu, 0.0) + 58 * 60 * host_power_w(gpu, 1.0) + 61 * 60 * gpu.host_w_asleep
    assert read[HOST] == int(host + 2 * 3600 * gpu.host_w_asleep)
    assert METER not in read


def test_a_cap_lowers_the_power_and_a_wrong_one_is_refused() -> None:
    gpu = load().gpu(GPU)
    meter = ModelledMeter({"a": GPU}, T0)
    meter.set_state("a", PowerState.BUSY, WorkClass.TRAINING, T0, power_cap_w=200)
    assert meter.read(T0 + HOUR_MS)["a"] == 200 * 3600
    assert device_power_w(gpu, WorkClass.TRAINING, 1.0) > 200
    with pytest.raises(InputError, match="power cap"):
        meter.set_state("a", PowerState.BUSY, WorkClass.TRAINING, T0 + HOUR_MS, power_cap_w=5)


def test_time_does_not_run_backwards() -> None:
    meter = ModelledMeter({"a": GPU}, T0)
    meter.set_state("a", PowerState.IDLE, WorkClass.GENERIC, T0 + SECOND_MS)
    with pytest.raises(InvariantError):
        meter.read(T0)
    with pytest.raises(InvariantError):
        meter.set_state("a", PowerState.BUSY, WorkClass.GENERIC, T0)


def test_a_restart_goes_on_from_the_durable_counters() -> None:
    before = ModelledMeter({"a": GPU}, T0, site_meter_ppm=1_200_000)
    before.set_state("a", PowerState.BUSY, WorkClass.RENDERING, T0)
    durable = before.read(T0 + 12_345)
    after = ModelledMeter({"a": GPU}, T0 + HOUR_MS, start_j=durable, site_meter_ppm=1_300_000)
    assert after.read(T0 + HOUR_MS) == durable
    later = after.read(T0 + 2 * HOUR_MS)
    assert later["a"] == durable["a"]
    gained = later[HOST] - durable[HOST]
    assert later[METER] - durable[METER] == pytest.approx(1.3 * gained, abs=2)


def test_the_site_meter_holds_equipment_and_overhead() -> None:
    meter = ModelledMeter({"a": GPU, "b": GPU}, T0, site_meter_ppm=1_250_000)
    meter.set_state("b", PowerState.BUSY, WorkClass.TRAINING, T0)
    read = meter.read(T0 + HOUR_MS)
    assert read[METER] == pytest.approx(1.25 * (read["a"] + read["b"] + read[HOST]), abs=3)


states = st.sampled_from([PowerState.ASLEEP, PowerState.WAKING, PowerState.IDLE, PowerState.BUSY, PowerState.OFF])
changes = st.lists(st.tuples(st.integers(0, 10 * MINUTE_MS), states, st.sampled_from(WorkClass)), max_size=12)


@given(changes=changes, looks=st.lists(st.integers(0, 10 * MINUTE_MS), max_size=6))
def test_reading_in_between_changes_nothing_and_no_counter_falls(
    changes: list[tuple[int, PowerState, WorkClass]], looks: list[int]
) -> None:
    gpu = load().gpu(GPU)
    meter, watched = ModelledMeter({"a": GPU}, T0), ModelledMeter({"a": GPU}, T0)
    expected = 0
    power, since = 0, 0
    last = watched.read(T0)
    moments = sorted([(at, None, None) for at in looks] + list(changes), key=lambda item: item[0])
    for at_ms, state, work_class in moments:
        now = watched.read(T0 + at_ms)
        assert all(now[name] >= last[name] for name in last)
        last = now
        if state is not None and work_class is not None:
            for each in (meter, watched):
                each.set_state("a", state, work_class, T0 + at_ms)
            expected += power * (at_ms - since)
            power, since = round(container_power_w(gpu, state, work_class)[0] * MICRO), at_ms
    end_ms = 10 * MINUTE_MS
    expected += power * (end_ms - since)
    assert meter.read(T0 + end_ms) == watched.read(T0 + end_ms)
    assert meter.read(T0 + end_ms)["a"] == expected // (MICRO * SECOND_MS)


def with_driver(stub: Path, script: str, mode: str = "") -> dict[str, object]:
    """What a script that ends with a JSON line printed, in a process that loads the stub as its driver."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stub), "NVML_STUB_MODE": mode}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_nvml_lists_what_the_driver_shows(stub: Path) -> None:
    script = """
        import json
        from sunward.adapters.nvml import nvml_devices
        print(json.dumps({d.uuid: [d.name, d.memory_bytes, d.node] for d in nvml_devices()}))
    """
    gib48 = 48 * 1024**3
    assert with_driver(stub, script) == {
        "GPU-stub-0": ["NVIDIA L40S", gib48, "/dev/nvidia0"],
        "GPU-stub-1": ["NVIDIA L40S", gib48, "/dev/nvidia1"],
    }


COUNTERS = """
    import json
    from sunward.adapters.nvml import NvmlMeter
    from sunward.errors import SourceError
    seconds = iter(range(100))
    models = {"GPU-stub-0": "L40S", "GPU-stub-1": "A100-SXM-80GB"}
    meter = NvmlMeter(models, 1000, start_j={"GPU-stub-0": 70}, clock_s=lambda: next(seconds))
    readings = []
    for at_ms in (2000, 3000, 2500, 4000, 5000):
        try:
            readings.append(list(meter.read(at_ms).values()))
        except SourceError as reason:
            readings.append(reason.message)
    print(json.dumps({"readings": readings, "quality": meter.quality}))
    assert 60_000 < meter.uncertainty_ppm < 70_000, "the one that looks a quarter of the time knows least"
"""


def test_nvml_counters_go_on_from_the_durable_ones_and_keep_their_remainders(stub: Path) -> None:
    # Each reading adds 1.234 J; what is below a joule is kept, and a moment in between is interpolated.
    assert with_driver(stub, COUNTERS) == {
        "readings": [[71, 1], [72, 2], [71, 1], [73, 3], [74, 4]],
        "quality": "measured",
    }


def test_a_gpu_without_a_counter_is_integrated_and_called_estimated(stub: Path) -> None:
    # The clock of the test gives each GPU a reading every two seconds, at 100 and 300 W.
    assert with_driver(stub, COUNTERS, "sampled") == {
        "readings": [[270, 600], [470, 1200], [370, 900], [670, 1800], [870, 2400]],
        "quality": "estimated",
    }


def test_a_failing_driver_is_an_error_and_never_a_zero(stub: Path) -> None:
    assert with_driver(stub, COUNTERS, "broken")["readings"] == ["cannot read an energy counter: Unknown Error"] * 5


def test_a_reloaded_driver_is_said_once_and_no_counter_falls(stub: Path) -> None:
    readings = with_driver(stub, COUNTERS, "reloaded")["readings"]
    assert "reloaded" in readings[1]
    assert readings[0] == [71, 1]
    numbers = [reading for reading in readings if isinstance(reading, list)]
    assert numbers == sorted(numbers)


LIMITS = """
    import json
    from dataclasses import asdict
    from sunward.adapters.nvml import power_limit, set_power_limit
    said = [set_power_limit("GPU-stub-1", 200)]
    after = power_limit("GPU-stub-1").now_w
    said.append(set_power_limit("GPU-stub-1", 0))
    print(json.dumps({"said": said, "after": after, "limit": asdict(power_limit("GPU-stub-1"))}))
"""


def test_the_power_limit_is_set_and_restored(stub: Path) -> None:
    limit = {"now_w": 350, "least_w": 100, "most_w": 350, "default_w": 350}
    assert with_driver(stub, LIMITS) == {"said": ["", ""], "after": 200, "limit": limit}


def test_a_refused_power_limit_is_a_value(stub: Path) -> None:
    answer = with_driver(stub, LIMITS, "denied")
    assert answer["after"] == 350
    assert answer["said"] == ["power limit not permitted: only an administrator may set it here"] * 2


LEASED = """
    import json
    from sunward.adapters.nvml import NvmlMeter, cap_refused, power_limit
    from sunward.agent.devices import DeviceBook
    from sunward.model.site import LeaseOrder, PoolPower
    names = ("GPU-stub-0", "GPU-stub-1")
    meter, book, limits = NvmlMeter(dict.fromkeys(names, "L40S"), 0), DeviceBook({"p": names}, 300), []

    def look(at_ms):
        for name, state in book.states.items():
            meter.set_state(name, state.state, state.work_class, at_ms, state.power_cap_w)
        limits.append([power_limit(name).now_w for name in names])

    book.update([PoolPower(pool="p", asleep=0, waking=0, idle=2, busy=0)])
    refused = cap_refused(names[0])
    look(0)
    devices = book.lease(LeaseOrder(
        lease="j.1", job="j", attempt=1, pool="p", gpus=1, action="run", bundle="", checkpoint="",
        checkpoint_units=0, units=9, unit_ms_grid=1, power_cap_w=200,
    ))
    look(1)
    book.recap(devices, 0)
    look(2)
    book.drain(devices)
    book.release(devices)
    look(3)
    print(json.dumps({"refused": refused, "limits": limits}))
"""


def test_a_planned_limit_is_set_for_its_lease_lifted_to_the_owners_and_taken_back(stub: Path) -> None:
    answer = with_driver(stub, LEASED)
    assert answer == {"refused": "", "limits": [[350, 350], [200, 350], [300, 350], [350, 350]]}
    assert "not permitted" in str(with_driver(stub, LEASED, "denied")["refused"])


def test_nvml_with_a_modelled_host_is_called_estimated(stub: Path) -> None:
    script = """
        import json
        from sunward.adapters.meters import ModelledMeter
        from sunward.adapters.nvml import NvmlMeter
        from sunward.model.hardware import PowerState, WorkClass
        host = ModelledMeter({"GPU-stub-0": "L40S"}, 0)
        meter = NvmlMeter({"GPU-stub-0": "L40S"}, 0, host=host)
        remark = meter.set_state("GPU-stub-0", PowerState.BUSY, WorkClass.TRAINING, 0, 200)
        read = meter.read(3_600_000)
        print(json.dumps({"quality": meter.quality, "remark": remark, "host": read["host"], "names": sorted(read)}))
    """
    answer = with_driver(stub, script, "denied")
    assert answer["quality"] == "estimated"
    assert "not permitted" in str(answer["remark"])
    assert answer["host"] == int(host_power_w(load().gpu(GPU), 1.0) * 3600)
    assert answer["names"] == ["GPU-stub-0", "host"]


def test_without_a_driver_there_is_an_error_and_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    pynvml = pytest.importorskip("pynvml")
    from sunward.adapters import nvml  # noqa: PLC0415

    def absent(flags: int) -> None:
        raise pynvml.NVMLError_LibraryNotFound(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInitWithFlags", absent)
    with pytest.raises(SourceError, match="no NVIDIA driver") as caught:
        nvml.nvml_devices()
    assert not caught.value.transient
    with pytest.raises(SourceError, match="no NVIDIA driver"):
        nvml.NvmlMeter({"GPU-1": "L40S"}, 0)


def test_nvml_tells_who_uses_a_gpu_and_how_hot_it_is(
    stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    seen.write_text("0 4711\n0 17\n1 C 83\n")
    monkeypatch.setenv("NVML_STUB_SEEN", str(seen))
    script = """
        import json
        from sunward.adapters.nvml import NvmlGauges
        gauges = NvmlGauges()
        print(json.dumps([[gauges.processes(d), gauges.temperature_c(d)] for d in ("GPU-stub-0", "GPU-stub-1")]))
    """
    assert with_driver(stub, script) == [[[17, 4711], 40], [[], 83]]
