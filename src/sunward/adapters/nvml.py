"""Energy of NVIDIA GPUs as their driver counts it (NVML, through nvidia-ml-py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pynvml

from sunward.adapters.meters import HOST, ModelledMeter
from sunward.errors import SourceError
from sunward.model.datum import Quality
from sunward.model.hardware import PowerState, WorkClass
from sunward.units import MILLIJOULE_PER_J, MILLIWATT_PER_W
from sunward.world.catalogue import load
from sunward.world.sensors import uncertainty_ppm

NOT_PERMITTED = "power limit not permitted: only an administrator may set it here"
NOT_SUPPORTED = "power limit not supported by this GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlDevice:
    """One GPU as its driver describes it."""

    uuid: str
    name: str
    memory_bytes: int
    node: str
    """Its device file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLimit:
    """A GPU's power limit in whole watts."""

    now_w: int
    least_w: int
    most_w: int
    default_w: int


@dataclass(slots=True)
class _Gauge:
    """One device's counter in millijoules, continued over restarts."""

    handle: object
    counted_mj: float
    last_raw_mj: int | None
    last_w: float = 0.0
    last_s: float = 0.0
    cap_w: int = 0


def nvml_devices() -> tuple[NvmlDevice, ...]:
    """Every GPU the driver shows, in its order.

    Raises: SourceError without a working driver.
    """
    with _driver("list GPUs"):
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(
            NvmlDevice(
                uuid=pynvml.nvmlDeviceGetUUID(handle),
                name=pynvml.nvmlDeviceGetName(handle),
                memory_bytes=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
                node=f"/dev/nvidia{pynvml.nvmlDeviceGetMinorNumber(handle)}",
            )
            for handle in handles
        )


class NvmlGauges:
    """Who uses a GPU, and how hot it is."""

    def processes(self, device: str) -> tuple[int, ...]:
        """Numbers of the processes that compute or draw on it. Raises: SourceError."""
        with _driver("list the processes of a GPU"):
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByUUID(device)
            found = [*pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
            found += pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
        return tuple(sorted({int(process.pid) for process in found}))

    def temperature_c(self, device: str) -> int:
        """Of the chip. Raises: SourceError."""
        with _driver("read a temperature"):
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByUUID(device)
            try:
                return int(pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU))
            except pynvml.NVMLError_FunctionNotFound:
                # Drivers before 575 know the older call only.
                return int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))


class NvmlMeter:
    """Cumulative joules of GPUs by their own counters; the host's share is modelled where `host` is given.

    A GPU without an energy counter is integrated from sampled power, and then the quality says `estimated`; so does
    a modelled host. Grid time must run at machine speed, for the counters do. NVML knows the present only: a moment
    since the last reading is interpolated.
    """

    def __init__(
        self,
        models: Mapping[str, str],
        at_ms: int,
        *,
        start_j: Mapping[str, int] | None = None,
        host: ModelledMeter | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`models`: catalogue key by UUID. `start_j`: counters to go on from.

        Raises: SourceError without a driver, or for a GPU it does not show.
        """
        self._clock_s = clock_s
        self._host = host
        # One figure stands for the whole batch: no counter of it knows less.
        host_ppm = host.uncertainty_ppm if host is not None else 0
        self.uncertainty_ppm = max([host_ppm, *(uncertainty_ppm(load().gpu(model)) for model in models.values())])
        start = dict(start_j or {})
        with _driver("start metering"):
            pynvml.nvmlInit()
            self._gauges = {uuid: self._gauge(uuid, start.get(uuid, 0)) for uuid in models}
        sampled = any(gauge.last_raw_mj is None for gauge in self._gauges.values())
        self.quality: str = Quality.ESTIMATED if sampled or host else Quality.MEASURED
        self._before = self._latest = (at_ms, self._counted())

    def read(self, at_ms: int) -> dict[str, int]:
        """Cumulative joules per device id, and `host` where it is modelled; rounded down.

        Raises: SourceError when a counter cannot be read; never a zero in its place.
        """
        if at_ms > self._latest[0]:
            self._before, self._latest = self._latest, (at_ms, self._sample())
        reading = {uuid: mj // MILLIJOULE_PER_J for uuid, mj in self._interpolated(at_ms).items()}
        if self._host is not None:
            reading[HOST] = self._host.read(at_ms)[HOST]
        return reading

    def set_state(self, device: str, state: PowerState, work_class: WorkClass, at_ms: int, power_cap_w: int = 0) -> str:
        """Pass a state on to the host's model and the cap to the GPU; the remark says what the driver refused."""
        gauge = self._gauges[device]
        remark = ""
        if power_cap_w != gauge.cap_w:
            gauge.cap_w = power_cap_w
            remark = set_power_limit(device, power_cap_w)
        if self._host is not None:
            # The cap shapes the board's power, which is measured; the host's share does not depend on it.
            self._host.set_state(device, state, work_class, at_ms)
        return remark

    def _gauge(self, uuid: str, start_j: int) -> _Gauge:
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        try:
            raw: int | None = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
            raw = None
        power_w = 0.0 if raw is not None else _power_w(handle)
        return _Gauge(handle, start_j * MILLIJOULE_PER_J, raw, power_w, self._clock_s())

    def _sample(self) -> dict[str, int]:
        with _driver("read an energy counter"):
            for gauge in self._gauges.values():
                self._advance(gauge)
        return self._counted()

    def _advance(self, gauge: _Gauge) -> None:
        if gauge.last_raw_mj is None:
            now_s, now_w = self._clock_s(), _power_w(gauge.handle)
            mean_w = (gauge.last_w + now_w) / 2
            gauge.counted_mj += mean_w * MILLIJOULE_PER_J * (now_s - gauge.last_s)
            gauge.last_w, gauge.last_s = now_w, now_s
            return
        raw = pynvml.nvmlDeviceGetTotalEnergyConsumption(gauge.handle)
        before, gauge.last_raw_mj = gauge.last_raw_mj, raw
        if raw < before:
            # The driver was reloaded: what it counted between is unknown, and the next reading goes on from here.
            raise SourceError("an energy counter went back; the driver was reloaded")
        gauge.counted_mj += raw - before

    def _counted(self) -> dict[str, int]:
        return {uuid: int(gauge.counted_mj) for uuid, gauge in self._gauges.items()}

    def _interpolated(self, at_ms: int) -> dict[str, int]:
        """Whole millijoules, so that no rounding lets a counter fall."""
        (early_ms, early), (late_ms, late) = self._before, self._latest
        if at_ms >= late_ms:
            return late
        since_ms, span_ms = max(0, at_ms - early_ms), late_ms - early_ms
        return {uuid: early[uuid] + (late[uuid] - early[uuid]) * since_ms // span_ms for uuid in late}


def power_limit(uuid: str) -> PowerLimit:
    """The limit of a GPU and its bounds.

    Raises: SourceError when the driver does not tell.
    """
    with _driver("read the power limit"):
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        least_mw, most_mw = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
        return PowerLimit(
            now_w=pynvml.nvmlDeviceGetPowerManagementLimit(handle) // MILLIWATT_PER_W,
            least_w=least_mw // MILLIWATT_PER_W,
            most_w=most_mw // MILLIWATT_PER_W,
            default_w=pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle) // MILLIWATT_PER_W,
        )


def set_power_limit(uuid: str, limit_w: int) -> str:
    """Set a GPU's power limit; 0 restores its default. Empty when done, else why it was not.

    Raises: SourceError when the driver fails otherwise.
    """
    with _driver("set the power limit"):
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        try:
            default_mw = pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, limit_w * MILLIWATT_PER_W or default_mw)
        except pynvml.NVMLError_NoPermission:
            return NOT_PERMITTED
        except pynvml.NVMLError_NotSupported:
            return NOT_SUPPORTED
        return ""


def cap_refused(uuid: str) -> str:
    """Why a GPU's power may not be limited, tried by setting the limit that holds already; empty where it may."""
    try:
        return set_power_limit(uuid, power_limit(uuid).now_w)
    except SourceError as reason:
        return reason.message


def _power_w(handle: object) -> float:
    return float(pynvml.nvmlDeviceGetPowerUsage(handle)) / MILLIWATT_PER_W


@contextmanager
def _driver(purpose: str) -> Iterator[None]:
    try:
        yield
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded) as reason:
        raise SourceError(f"cannot {purpose}: no NVIDIA driver here ({reason})", transient=False) from None
    except pynvml.NVMLError as reason:
        raise SourceError(f"cannot {purpose}: {reason}") from None
