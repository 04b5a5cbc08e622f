"""Environments for jobs: from a wheel on this disk, built once, and used by a job under its own isolation."""

from __future__ import annotations

import hashlib
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from sunward.adapters import sandbox
from sunward.adapters.embedded import EmbeddedExecutor
from sunward.adapters.requirements import check_requirements
from sunward.agent.environment import Environments, SetupRules
from sunward.errors import InputError, SourceError
from sunward.model.wire import JobContent
from sunward.ports import Launch
from tests.port.test_executor import ended, order, wait_for

ROOM = 1 << 30
NAME = "sunlit-1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small wheel, and one package as source that would run code when it is built."""
    folder = tmp_path_factory.mktemp("wheels")
    about = "sunlit-1.0.dist-info"
    with zipfile.ZipFile(folder / NAME, "w") as wheel:
        wheel.writestr("sunlit.py", "LIGHT = 'morning'\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: sunlit\nVersion: 1.0\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", f"sunlit.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return folder


def rules(wheels: Path, **changes: object) -> SetupRules:
    return SetupRules(**({"index": "", "find_links": str(wheels)} | changes))


@pytest.mark.slow
def test_a_job_finds_what_it_asked_for(wheels: Path, tmp_path: Path) -> None:
    made = Environments(tmp_path / "cache", rules(wheels), ROOM)
    digest = hashlib.sha256((wheels / NAME).read_bytes()).hexdigest()
    setup = f"# what the job needs\nsunlit==1.0 \\\n    --hash=sha256:{digest}\n"
    environment = made.prepare(setup, "job-a.1")
    assert environment is not None
    stamp = (environment / "pyvenv.cfg").stat().st_mtime_ns
    assert made.prepare(setup, "job-b.1") == environment
    assert (environment / "pyvenv.cfg").stat().st_mtime_ns == stamp
    found = sandbox.find()
    executor = EmbeddedExecutor(tmp_path / "attempts", None if isinstance(found, str) else found)
    folder = tmp_path / "attempts" / "job-a.1"
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "job.py").write_text(
        "import os, sunlit\nprint(sunlit.LIGHT, os.environ['TOKEN'], os.environ['VIRTUAL_ENV'])\n"
    )
    content = JobContent(name="test", command=("python", "job.py"))
    executor.start(
        Launch(order(), content, ("gpu-0",), folder, 0.0, secrets={"TOKEN": "hunter2"}, environment=environment)
    )
    assert wait_for(executor, "job-a.1", ended).exit_code == 0
    assert (folder / "log").read_text() == f"morning hunter2 {environment}\n"
    # Nothing of the secret is left behind by the launch.
    assert not [
        path for path in folder.rglob("*") if path.name != "log" and path.is_file() and b"hunter2" in path.read_bytes()
    ]
    wrong = setup.replace(digest, "0" * 64)
    with pytest.raises(InputError) as refused:
        made.prepare(wrong, "job-c.1")
    assert (refused.value.code, "hash" in refused.value.message.lower() or "Got" in refused.value.message) == (
        "SW-525",
        True,
    )


def fake_programs(folder: Path, script: str) -> Path:
    """A stand-in for this Python: `-m venv` makes a folder whose python says what the script says."""
    python = folder / "python"
    python.write_text(
        '#!/bin/sh\nfor last; do :; done\nmkdir -p "$last/bin"\n'
        f'cat > "$last/bin/python" <<"END"\n#!/bin/sh\n{script}\nEND\n'
        'chmod +x "$last/bin/python"\n'
    )
    python.chmod(0o755)
    return python


def test_the_last_line_tells_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'echo Looking; echo "ERROR: No matching distribution found for nothing==9" >&2; exit 1'
    monkeypatch.setattr(sys, "executable", str(fake_programs(tmp_path, script)))
    made = Environments(tmp_path / "cache", SetupRules(), ROOM)
    with pytest.raises(InputError) as refused:
        made.prepare("nothing==9", "job-a.1")
    assert refused.value.message == "setup failed: ERROR: No matching distribution found for nothing==9"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == []


def test_only_the_providers_own_sources_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://elsewhere.example")
    monkeypatch.setattr(sys, "executable", str(fake_programs(tmp_path, 'echo "$@ index=$PIP_INDEX_URL" >&2; exit 3')))
    made = Environments(tmp_path / "cache", SetupRules(index="https://index.example", find_links="/wheels"), ROOM)
    with pytest.raises(InputError) as refused:
        made.prepare("one==1 --hash=sha256:ab", "job-a.1")
    for part in ("--isolated", "--only-binary :all:", "--index-url https://index.example", "--find-links /wheels"):
        assert part in refused.value.message
    assert "--require-hashes" in refused.value.message
    assert refused.value.message.endswith("index=")


def test_a_build_ends_with_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(sys, "executable", str(fake_programs(tmp_path, f"touch {tmp_path}/begun; exec sleep 600")))
    made = Environments(tmp_path / "cache", SetupRules(), ROOM, over)
    over.set()
    with pytest.raises(SourceError, match="the agent ends"):
        made.prepare("one==1", "job-a.1")
    assert list((tmp_path / "cache").iterdir()) == []


def test_nothing_is_built_where_nothing_is_asked_or_allowed(tmp_path: Path) -> None:
    assert Environments(tmp_path, SetupRules(allowed=False), ROOM).prepare(" \n", "job-a.1") is None
    with pytest.raises(InputError) as refused:
        Environments(tmp_path, SetupRules(allowed=False), ROOM).prepare("one", "job-a.1")
    assert refused.value.code == "SW-524"


@pytest.mark.parametrize(
    "text",
    [
        "numpy",
        "numpy==2.1.0\ntorch>=2,<3  # newest\n\n",
        'uvloop[extra,more] ~= 0.2 ; python_version < "3.12" and sys_platform == "linux"',
        "a==1 \\\n    --hash=sha256:ab \\\n    --hash=sha256:cd\nb==2 --hash=sha256:ef",
        "# a comment alone",
    ],
)
def test_requirements_that_are_taken(text: str) -> None:
    assert check_requirements(text, "SW-175") == ("--hash" in text)


@pytest.mark.parametrize(
    "text",
    [
        *("--index-url https://x", "-r other.txt", "-e .", "--extra-index-url=https://x", "numpy --pre", "-f /wheels"),
        *(
            "./package",
            "../package.whl",
            "/etc/passwd",
            "package.whl @ file:///x",
            "a @ https://x/a.whl",
            "git+https://x",
        ),
        *("https://x/a.whl", "a\\\n@ file:///x", "a==1 --global-option=x", "$HOME/x", "a==1 --hash=sha256:ab -r x"),
        "a==1 --hash=sha256:ab --config-settings x",
    ],
)
def test_requirements_that_would_reach_further_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="line 1"):
        check_requirements(text, "SW-175")
