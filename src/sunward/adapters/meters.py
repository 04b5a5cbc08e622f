"""The modelled meter: energy of hardware nobody measures, from what is known of its model and its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sunward.errors import InvariantError
from sunward.model.datum import Quality
from sunward.model.hardware import PowerState, WorkClass
from sunward.units import MICRO, PPM, SECOND_MS
from sunward.world.catalogue import GpuModel, load
from sunward.world.power import device_power_w, host_power_w

HOST = "host"
METER = "meter"
FULL = 1.0
"""A leased device counts as fully used: the catalogue's draw of a class is already the mean under real load."""
MODELLED_UNCERTAINTY_PPM = 200_000
"""One fifth: what single cards and workloads of one class differ from the catalogue's figure."""
MICROWATT_MS_PER_J = MICRO * SECOND_MS

_WORKING = frozenset({PowerState.BUSY, PowerState.DRAINING})
_AWAKE = frozenset({PowerState.WAKING, PowerState.IDLE})


@dataclass(slots=True)
class _Counter:
    """Energy so far in microwatt-milliseconds: integers, so that no reading depends on the ones before it."""

    energy: int
    power_microwatt: int
    changed_ms: int

    def at(self, at_ms: int) -> int:
        return self.energy + self.power_microwatt * (at_ms - self.changed_ms)

    def change(self, power_microwatt: int, at_ms: int) -> None:
        self.energy, self.power_microwatt, self.changed_ms = self.at(at_ms), power_microwatt, at_ms


class ModelledMeter:
    """Cumulative joules as the exact integral of modelled watts over grid time.

    Power is constant between calls of `set_state`, so the integral is exact for whatever states were set, and
    `read` is a function of its moment. Power is rounded once, to the microwatt; joules are rounded down.
    """

    quality: str = Quality.MODELLED
    uncertainty_ppm = MODELLED_UNCERTAINTY_PPM

    def __init__(
        self,
        devices: Mapping[str, str],
        at_ms: int,
        *,
        start_j: Mapping[str, int] | None = None,
        site_meter_ppm: int | None = None,
        asleep_w: float = 0.0,
    ) -> None:
        """`devices`: catalogue key per device id, all asleep at first. `start_j`: counters to go on from.

        `asleep_w`: what the whole machine draws asleep, as measured; 0 = the catalogue's figure for each device.
        `site_meter_ppm`: facility energy over IT energy times a million, for a site that has a (modelled) meter.
        Raises: InputError for an unknown GPU model.
        """
        start = dict(start_j or {})
        self._gpus = {device: load().gpu(model) for device, model in devices.items()}
        self._site_meter_ppm = site_meter_ppm
        self._asleep_w = asleep_w / max(1, len(self._gpus))
        self._counters = {
            name: _Counter(start.get(name, 0) * MICROWATT_MS_PER_J, 0, at_ms) for name in (*self._gpus, HOST)
        }
        started = sum(counter.energy for counter in self._counters.values())
        # The site meter goes on from its own figure, whatever the ratio was when that was counted.
        self._meter_base = start.get(METER, 0) * MICROWATT_MS_PER_J * PPM - started * (site_meter_ppm or 0)
        self._host_microwatt: dict[str, int] = {}
        for device in self._gpus:
            self.set_state(device, PowerState.ASLEEP, WorkClass.GENERIC, at_ms)

    def set_state(self, device: str, state: PowerState, work_class: WorkClass, at_ms: int, power_cap_w: int = 0) -> str:
        """From `at_ms` on the device is in this state; the remark is empty, for a model obeys any cap.

        Raises: InputError for a cap the GPU does not accept, InvariantError when time runs backwards.
        """
        own_w, host_w = container_power_w(self._gpus[device], state, work_class, power_cap_w)
        if state == PowerState.ASLEEP and self._asleep_w:
            host_w = self._asleep_w
        self._require_order(at_ms)
        self._host_microwatt[device] = round(host_w * MICRO)
        self._counters[device].change(round(own_w * MICRO), at_ms)
        self._counters[HOST].change(sum(self._host_microwatt.values()), at_ms)
        return ""

    def read(self, at_ms: int) -> dict[str, int]:
        """Cumulative joules per device id, `host`, and `meter` where the site has one.

        Raises: InvariantError for a moment before the last change of state.
        """
        self._require_order(at_ms)
        energies = {name: counter.at(at_ms) for name, counter in self._counters.items()}
        reading = {name: energy // MICROWATT_MS_PER_J for name, energy in energies.items()}
        if self._site_meter_ppm is not None:
            facility = self._meter_base + sum(energies.values()) * self._site_meter_ppm
            reading[METER] = facility // (MICROWATT_MS_PER_J * PPM)
        return reading

    def _require_order(self, at_ms: int) -> None:
        latest_ms = self._counters[HOST].changed_ms
        if at_ms < latest_ms:
            raise InvariantError(f"the meter is at {latest_ms} ms already, it cannot go back to {at_ms} ms")


def container_power_w(
    gpu: GpuModel, state: PowerState, work_class: WorkClass, power_cap_w: int = 0
) -> tuple[float, float]:
    """Watts of one device and of its share of the host, in a state.

    A waking container draws what an idle one does; a sleeping one leaves the server's standby power only.
    Raises: InputError for a cap the GPU does not accept.
    """
    if state in _WORKING:
        return device_power_w(gpu, work_class, FULL, power_cap_w or None), host_power_w(gpu, FULL)
    if state in _AWAKE:
        return gpu.power_w_idle, host_power_w(gpu, 0.0)
    return 0.0, gpu.host_w_asleep if state == PowerState.ASLEEP else 0.0
