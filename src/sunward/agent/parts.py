"""The parts that one agent is made of, as its settings and its machine have them."""

from __future__ import annotations

import os

from sunward.adapters import gvisor, power_machine, sandbox
from sunward.adapters.cage import Cage
from sunward.adapters.meters import ModelledMeter
from sunward.adapters.nvml import NvmlMeter, nvml_devices
from sunward.adapters.power_embedded import ModelledPowerSwitch
from sunward.adapters.power_machine import MachinePowerSwitch
from sunward.adapters.warden import Limits
from sunward.agent.config import AgentConfig, proved_sleep
from sunward.agent.metering import DeviceMeter
from sunward.errors import InputError
from sunward.model.hardware import Admission
from sunward.model.site import PoolSpec
from sunward.units import BYTES_PER_GIB, SECOND_MS
from sunward.world.sleeping import ASLEEP

MEMORY_FRAC = 0.9
"""Of the machine's memory, for jobs; the rest is the owner's and the agent's."""


def isolation(config: AgentConfig) -> Cage | str:
    """What jobs run under, or why there is none where the owner's own jobs may run without.

    Raises: InputError when there is none and the owner did not allow that.
    """
    nodes = {device.uuid: (device.node,) for device in nvml_devices()} if config.meter == "nvml" else {}
    strict = config.isolation == "gvisor" or (config.isolation == "auto" and config.admission is Admission.ANYONE)
    found = gvisor.find(nodes) if strict else sandbox.find(nodes)
    if isinstance(found, str) and not config.trusted:
        raise InputError(f"{found}; install it, or run only your own jobs with --trusted", code="SW-515")
    return found


def limits(config: AgentConfig) -> Limits:
    """What a job may take of this machine for each of its GPUs."""
    containers = sum(pool.count or len(pool.devices) for pool in config.pools)
    machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    share_bytes = round(MEMORY_FRAC * machine_bytes / containers)
    return Limits(
        memory_bytes=round(config.job_memory_gib * BYTES_PER_GIB) or share_bytes,
        processes=config.job_processes,
        disk_bytes=round(config.job_disk_gib * BYTES_PER_GIB),
    )


def switch(config: AgentConfig, pools: tuple[PoolSpec, ...]) -> ModelledPowerSwitch | MachinePowerSwitch:
    """What wakes and sleeps the containers: the machine itself where its sleep was proved, else a model.

    Raises: InputError when the proof is of a machine that can suspend, and this one cannot.
    """
    counts: dict[str, int] = {pool.pool: pool.count for pool in pools}
    sleeps = proved_sleep(config) in ASLEEP
    if config.meter == "modelled" or not sleeps:
        return ModelledPowerSwitch(counts, wake_ms=config.wake_s * SECOND_MS, sleeps=sleeps)
    program = power_machine.find()
    if isinstance(program, str):
        raise InputError(f"{program}; mend it, or set sleep to `gpu_idle`", code="SW-542")
    return MachinePowerSwitch(counts, program)


def meter(config: AgentConfig, pools: tuple[PoolSpec, ...], start_j: dict[str, int], now_ms: int) -> DeviceMeter:
    """What counts the energy, from where the last run's counters stood."""
    models = {device: pool.gpu_model for pool in pools for device in pool.devices}
    modelled = ModelledMeter(
        models,
        now_ms,
        start_j=start_j,
        site_meter_ppm=config.site_meter_ppm or None,
        asleep_w=config.asleep_w if config.meter == "nvml" else 0,
    )
    if config.meter == "modelled":
        return modelled
    return NvmlMeter(models, now_ms, start_j=start_j, host=modelled)
