"""The audit trail: who did what to whom, from where. Never a secret: a target is a name, an id or a hash."""

from __future__ import annotations

from sunward.service.auth import Caller
from sunward.service.control import ControlPlane

TARGET_CHARS = 200


def note(control: ControlPlane, caller: Caller, action: str, target: str) -> None:
    """Add an act of the caller to the trail, once it is done."""
    now_ms = control.clock.machine_ms()
    control.store.access.record_act(now_ms, caller.subject, action, target[:TARGET_CHARS], caller.address)
