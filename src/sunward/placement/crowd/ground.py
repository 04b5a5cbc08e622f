"""Records that compiled loops read and write; a change of any of them compiles the loops anew.

Axes: P pools, C classes of work, G groups, J jobs, O + 1 zones where data lies, Z zones.
"""

from __future__ import annotations

import numpy as np

POOL = np.dtype(
    [
        ("zone", np.int64),
        ("site", np.int64),
        ("wake_ms", np.int64),
        ("ask", np.float64),  # micro-USD an hour
        ("waking", np.float64),  # micro-USD of waking a container
        ("waking_carbon", np.float64),  # the same at one USD a tonne
        ("bound", np.int64),  # 1 = its site has a ceiling
    ]
)
"""(P,)."""
USE = np.dtype(
    [
        ("kw", np.float64),
        ("water", np.float64),  # micro-USD an hour
        ("above_w", np.float64),  # watts of a busy container above a sleeping one
    ]
)
"""(P, C)."""
WAY = np.dtype(
    [
        ("tariff", np.float64),  # micro-USD of a gigabyte
        ("carbon", np.float64),  # the same at one USD a tonne
    ]
)
"""(O + 1, Z)."""
ASKED = np.dtype(
    [
        ("pools", np.int64),  # row of its set of pools
        ("work_class", np.int64),
        ("gpus", np.int64),
        ("gang", np.int64),  # position in `Left.gangs`
        ("carbon_price", np.float64),
        ("length_ms", np.int64),
        ("limit_ms", np.int64),
        ("start_by_ms", np.int64),
        ("opens", np.int64),  # first slot of a start
        ("ask_most", np.float64),  # micro-USD of a container and reference hour that are paid
        ("gigabytes", np.float64),
        ("origin", np.int64),
        ("lure", np.int64),  # row of its lures
        ("next", np.int64),  # the first of its jobs without a place
        ("end", np.int64),  # past the last of its jobs
    ]
)
"""(G,)."""
JOB = np.dtype(
    [
        ("length_ms", np.int64),
        ("limit_ms", np.int64),
        ("start_by_ms", np.int64),
        ("ask_most", np.float64),
        ("pool", np.int64),  # what it is given; -1 = nothing
        ("start_ms", np.int64),
        ("end_ms", np.int64),
        ("at_once", np.int64),  # 1 = on containers that were awake
        ("now_pool", np.int64),  # where it could have begun now; -1 = nowhere
    ]
)
"""(J,) jobs of groups, one group after the other."""
RATE = np.dtype(
    [
        ("run_ms", np.int64),
        ("latest", np.int64),  # last slot of a start; -1 = none
        ("level", np.int64),  # of the least stretch
    ]
)
"""What a job is for each rate that pools have."""
LOOK = np.dtype([("lure", np.float64), ("pool", np.int64)])
"""Pools that are worth a close look."""
