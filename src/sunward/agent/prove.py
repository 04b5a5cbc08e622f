"""The proofs that `sunward doctor` makes on request; each of them suspends this machine for real."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import httpx

from sunward.adapters import power_machine
from sunward.adapters.lan import card
from sunward.adapters.nvml import nvml_devices
from sunward.adapters.power_machine import RtcWake
from sunward.agent.client import Backoff, ControlPlane, trust
from sunward.agent.config import AgentConfig, load_config, local_network
from sunward.agent.folder import take_folder
from sunward.agent.identity import load_membership
from sunward.agent.sleep import (
    CALL_AFTER_S,
    CALL_FOR_S,
    Clocks,
    Proof,
    load_proof,
    prove_sleep,
    prove_wake_on_lan,
    save_proof,
)
from sunward.errors import InputError, SourceError
from sunward.model.wire import WakeTrial

READY_S = 120.0
"""A machine that is not ready as long after its alarm is not counted as one that wakes."""
LOOK_S = 0.2
ASK_S = 5.0


def program() -> RtcWake:
    """What suspends this machine. Raises: InputError saying why nothing does."""
    found = power_machine.find()
    if isinstance(found, str):
        raise InputError(f"sleep cannot be proved: {found}", code="SW-542")
    return found


def prove_alarm(folder: Path, seconds: int, clocks: Clocks | None = None) -> Proof:
    """Suspend this machine for so long, wake it by its alarm, and keep what was measured.

    Raises: InputError while its agent runs or where nothing can suspend it, SourceError when nothing is proved.
    """
    rtcwake = program()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with take_folder(folder):
        known = load_proof(folder)
        proof = prove_sleep(rtcwake, seconds, clocks or Clocks(), lambda: _until_ready(folder))
        if known is not None:
            # Another alarm says nothing against what a neighbour proved.
            proof = replace(proof, wake_mac=known.wake_mac, lan=known.lan)
        save_proof(folder, proof)
    return proof


def prove_neighbour(folder: Path, clocks: Clocks | None = None) -> Proof:
    """Suspend this machine with its alarm far off, have a neighbour wake it, and keep that it did.

    Raises: InputError while its agent runs, or before its sleep was proved; SourceError when nothing is proved.
    """
    rtcwake = program()
    config, known, found = load_config(folder), load_proof(folder), card()
    if known is None:
        raise InputError("its sleep comes first: sunward doctor --prove-sleep", code="SW-549")
    lan = local_network(config)
    if found is None or not lan:
        raise InputError("no network card and gateway found; name the network by `lan` in agent.toml", code="SW-549")
    trial = WakeTrial(mac=found.mac, lan=lan, after_s=CALL_AFTER_S, for_s=CALL_FOR_S)
    backoff = Backoff(sleep=time.sleep, jitter=random.SystemRandom().random)
    token = load_membership(folder).token
    with take_folder(folder):
        plane = ControlPlane(config.server, token, backoff, ca=config.ca, insecure=config.insecure)
        try:
            proof = prove_wake_on_lan(known, rtcwake, clocks or Clocks(), found.mac, lan, lambda: plane.try_wake(trial))
        finally:
            plane.close()
        save_proof(folder, proof)
    return proof


def _until_ready(folder: Path) -> None:
    """Return when the control plane answers and the GPUs do, as far as this folder needs them.

    Raises: SourceError when they do not in time.
    """
    try:
        config = load_config(folder)
    except InputError:
        # Not joined yet: nothing else has to come back.
        return
    give_up_s = time.monotonic() + READY_S
    while (lack := _lack(config)) and time.monotonic() < give_up_s:
        time.sleep(LOOK_S)
    if lack:
        raise SourceError(f"it woke, and {READY_S:.0f} s later still: {lack}", code="SW-543", transient=False)


def _lack(config: AgentConfig) -> str:
    try:
        if config.meter == "nvml":
            nvml_devices()
        httpx.get(f"{config.server.rstrip('/')}/healthz", timeout=ASK_S, verify=trust(config.ca, config.server))
    except (SourceError, httpx.HTTPError, OSError) as reason:
        return str(reason) or type(reason).__name__
    return ""
