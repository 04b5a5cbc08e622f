"""`grid.toml`: which OpenADR 3 server tells a site what it may draw, and where the secret for it is kept."""

from __future__ import annotations

import ipaddress
import json
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sunward.errors import InputError
from sunward.model.address import parts_of
from sunward.model.codec import decode

WRONG = "SW-704"
EVERY_S = range(1, 3_601)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEntry:
    """One `[[grid]]` of the file."""

    site: str
    """The site whose events these are."""
    url: str
    """Address of the server, with the path of its API, such as https://vtn.example/openadr3/3.0.1."""
    program: str = ""
    """Name or id of the program; else every event that the server shows."""
    target: str = ""
    """Events that name targets count only if this is one of them; else all do."""
    client_id: str = ""
    """For the OAuth client credentials grant; empty where the server asks for no token."""
    secret_env: str = "OPENADR_SECRET"  # noqa: S105 - the name of a variable
    """Environment variable that holds the client's secret."""
    secret_file: str = ""
    """File that holds it, readable by its owner alone; beside the settings unless absolute."""
    token_url: str = ""
    """Where tokens are given; else the server's own word (`/auth/server`)."""
    every_seconds: int = 30
    """Time between two requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _GridFile:
    grid: tuple[GridEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSource:
    """An entry with its secret."""

    entry: GridEntry
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One interval of one event, in real time."""

    name: str
    """The same whenever it is told, also when it is told anew with other figures."""
    start_ms: int
    end_ms: int
    watts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a server has for a site."""

    limits: tuple[Limit, ...]
    unread: tuple[str, ...]
    """Events that cannot be understood, each in a line."""


def read_grid(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[GridSource, ...]:
    """The entries of a settings file, each with its secret.

    Raises: InputError naming the entry and the remedy.
    """
    found = []
    for number, entry in enumerate(_entries(path), start=1):
        where = f"{path.name}, grid {number} ({entry.site})"
        _check(entry, where)
        found.append(GridSource(entry=entry, secret=_secret(entry, where, path.parent, environment)))
    return tuple(found)


def _entries(path: Path) -> tuple[GridEntry, ...]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise InputError(f"cannot read {path} ({reason.strerror}); name a grid.toml", code=WRONG) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"{path.name} is not TOML: {reason}", code=WRONG) from None
    known = {one.name for one in fields(GridEntry)}
    unknown = sorted({*raw} - {"grid"}) + sorted(_words(raw) - known)
    if unknown:
        line = f"{path.name}: unknown word {unknown[0]!r}; use {', '.join(sorted(known))} under [[grid]]"
        raise InputError(line, code=WRONG)
    try:
        return decode(json.dumps(raw), _GridFile).grid
    except (InputError, TypeError) as reason:
        raise InputError(f"{path.name}: {reason}; name at least site and url under [[grid]]", code=WRONG) from None


def _words(raw: dict[str, Any]) -> set[str]:
    entries = raw.get("grid", [])
    return (
        {word for entry in entries if isinstance(entry, dict) for word in entry} if isinstance(entries, list) else set()
    )


def _check(entry: GridEntry, where: str) -> None:
    if entry.every_seconds not in EVERY_S:
        raise InputError(f"{where}: every_seconds lies in 1..3600; correct it", code=WRONG)
    for address in (entry.url, *([entry.token_url] if entry.token_url else [])):
        parts = parts_of(address)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise InputError(f"{where}: {address!r} is no address; write one like https://vtn.example", code=WRONG)
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise InputError(f"{where}: the secret would be sent in the open; use an https address", code=WRONG)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secret(entry: GridEntry, where: str, folder: Path, environment: Mapping[str, str]) -> str:
    if not entry.client_id:
        return ""
    if not entry.secret_file:
        secret = environment.get(entry.secret_env, "").strip()
        if not secret:
            raise InputError(f"{where}: no secret; set {entry.secret_env}, or name a `secret_file`", code=WRONG)
        return secret
    path = folder / entry.secret_file
    try:
        mode = path.stat().st_mode
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{where}: cannot read the secret in {path}", code=WRONG) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"{where}: others may read {path}; chmod 600 it", code=WRONG)
    return secret
