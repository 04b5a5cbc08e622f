"""Sunward: AI jobs run where and when power is clean, with a receipt anyone can check.

`from sunward import Client` (or `AsyncClient`) is the way in for programs; docs/sdk.md shows it at work.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sunward.client import AsyncClient, Client, JobFields
    from sunward.errors import ConflictError, InputError, NotFoundError, SourceError, SunwardError
    from sunward.model.request import JobRequest

__all__ = [
    "AsyncClient",
    "Client",
    "ConflictError",
    "InputError",
    "JobFields",
    "JobRequest",
    "NotFoundError",
    "SourceError",
    "SunwardError",
    "__version__",
]
__version__ = "0.1.0"

if not TYPE_CHECKING:  # A type checker would take any name for one of them.
    _FOUND_IN = {
        "AsyncClient": "sunward.client",
        "Client": "sunward.client",
        "ConflictError": "sunward.errors",
        "InputError": "sunward.errors",
        "JobFields": "sunward.client",
        "JobRequest": "sunward.model.request",
        "NotFoundError": "sunward.errors",
        "SourceError": "sunward.errors",
        "SunwardError": "sunward.errors",
    }

    def __getattr__(name: str) -> object:
        """A name of the client, loaded when it is first used: the parts of Sunward itself start without it."""
        if name not in _FOUND_IN:
            raise AttributeError(f"module 'sunward' has no attribute {name!r}")
        return getattr(import_module(_FOUND_IN[name]), name)
