"""The house keeps its shape: layers, forbidden imports, sizes, and one place where units are converted."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FUNCTION_LINES = 70
MODULE_LINES = 500
CONVERSIONS = {1_000, 3_600, 3_600_000}
BELOW_PORTS = (
    "engine",
    "placement",
    "execution",
    "metering",
    "verification",
    "settlement",
    "report",
    "world",
    "signals",
    "model",
    "units.py",
    "errors.py",
)
OUTSIDE = {
    "asyncio",
    "datetime",
    "logging",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uuid",
}


def modules(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def named(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the layer contracts on the `src` of a folder."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("package", "line", "found"),
    [
        ("placement", "import sunward.settlement", "sunward.placement -> sunward.settlement"),
        ("metering", "import time", "sunward.metering -> time"),
    ],
)
def test_a_planted_violation_is_caught(copy: Path, package: str, line: str, found: str) -> None:
    with (copy / "src" / "sunward" / package / "__init__.py").open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1
    assert "1 broken" in done.stdout
    assert found in done.stdout


def test_nothing_below_the_ports_reaches_outside() -> None:
    """Catches imports inside functions too, which a look at the top of the module would miss."""
    guilty = []
    for name in BELOW_PORTS:
        root = ROOT / "src" / "sunward" / name
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            for node in nodes(path):
                imported = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    imported = {node.module or ""}
                guilty += [named(path, node) for full in imported if full.partition(".")[0] in OUTSIDE]
    assert guilty == []


def test_functions_are_short() -> None:
    long = [
        f"{named(path, node)} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in modules("src", "tests", "benchmarks", "tools")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules("src", "benchmarks")}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MODULE_LINES} == {}


def test_only_units_converts_units() -> None:
    """Elsewhere a factor has a name: a bare 1000 or 3600 says neither what it converts nor in which direction."""
    scales = ast.Mult | ast.Div | ast.FloorDiv | ast.Mod
    guilty = []
    for path in modules("src"):
        if path == ROOT / "src" / "sunward" / "units.py":
            continue
        for node in nodes(path):
            if isinstance(node, ast.BinOp) and isinstance(node.op, scales):
                factors = [node.left, node.right]
            elif isinstance(node, ast.AugAssign) and isinstance(node.op, scales):
                factors = [node.value]
            else:
                continue
            if any(isinstance(factor, ast.Constant) and factor.value in CONVERSIONS for factor in factors):
                guilty.append(named(path, node))
    assert guilty == []
