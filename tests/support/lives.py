"""A process that posts and is killed with SIGKILL before and after each step it has not been killed at yet."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sunward.adapters.chain_embedded import EmbeddedChain
from sunward.adapters.chain_outbox import ChainOutbox, Wanted
from sunward.adapters.chain_rpc import Web3Chain, open_rpc
from sunward.adapters.database import open_database
from sunward.service.poster import Poster
from tests.support.posting import KEY, MAX_FEE_WEI

STEPS = ("plan", "sign", "see", "send")
LIFE_S = 120


def chain_at(where: str) -> Web3Chain:
    """A node's address, or the file of an embedded chain."""
    return open_rpc(where) if where.startswith("http") else EmbeddedChain(KEY.address, Path(where))


def live(folder: Path, where: str, wanted: Sequence[Wanted]) -> None:
    """Post all of it, unless death comes first."""
    deaths = folder / "deaths"
    chain, box = chain_at(where), _Deadly(ChainOutbox(open_database(f"sqlite:///{folder / 'db'}")), deaths)
    box.plan(wanted)
    one = Poster(box, _Deadly(chain, deaths), KEY, 1, MAX_FEE_WEI)
    while one.look():
        pass


class _Deadly:
    """An object whose steps are deadly, each once; it is an outbox or a chain to whoever asks."""

    def __init__(self, inner: object, deaths: Path) -> None:
        self._inner = inner
        self._deaths = deaths

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._step, name, found) if name in STEPS else found

    def _step(self, name: str, found: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        # A line of the outbox or the bytes of a transaction say which of the same steps it is.
        first = arguments[0]
        which = getattr(first, "item", "") or (first.hex()[-16:] if isinstance(first, bytes) else "")
        _die(f"before {name} {which}", self._deaths)
        result = found(*arguments, **named)
        _die(f"after {name} {which}", self._deaths)
        return result


def _die(moment: str, deaths: Path) -> None:
    known = deaths.read_text().splitlines() if deaths.exists() else []
    if moment in known:
        return
    with deaths.open("a") as file:
        file.write(f"{moment}\n")
        file.flush()
        os.fsync(file.fileno())
    os.kill(os.getpid(), signal.SIGKILL)


def live_until_done(folder: Path, where: str, wanted: Sequence[Wanted]) -> int:
    """Life after life until one ends by itself; how many were killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    killed = 0
    while True:
        process = context.Process(target=live, args=(folder, where, tuple(wanted)))
        process.start()
        process.join(LIFE_S)
        if process.exitcode == 0:
            return killed
        assert process.exitcode == -signal.SIGKILL, process.exitcode
        killed += 1
