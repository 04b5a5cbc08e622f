"""Power limits that plans may choose from: of pools whose site can set them, for classes of work that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from sunward.model.hardware import WorkClass
from sunward.model.site import PoolSpec, SiteSpec
from sunward.world import catalogue
from sunward.world.power import cap_choices, device_power_w, host_power_w
from sunward.world.snapshot import WORK_CLASSES, PowerCaps


@cache
def limited_w(gpu_model: str, work_class: WorkClass, cap_w: int) -> float:
    """IT watts of one busy container under a power limit."""
    gpu = catalogue.load().gpu(gpu_model)
    return device_power_w(gpu, work_class, 1.0, cap_w) + host_power_w(gpu, 1.0)


def power_caps(pools: Sequence[tuple[SiteSpec, PoolSpec]]) -> PowerCaps | None:
    """The limits of each pool and class; None where there is none at all, so that nothing is spent on them."""
    known = [
        [cap_choices(pool.gpu_model, kind) if site.power_caps else () for kind in WORK_CLASSES] for site, pool in pools
    ]
    most = max((len(one) for row in known for one in row), default=0)
    if not most:
        return None
    shape = (len(pools), len(WORK_CLASSES), most)
    cap_w, busy_w, rate = np.zeros(shape, np.int64), np.zeros(shape), np.ones(shape)
    for row, (_, pool) in enumerate(pools):
        for kind, choices in enumerate(known[row]):
            for at, one in enumerate(choices):
                cap_w[row, kind, at], rate[row, kind, at] = one.cap_w, one.rate
                busy_w[row, kind, at] = limited_w(pool.gpu_model, WORK_CLASSES[kind], one.cap_w)
    return PowerCaps(cap_w=cap_w, busy_w=busy_w, rate=rate)
