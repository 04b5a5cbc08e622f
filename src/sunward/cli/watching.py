"""The grid's own servers that `sunward up --grid` listens to."""

from __future__ import annotations

import importlib
from pathlib import Path

from sunward.adapters.grid import read_grid
from sunward.cli.text import _
from sunward.errors import InputError
from sunward.service.grid_events import Watch


def watches(path: Path | None) -> tuple[Watch, ...]:
    """What a grid.toml names, made ready; the library of the protocol is loaded only where there is one.

    Raises: InputError.
    """
    if path is None:
        return ()
    sources = read_grid(path)
    try:
        openadr = importlib.import_module("sunward.adapters.openadr")
    except ModuleNotFoundError as reason:
        line = _("grid events need {module}: pip install 'sunward[grid]'")
        raise InputError(line.format(module=reason.name), code="SW-705") from None
    return tuple(
        Watch(
            site=one.entry.site,
            origin=f"{one.entry.url} {one.entry.program}",
            every_s=one.entry.every_seconds,
            ask=openadr.Vtn(
                one.entry.url,
                program=one.entry.program,
                target=one.entry.target,
                client=(one.entry.client_id, one.secret),
                token_url=one.entry.token_url,
            ).ask,
        )
        for one in sources
    )
