"""Appends to the store named by the first argument until it is killed, and prints each sequence once it is recorded."""

from __future__ import annotations

import sys

from sunward.adapters.sql import open_store
from tests.support.records import changed, seen

GROUP = 8

store = open_store(sys.argv[1])
head = store.claim_leadership()
while True:
    ticks = range(head.sequence, head.sequence + GROUP)
    head = store.append(head, [seen(tick) for tick in ticks], [(changed(f"j-{tick}", "placed"),) for tick in ticks])
    sys.stdout.write(f"{head.sequence}\n")
    sys.stdout.flush()
