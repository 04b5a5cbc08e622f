"""What a provider decides: `agent.toml` in the agent's folder, and what the command line overrides."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from sunward.adapters.cage import Cage
from sunward.adapters.lan import lan_name
from sunward.adapters.nvml import cap_refused
from sunward.agent.environment import PUBLIC_INDEX, SetupRules
from sunward.agent.inputs import InputRules
from sunward.agent.sleep import load_proof
from sunward.errors import InputError
from sunward.model.address import parts_of
from sunward.model.codec import decode, encode
from sunward.model.datum import Quality
from sunward.model.hardware import Admission
from sunward.model.identity import SiteId, TenantId, ZoneId, pool_id
from sunward.model.site import WAKE_S, PoolSpec, SiteSpec, Sleep
from sunward.units import BYTES_PER_GIB, ML_PER_L, PPM
from sunward.world.capacity import HOURS_A_DAY
from sunward.world.catalogue import load
from sunward.world.sleeping import ASLEEP

CONFIG_FILE = "agent.toml"
METERS = ("modelled", "nvml")
ISOLATIONS = ("auto", "bubblewrap", "gvisor")
CHALLENGES = ("auto", "gpu", "processor", "off")
DEPTH = (Sleep.NONE, Sleep.GPU_IDLE, Sleep.SUSPEND, Sleep.OFF)
"""Idle states, the deepest last."""
LAN = re.compile(r"[A-Za-z0-9_-]{0,64}")
YIELD_S_MAX = 3.5
"""With the second between two looks a GPU is the owner's again within five."""
SITE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
COUNTRY = re.compile(r"[A-Z]{2}")
HOURS = frozenset(range(HOURS_A_DAY))
PAYOUT = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """GPUs of one model."""

    gpu_model: str
    """As in `sunward catalog gpus`."""
    count: int = 0
    """0 = as many as `devices`."""
    devices: tuple[str, ...] = ()
    """Device ids (UUIDs with the NVML meter); empty = named after the model and numbered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """All that one agent is told; every time is machine time except `wake_s`."""

    folder: str
    """Where key, outbox and attempts live."""
    server: str
    """Address of the control plane."""
    site: str
    """Name of the site: lower-case letters, digits and hyphens."""
    owner: str
    """The provider's account."""
    zone: str
    """Grid zone, as in `sunward catalog zones`."""
    country: str
    """Two capital letters, ISO 3166-1."""
    cooling: str
    """Kind of cooling, as in `sunward catalog cooling`."""
    overhead_ppm: int
    """Facility energy over IT energy times a million; at least 1000000."""
    pools: tuple[PoolConfig, ...]
    """The GPUs offered."""
    ask_usd_micro_per_gpu_h: int
    """Price asked for an hour of a GPU, in millionths of a USD."""
    overhead_quality: Quality = Quality.ESTIMATED
    """Where that figure comes from."""
    water_ml_per_kwh: int = -1
    """-1 = what the catalogue says of this cooling."""
    admission: Admission = Admission.OWN
    """Whose jobs to accept: `own`, `known` tenants of this network, or `anyone`, which needs gVisor."""
    power_ceiling_w: int = 0
    """Watts of the grid connection; 0 = not stated."""
    ca: str = ""
    """File of the certificates to believe; empty = those of the system."""
    insecure: bool = False
    """Send the token over plain HTTP to another machine."""
    meter: str = "modelled"
    """`nvml`: the GPUs' own counters; `modelled`: by catalogue and state."""
    challenges: str = "auto"
    """What answers challenges: `gpu` by PyTorch, `processor` for trials, `off`; `auto`: `gpu` with the NVML meter."""
    site_meter_ppm: int = 0
    """Modelled site meter: facility over IT energy times a million; 0 = the site has none."""
    trusted: bool = False
    """Run the owner's own jobs without a sandbox where none is available."""
    isolation: str = "auto"
    """What jobs run under: `bubblewrap`, `gvisor`, or `auto`: gVisor when anyone is admitted, else bubblewrap."""
    job_memory_gib: float = 0.0
    """Most memory of a job for each of its GPUs; 0 = an equal share of nine tenths of the machine's."""
    job_disk_gib: float = 100.0
    """Most disk of a job for each of its GPUs; 0 = no limit."""
    job_processes: int = 4_096
    """Most processes and threads of a job for each of its GPUs."""
    allow_setup: bool | None = None
    """Whether environments are built for jobs that ask for packages; unset = unless anyone is admitted."""
    setup_index: str = PUBLIC_INDEX
    """Index that packages come from; empty = `setup_links` alone."""
    setup_links: str = ""
    """A folder or page of wheels, looked at too."""
    cache_gib: float = 20.0
    """Most kept of environments, and as much again of inputs, for later attempts."""
    input_gib: float = 50.0
    """Most of one input file."""
    allow_private_inputs: bool = False
    """Whether jobs may name inputs on this machine and its own networks, and without https."""
    wake_s: int = WAKE_S
    """Grid time from asleep to ready; where a sleep was proved, what was measured counts instead."""
    sleep: Sleep | None = None
    """Deepest idle state to use; unset = what `sunward doctor --prove-sleep` proved, or modelled: a suspend."""
    lan: str = ""
    """Name of the local network, the same for all your machines on it; empty = told by its gateway (NVML meter)."""
    asleep_w: int = 0
    """IT watts of this machine asleep, measured; 0 = what the catalogue says."""
    closed_hours_utc: tuple[int, ...] = ()
    """Hours of the UTC day, 0 to 23, in which no work is taken."""
    payout: str = ""
    """Address to pay, 0x and 40 hex digits; empty = the provider's account alone."""
    gpu_year: int = 0
    """Year of first use; 0 = not stated."""
    temperature_c_max: int = 0
    """A GPU as hot as this takes no work until it is cooler; 0 = no limit. Needs the NVML meter."""
    gpu_power_w_max: int = 0
    """Most watts of a GPU while a job holds it, where the driver permits a limit; 0 = no limit."""
    power_caps: bool | None = None
    """Whether plans may limit a leased GPU's power; unset = where its driver permits it, modelled: no."""
    traffic_gib_per_day: float = 0.0
    """Files and logs carried in a UTC day, after which no new work is taken; 0 = no limit."""
    disk_free_gib: float = 1.0
    """No new work is taken while less than this is free on the disk of the agent's folder."""
    ignored_programs: tuple[str, ...] = ()
    """Own programs that may use a GPU beside a job, besides those that draw the screen."""
    yield_s: float = 3.0
    """From SIGTERM to SIGKILL when the owner needs the GPU."""
    grace_s: float = 10.0
    """From SIGTERM to SIGKILL."""
    save_s: float = 1.0
    """Between two looks at a running job's log and checkpoint."""
    poll_s: float = 5.0
    """Longest wait of one request for orders; well below the control plane's patience with silent agents."""
    tick_s: float = 0.05
    """Between two looks at processes, power and meters."""

    @property
    def setup_rules(self) -> SetupRules:
        """What environments are built for and from."""
        allowed = self.admission is not Admission.ANYONE if self.allow_setup is None else self.allow_setup
        return SetupRules(allowed=allowed, index=self.setup_index, find_links=self.setup_links)

    @property
    def input_rules(self) -> InputRules:
        """What inputs are fetched."""
        return InputRules(
            bytes_max=round(self.input_gib * BYTES_PER_GIB),
            kept_bytes_max=self.cache_bytes_max,
            allow_private=self.allow_private_inputs,
        )

    @property
    def cache_bytes_max(self) -> int:
        """Most kept of environments, and of inputs."""
        return round(self.cache_gib * BYTES_PER_GIB)

    @property
    def home(self) -> Path:
        """The agent's folder."""
        return Path(self.folder)


def load_config(folder: Path, overrides: Mapping[str, object] | None = None) -> AgentConfig:
    """Read `agent.toml` in the folder; overrides win, and suffice when there is no file.

    Raises: InputError in one line that names what is wrong.
    """
    path = folder / CONFIG_FILE
    try:
        told = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as reason:
        raise InputError(f"{path}: {reason}", code="SW-510") from None
    told |= {name: value for name, value in (overrides or {}).items() if value is not None}
    told["folder"] = str(folder)
    _refuse_unknown(told, AgentConfig, str(path))
    pools = told.get("pools", [])
    for pool in pools if isinstance(pools, list) else []:
        _refuse_unknown(pool, PoolConfig, f"{path}, pools")
    try:
        config = decode(encode(told), AgentConfig)
    except InputError as reason:
        raise InputError(f"{path}: {reason.message}", code="SW-510") from None
    _check(config, str(path))
    return config


def site_spec(config: AgentConfig, site: str, public_key: str, cage: Cage | None) -> SiteSpec:
    """What this site declares when it enrols.

    Raises: InputError for unknown hardware, or when jobs of others would run without a sandbox.
    """
    check_admission(config, cage)
    cooling = load().cooling(config.cooling)
    water_ml = round(cooling.water_l_per_kwh * ML_PER_L) if config.water_ml_per_kwh < 0 else config.water_ml_per_kwh
    return SiteSpec(
        site=SiteId(site),
        owner=TenantId(config.owner),
        zone=ZoneId(config.zone),
        country=config.country,
        cooling=cooling.cooling,
        overhead_ppm=config.overhead_ppm,
        overhead_quality=config.overhead_quality,
        water_ml_per_kwh=water_ml,
        ask_usd_micro_per_gpu_h=config.ask_usd_micro_per_gpu_h,
        admission=config.admission,
        pools=pool_specs(config, site),
        public_key=public_key,
        power_ceiling_w=config.power_ceiling_w,
        closed_hours_utc=tuple(sorted(set(config.closed_hours_utc))),
        wake_s=wake_latency_s(config),
        sleep=proved_sleep(config),
        lan=local_network(config),
        wake_mac=_wake_mac(config),
        asleep_w=config.asleep_w,
        payout=config.payout.lower(),
        gpu_year=config.gpu_year,
        power_caps=proved_caps(config),
    )


def challenged_on(config: AgentConfig) -> str:
    """What answers challenges; modelled devices are not there to answer any."""
    return config.challenges if config.challenges != "auto" else "gpu" if config.meter == "nvml" else "off"


def proved_caps(config: AgentConfig) -> bool:
    """Whether plans may limit the GPUs' power: as the owner says, and of real ones only what the drivers permit.

    Raises: InputError when the owner says yes and a driver says no.
    """
    if config.power_caps is False or config.meter == "modelled":
        return bool(config.power_caps)
    devices = [device for pool in config.pools for device in pool.devices]
    refused = [remark for device in devices if (remark := cap_refused(device))]
    if refused and config.power_caps:
        raise InputError(
            f"agent.toml asks for power_caps, and the driver says: {refused[0]}; "
            "run the agent as a system service of root, or leave it out",
            code="SW-730",
        )
    return bool(devices) and not refused


def proved_sleep(config: AgentConfig) -> Sleep:
    """The deepest idle state to declare: a real machine whose sleep nobody has proved stays awake.

    Raises: InputError when more is asked for than was proved, or the proof cannot be read.
    """
    if config.meter == "modelled":
        return Sleep.SUSPEND if config.sleep is None else config.sleep
    proof = load_proof(config.home)
    proved = Sleep.GPU_IDLE if proof is None else proof.sleep
    if config.sleep is None:
        return proved
    if DEPTH.index(config.sleep) > DEPTH.index(proved):
        raise InputError(
            f"agent.toml asks for sleep = {config.sleep.value!r}, and {proved.value} is what was proved here; "
            "run `sunward doctor --prove-sleep`, or leave it out",
            code="SW-540",
        )
    return config.sleep


def wake_latency_s(config: AgentConfig) -> int:
    """Seconds from asleep to ready: as measured, where a real machine's sleep was proved."""
    proof = load_proof(config.home) if config.meter == "nvml" else None
    return config.wake_s if proof is None else proof.wake_s


def local_network(config: AgentConfig) -> str:
    """The name of the network that this machine is on; empty where it is told nowhere."""
    return config.lan or (lan_name() if config.meter == "nvml" else "")


def _wake_mac(config: AgentConfig) -> str:
    """By which address a neighbour wakes this machine, as was proved on the network that it is on."""
    if proved_sleep(config) not in ASLEEP or config.meter != "nvml":
        return ""
    proof = load_proof(config.home)
    return proof.wake_mac if proof is not None and proof.lan == local_network(config) else ""


def pool_specs(config: AgentConfig, site: str) -> tuple[PoolSpec, ...]:
    """The site's pools under the catalogue's names.

    Raises: InputError for a GPU the catalogue does not know, or two pools of one model.
    """
    specs = []
    for pool in config.pools:
        model = load().gpu(pool.gpu_model).model
        devices = pool.devices or tuple(f"{model}-{index}" for index in range(pool.count))
        specs.append(PoolSpec(pool=pool_id(SiteId(site), model), gpu_model=model, count=len(devices), devices=devices))
    models = [spec.gpu_model for spec in specs]
    devices_all = [device for spec in specs for device in spec.devices]
    if len(set(models)) < len(models) or len(set(devices_all)) < len(devices_all):
        raise InputError("pools: name each GPU model and each device once", code="SW-512")
    return tuple(specs)


def check_admission(config: AgentConfig, cage: Cage | None) -> None:
    """Refuse to promise more isolation than there is.

    Raises: InputError.
    """
    if config.admission is Admission.ANYONE and not (cage and cage.strangers):
        raise InputError("admission `anyone` needs gVisor: set isolation to `gvisor`, or admit `known`", code="SW-513")
    if cage is None and config.admission is not Admission.OWN:
        raise InputError("without a sandbox only own jobs may run; set admission to `own`", code="SW-513")


def _refuse_unknown(told: object, kind: type, where: str) -> None:
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(told) - known) if isinstance(told, dict) else []
    if unknown:
        raise InputError(
            f"{where}: unknown setting `{unknown[0]}`; known are {', '.join(sorted(known))}", code="SW-511"
        )


def _check(config: AgentConfig, where: str) -> None:
    url = parts_of(config.server)
    problems = {
        "server: an http or https address": url.scheme not in ("http", "https") or not url.netloc,
        "site: lower-case letters, digits and hyphens": not SITE_NAME.fullmatch(config.site),
        "country: two capital letters (ISO 3166-1)": not COUNTRY.fullmatch(config.country),
        f"overhead_ppm: at least {PPM}": config.overhead_ppm < PPM,
        f"meter: one of {', '.join(METERS)}": config.meter not in METERS,
        f"isolation: one of {', '.join(ISOLATIONS)}": config.isolation not in ISOLATIONS,
        f"challenges: one of {', '.join(CHALLENGES)}": config.challenges not in CHALLENGES,
        "job_memory_gib, job_disk_gib: not negative": min(config.job_memory_gib, config.job_disk_gib) < 0,
        "job_processes: at least 1": config.job_processes < 1,
        f"site_meter_ppm: 0, or at least {PPM}": config.site_meter_ppm != 0 and config.site_meter_ppm < PPM,
        "ask_usd_micro_per_gpu_h: not negative": config.ask_usd_micro_per_gpu_h < 0,
        "pools: at least one, with a count or devices that agree": not config.pools
        or any(map(_uncounted, config.pools)),
        "wake_s, grace_s, save_s: not negative": min(config.wake_s, config.grace_s, config.save_s) < 0,
        "lan: at most 64 letters, digits, hyphens and underscores": not LAN.fullmatch(config.lan),
        f"yield_s: between 0 and {YIELD_S_MAX}": not 0 <= config.yield_s <= YIELD_S_MAX,
        "temperature_c_max, gpu_power_w_max, traffic_gib_per_day, disk_free_gib: not negative": min(
            config.temperature_c_max, config.gpu_power_w_max, config.traffic_gib_per_day, config.disk_free_gib
        )
        < 0,
        "poll_s, tick_s: above 0": min(config.poll_s, config.tick_s) <= 0,
        "closed_hours_utc: some of the hours 0 to 23, not all": not set(config.closed_hours_utc)
        < set(range(HOURS_A_DAY)),
        "asleep_w: not negative": config.asleep_w < 0,
        "payout: empty, or 0x and 40 hex digits": bool(config.payout) and not PAYOUT.fullmatch(config.payout),
    }
    for wanted, wrong in problems.items():
        if wrong:
            raise InputError(f"{where}: {wanted}", code="SW-510")


def _uncounted(pool: PoolConfig) -> bool:
    return (
        pool.count < 0
        or not (pool.count or pool.devices)
        or bool(pool.count and pool.devices and pool.count != len(pool.devices))
    )
