"""What a machine has and lacks to be a site: each check looks at the thing itself, and names what mends it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import httpx

from sunward.adapters import gvisor, power_machine, sandbox
from sunward.adapters.lan import card
from sunward.adapters.nvml import (
    NOT_PERMITTED,
    NvmlDevice,
    NvmlGauges,
    cap_refused,
    nvml_devices,
    power_limit,
)
from sunward.agent.config import CONFIG_FILE, AgentConfig, load_config
from sunward.agent.identity import load_membership
from sunward.agent.sleep import load_proof
from sunward.errors import InputError, NotFoundError, SourceError, SunwardError
from sunward.units import BYTES_PER_GIB
from sunward.world import catalogue
from sunward.world.sleeping import ASLEEP

TIMEOUT_S = 10.0
SKEW_S_MAX = 30
"""A clock further off than this signs readings into the wrong minute."""
DISK_GIB_MIN = 10
USER_NAMESPACES = Path("/proc/sys/kernel/unprivileged_userns_clone")
APPARMOR_USERNS = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
WAKE_ALARM = Path("/sys/class/rtc/rtc0/wakealarm")


class Level(StrEnum):
    """What a finding means."""

    GOOD = "good"
    CAN = "can"
    """It goes without, with less."""
    MUST = "must"
    """It does not go without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at."""

    name: str
    level: Level
    what: str
    fix: str = ""
    """One command; empty where there is nothing to mend."""


def examine(folder: Path, server: str) -> Iterator[Finding]:
    """Look at everything, one thing at a time; `server`: the control plane's address where it is known."""
    config, finding = _settings(folder)
    yield finding
    yield _isolation()
    yield _strangers()
    yield from _gpus(config)
    yield _disk(folder)
    yield _sleep(folder)
    yield _network(folder)
    yield _service()
    yield from _plane(config.server if config else server)
    yield _membership(folder)


def _settings(folder: Path) -> tuple[AgentConfig | None, Finding]:
    if not (folder / CONFIG_FILE).exists():
        text = f"no {CONFIG_FILE} in {folder} yet; joining writes it"
        return None, Finding(name="settings", level=Level.CAN, what=text)
    try:
        config = load_config(folder)
    except InputError as reason:
        return None, Finding(name="settings", level=Level.MUST, what=reason.message, fix=f"edit {folder / CONFIG_FILE}")
    return config, Finding(name="settings", level=Level.GOOD, what=f"{folder / CONFIG_FILE} is sound")


def _isolation() -> Finding:
    found = sandbox.find()
    if not isinstance(found, str):
        return Finding(name="isolation", level=Level.GOOD, what="bubblewrap isolates jobs")
    fix = "sudo apt install bubblewrap"
    if shutil.which("bwrap"):
        fix = "sudo apt install --only-upgrade bubblewrap"
        if _reads(USER_NAMESPACES, "0"):
            fix = "sudo sysctl -w kernel.unprivileged_userns_clone=1"
        elif _reads(APPARMOR_USERNS, "1"):
            fix = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    return Finding(name="isolation", level=Level.MUST, what=f"{found}; only own jobs can run, with --trusted", fix=fix)


def _strangers() -> Finding:
    found = gvisor.find()
    if isinstance(found, str):
        fix = "" if shutil.which("runsc") else "sudo apt install runsc"
        return Finding(name="strangers", level=Level.CAN, what=f"jobs of anyone cannot run: {found}", fix=fix)
    text = f"gVisor ({found.platform}) runs jobs of anyone on modelled GPUs; it gives no real GPU to a job"
    return Finding(name="strangers", level=Level.GOOD, what=text)


def _gpus(config: AgentConfig | None) -> Iterator[Finding]:
    try:
        devices = nvml_devices()
    except SourceError as reason:
        needed = config is not None and config.meter == "nvml"
        text = f"{reason.message}; the energy would be modelled" if not needed else reason.message
        level = Level.MUST if needed else Level.CAN
        yield Finding(name="gpu", level=level, what=text, fix="sudo apt install nvidia-driver")
        return
    if not devices:
        yield Finding(name="gpu", level=Level.CAN, what="the driver shows no GPU", fix="nvidia-smi --list-gpus")
    for device in devices:
        yield _known(device)
        yield _metered(device)
        yield _capped(device)


def _known(device: NvmlDevice) -> Finding:
    try:
        model = catalogue.load().gpu(device.name).model
    except InputError as reason:
        return Finding(name="gpu", level=Level.MUST, what=reason.message, fix="sunward catalog gpus")
    text = f"{device.uuid}: {device.name} is {model}, {device.memory_bytes // BYTES_PER_GIB} GiB"
    return Finding(name="gpu", level=Level.GOOD, what=text)


def _metered(device: NvmlDevice) -> Finding:
    try:
        power_w = power_limit(device.uuid).now_w
        heat_c = NvmlGauges().temperature_c(device.uuid)
    except SourceError as reason:
        return Finding(name="meter", level=Level.MUST, what=reason.message, fix="nvidia-smi")
    text = f"{device.uuid}: limit {power_w} W, {heat_c} °C now"
    return Finding(name="meter", level=Level.GOOD, what=text)


def _capped(device: NvmlDevice) -> Finding:
    """Whether a power cap may be set."""
    remark = cap_refused(device.uuid)
    if not remark:
        return Finding(name="power cap", level=Level.GOOD, what=f"{device.uuid}: may be set")
    fix = "run the agent as a system service of root" if remark == NOT_PERMITTED else ""
    return Finding(name="power cap", level=Level.CAN, what=f"{device.uuid}: {remark}", fix=fix)


def _disk(folder: Path) -> Finding:
    place = next(part for part in (folder, *folder.parents) if part.exists())
    free_gib = shutil.disk_usage(place).free / BYTES_PER_GIB
    text = f"{free_gib:.1f} GiB free at {place}"
    if free_gib >= DISK_GIB_MIN:
        return Finding(name="disk", level=Level.GOOD, what=text)
    return Finding(name="disk", level=Level.CAN, what=f"{text}; jobs want {DISK_GIB_MIN}", fix=f"df -h {place}")


def _sleep(folder: Path) -> Finding:
    """What was proved of sleeping, or what could be; only a proof counts."""
    try:
        proof = load_proof(folder)
    except InputError as reason:
        return Finding(name="sleep", level=Level.MUST, what=reason.message, fix="sunward doctor --prove-sleep")
    if proof is not None and proof.sleep in ASLEEP:
        text = f"suspends, and is ready {proof.wake_s} s after the alarm; proved {proof.proved_at}"
        return Finding(name="sleep", level=Level.GOOD, what=text)
    program = power_machine.find()
    lack = program if isinstance(program, str) else "" if WAKE_ALARM.exists() else "no alarm clock that wakes it"
    if lack:
        return Finding(name="sleep", level=Level.CAN, what=f"it stays awake and its GPUs idle: {lack}")
    text = "it could sleep and wake by alarm; not proved, so it stays awake"
    return Finding(name="sleep", level=Level.CAN, what=text, fix="sunward doctor --prove-sleep")


def _network(folder: Path) -> Finding:
    """Whether a neighbour could wake it; only a proof counts."""
    name, found = "wake-on-lan", card()
    try:
        proof = load_proof(folder)
    except InputError:
        proof = None
    if proof is not None and proof.wake_mac:
        return Finding(name=name, level=Level.GOOD, what=f"a neighbour woke it by {proof.wake_mac}")
    if found is None:
        return Finding(name=name, level=Level.CAN, what="no network card that a neighbour could wake it by")
    if not found.listens:
        text = f"{found.interface} ({found.mac}) is not set to wake it"
        return Finding(name=name, level=Level.CAN, what=text, fix=f"sudo ethtool -s {found.interface} wol g")
    text = f"{found.interface} ({found.mac}) is set to wake it; not proved"
    return Finding(name=name, level=Level.CAN, what=text, fix="sunward doctor --prove-wake-on-lan")


def _service() -> Finding:
    program = shutil.which("systemctl")
    if program is None:
        return Finding(name="service", level=Level.CAN, what="no systemd: start `sunward join` by other means")
    done = _run([program, "--user", "show", "--property=Version"])
    if done is None or done.returncode:
        text = "no systemd of this user runs: the agent ends when you log out"
        return Finding(name="service", level=Level.CAN, what=text, fix="sudo loginctl enable-linger $USER")
    return Finding(name="service", level=Level.GOOD, what="`sunward join --service` installs a unit of this user")


def _plane(server: str) -> Iterator[Finding]:
    if not server:
        text = "no control plane is known yet"
        yield Finding(name="control plane", level=Level.CAN, what=text, fix="sunward doctor --server https://…")
        return
    try:
        asked_s = time.time()
        response = httpx.get(f"{server.rstrip('/')}/healthz", timeout=TIMEOUT_S)
        answered_s = time.time()
    except (httpx.HTTPError, httpx.InvalidURL) as reason:
        text = f"{server} does not answer: {reason or type(reason).__name__}"
        yield Finding(name="control plane", level=Level.MUST, what=text, fix=f"curl -v {server}/healthz")
        return
    if response.is_error:
        text = f"{server} answers {response.status_code}"
        yield Finding(name="control plane", level=Level.MUST, what=text, fix=f"curl -v {server}/healthz")
        return
    yield Finding(name="control plane", level=Level.GOOD, what=f"{server} answers")
    yield from _clock(response, (asked_s + answered_s) / 2)


def _clock(response: httpx.Response, here_s: float) -> Iterator[Finding]:
    try:
        there_s = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return
    skew_s = round(here_s - there_s)
    if abs(skew_s) <= SKEW_S_MAX:
        yield Finding(name="clock", level=Level.GOOD, what=f"within {SKEW_S_MAX} s of the control plane's")
    else:
        text = f"{skew_s:+d} s from the control plane's"
        yield Finding(name="clock", level=Level.MUST, what=text, fix="sudo timedatectl set-ntp true")


def _membership(folder: Path) -> Finding:
    try:
        member = load_membership(folder)
    except NotFoundError:
        text = "this machine is no site yet"
        return Finding(name="site", level=Level.CAN, what=text, fix="sunward join --join-token …")
    except SunwardError as reason:
        return Finding(name="site", level=Level.MUST, what=reason.message, fix="sunward join --join-token …")
    return Finding(name="site", level=Level.GOOD, what=f"joined as {member.site}")


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _reads(path: Path, value: str) -> bool:
    return _text(path).strip() == value
