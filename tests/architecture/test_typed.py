"""What `from sunward import Client` gives to a type checker: the documentation's programs pass, mistakes do not."""

import re
import subprocess
import sys

from tests.conftest import ROOT

MISTAKES = """
from sunward import AsyncClient, Client, nonsense
Client().submit(["a"], gpuss=1)
Client().submit(["a"], gpus="1")
Client().wait("j").state + 1
AsyncClient().api.account().tenant
"""


def checked(*files):
    """The lines that the type checker complains of, by file name."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return re.findall(r"(\w+)\.py:(\d+): error", done.stdout)


def test_programs_are_checked(tmp_path):
    page = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    files = []
    for index, program in enumerate([*programs, MISTAKES.lstrip()]):
        files.append(tmp_path / f"program{index}.py")
        files[-1].write_text(program)
    assert checked(*files) == [("program2", str(line)) for line in range(1, 6)]
