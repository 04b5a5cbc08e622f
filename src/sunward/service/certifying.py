"""How near the plan in force is to the best there could be, worked out beside the writer; nothing is recorded of it."""

from __future__ import annotations

import asyncio

from sunward.errors import ConflictError
from sunward.model.certificate import PlanCertificate
from sunward.service.control import ControlPlane
from sunward.verification.plan_bound import certify
from sunward.world.tick import take_tick

NO_PLAN = "SW-720"


async def certified(control: ControlPlane) -> PlanCertificate:
    """The cost of all present places beside a bound from the newest shadow prices.

    Raises: ConflictError where no job has a place.
    """
    control.ensure_signals()
    found = await asyncio.to_thread(certify, take_tick(control.state.world, control.clock.grid_ms()))
    if not found.jobs:
        raise ConflictError("no job has a place now; ask again once one is planned", code=NO_PLAN)
    return found
