"""Words for hardware that jobs and sites share."""

from __future__ import annotations

from enum import StrEnum


class WorkClass(StrEnum):
    """Kinds of work with a power and a rate of their own (DESIGN §4)."""

    TRAINING = "training"
    FINE_TUNING = "fine_tuning"
    BATCH_INFERENCE = "batch_inference"
    ONLINE_INFERENCE = "online_inference"
    RENDERING = "rendering"
    GENERIC = "generic"


class PowerState(StrEnum):
    """Power states of a node."""

    OFF = "off"
    ASLEEP = "asleep"
    WAKING = "waking"
    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"


class Admission(StrEnum):
    """Whose jobs an agent accepts; `anyone` needs gVisor or a VM (DESIGN §8)."""

    OWN = "own"
    KNOWN = "known"
    ANYONE = "anyone"
