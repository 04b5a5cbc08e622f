"""Where the contracts' artefacts lie. They are data: ABI and bytecode, for whatever deploys or calls the contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
BUILD = FOLDER / "build"
SOURCES = FOLDER / "src"


def names() -> tuple[str, ...]:
    """Every contract that can be deployed."""
    return tuple(sorted(path.stem for path in BUILD.glob("*.json")))


def artifact(name: str) -> dict[str, Any]:
    """ABI (`abi`), bytecode (`bytecode`, `bytecode_runtime`) and origin of a contract.

    Raises: KeyError when there is no such contract.
    """
    path = BUILD / f"{name}.json"
    if path.parent != BUILD or not path.is_file():
        raise KeyError(name)
    found: dict[str, Any] = json.loads(path.read_text())
    return found
