"""A process of least priority that compiles what plans of large crowds need, once for each installation.

Later processes read it from disk. A service starts this when it starts, and waits for nothing.
"""

from __future__ import annotations

import os

from sunward.placement.crowd.warm import warm_up

NICENESS = 19

if __name__ == "__main__":
    os.nice(NICENESS)
    warm_up()
