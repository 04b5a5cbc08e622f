"""The built wheel, in an environment of its own that holds what `dependencies` names and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from sunward.model.codec import encode
from tests.architecture.light import base_distributions
from tests.conftest import ROOT
from tests.support.bundles import genuine

pytestmark = pytest.mark.slow

IMPORTS = """
import importlib.util
import sunward
print(sunward.Client.__name__, sunward.AsyncClient.__name__, sunward.JobRequest.__name__)
print([name for name in ("numpy", "fastapi", "sqlalchemy", "pytest") if importlib.util.find_spec(name)])
"""


def build(folder: Path) -> Path:
    """The wheel of the present sources; built from a copy, so that nothing is left beside them."""
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("sunward-*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment with the wheel and copies of its dependencies."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for name in base_distributions():
        for file in distribution(name).files or ():
            # Scripts lie outside, and compiled files are made anew.
            if ".." in file.parts or file.suffix == ".pyc":
                continue
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)
    return folder / "bin" / "python"


def test_the_wheel_works_with_its_own_dependencies_alone(tmp_path: Path) -> None:
    python = install(build(tmp_path), tmp_path / "venv")
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(encode(genuine()))

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(python), *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout or done.stderr

    assert list(tmp_path.glob("venv/lib/python*/site-packages/sunward/py.typed"))
    assert run("-c", IMPORTS) == "Client AsyncClient JobRequest\n[]\n"
    assert "submit" in run("-m", "sunward", "--help")
    assert "--folder" in run("-m", "sunward", "submit", "--help")
    assert "사용법" in run("-m", "sunward", "--lang", "ko", "--help")
    assert json.loads(run("-m", "sunward", "--json", "verify", str(bundle)))["ok"] is True
    assert "pip install 'sunward[service]'" in run("-m", "sunward", "up", code=2)
