"""What a site may draw when: its grid connection as declared, and lower while a grid event or its owner limits it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sunward.model.site import Ceiling
from sunward.world.snapshot import FloatArray
from sunward.world.state import Site

MOST = 256
"""Most limits in force or to come at one site."""


def ceilings_w(sites: Sequence[Site], start_ms: int, slot_ms: int, slots: int) -> FloatArray:
    """(S, slots) facility watts that sites may draw; inf = no limit. A slot that is covered in part counts whole."""
    declared = [site.spec.power_ceiling_w or math.inf for site in sites]
    watts = np.repeat(np.array(declared, np.float64)[:, None], slots, axis=1)
    for row, site in zip(watts, sites, strict=True):
        for one in site.ceilings.values():
            first, last = (one.start_ms - start_ms) // slot_ms, -(-(one.end_ms - start_ms) // slot_ms)
            covered = row[max(0, first) : max(0, last)]
            np.minimum(covered, one.ceiling_w, out=covered)
    return watts


def is_capped(site: Site) -> bool:
    """Whether anything limits what a site draws, now or later."""
    return bool(site.spec.power_ceiling_w or site.ceilings)


def ceiling_w(site: Site, start_ms: int, end_ms: int) -> float:
    """The least that a site may draw at any moment of a stretch; inf = no limit."""
    limits = [one.ceiling_w for one in overlapping(site, start_ms, end_ms)]
    return min([site.spec.power_ceiling_w or math.inf, *limits])


def overlapping(site: Site, start_ms: int, end_ms: int) -> list[Ceiling]:
    """Limits in force at any moment of a stretch, the first to begin first."""
    found = [one for one in site.ceilings.values() if one.start_ms < end_ms and start_ms < one.end_ms]
    return sorted(found, key=lambda one: (one.start_ms, one.ceiling))
