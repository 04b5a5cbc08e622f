"""The packages that the light client may use, and a Python that has no others."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

POSIX_MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
POSIX_CALLS = ("fork", "getegid", "geteuid", "getgid", "getpgid", "getuid", "kill", "killpg", "setsid")

WALL = """
import importlib.abc, os, sys
source, missing, calls, program = sys.argv[1], *map(str.split, sys.argv[2:4]), sys.argv[4]
sys.path.insert(0, source)
class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in missing:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Wall())
import subprocess
for name in calls:
    if hasattr(os, name):
        delattr(os, name)
sys.argv = ["sunward", *sys.argv[5:]]
exec(program)
"""
"""Runs a program where some modules and calls of the operating system are missing, as on another system."""


def base_distributions() -> set[str]:
    """What `dependencies` in pyproject.toml brings along, all told."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    found: set[str] = set()
    open_requirements = [Requirement(line) for line in declared]
    while open_requirements:
        needed = open_requirements.pop()
        name = canonicalize_name(needed.name)
        if name in found or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        try:
            below = distribution(name).requires or ()
        except PackageNotFoundError:
            continue
        found.add(name)
        open_requirements += [Requirement(line) for line in below]
    return found


def foreign_modules() -> tuple[str, ...]:
    """The importable modules here that do not come with the light client."""
    base = base_distributions()
    return tuple(
        module
        for module, owners in packages_distributions().items()
        if module != "sunward" and not base & {canonicalize_name(owner) for owner in owners}
    )


def run_light(program: str, *words: str, source: Path = ROOT / "src", missing: Iterable[str] = POSIX_MODULES) -> str:
    """What a program prints where only the base packages are there."""
    blocked = " ".join((*foreign_modules(), *missing))
    command: Sequence[str] = [sys.executable, "-I", "-c", WALL, str(source), blocked, " ".join(POSIX_CALLS), program]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
