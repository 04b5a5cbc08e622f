"""A job file from the command line to the agent of the lease, through the service's own API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sunward.cli.main import cli
from sunward.cli.shell import Shell
from tests.api.harness import URL, Agent, Bridge, Service

JOB_YAML = """\
name: evaluate
command: [python, eval.py, --split, "{index}"]
folder: work
setup: requirements.txt
secrets: [HF_TOKEN, KEY@key]
inputs:
  - {source: labels.csv, path: data/labels.csv}
outputs: [logs/*.txt]
env: {EPOCHS: 3}
hours: 0.5
units: 100
start_by: 2h
timeout: 3h
zone: DE
"""
SECRET = "hunter2"
Run = Callable[..., Result]


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """One command line against the service, from a folder with a job file."""
    (tmp_path / "desk" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "desk")
    Path("job.yaml").write_text(JOB_YAML)
    Path("requirements.txt").write_text("numpy==2.1.0\n")
    Path("key").write_text("from a file\n")
    Path("labels.csv").write_text("a,b\n")
    Path("work/eval.py").write_text("print(1)\n")

    def invoke(*words: str) -> Result:
        environment = {"SUNWARD_URL": URL, "SUNWARD_TOKEN": service.credentials["tenant_token"], "HF_TOKEN": SECRET}
        shell = Shell(home=tmp_path / "none", transport=Bridge(service))
        return CliRunner().invoke(cli, list(words), obj=shell, env=environment, catch_exceptions=False)

    return invoke


def lease_of(service: Service, agent: Agent) -> str:
    """The lease of the only job, as its agent is told of it."""
    for _ in range(24):
        service.plan()
        leases = agent.sync().orders.leases
        if leases:
            return leases[0].lease
        agent.meter()
        service.pass_grid(300_000)
    raise AssertionError(service.ok("GET", "/v1/jobs"))


def test_what_a_job_file_says_reaches_the_agent(service: Service, agent: Agent, run: Run) -> None:
    agent.sync()
    quoted = run("submit", "--dry-run")
    assert quoted.exit_code == 0, quoted.output
    assert service.ok("GET", "/v1/jobs")["jobs"] == []
    result = run("submit", "-y", "--json")
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output + quoted.output
    lease = lease_of(service, agent)
    content = service.ok("GET", f"/v1/leases/{lease}/content", token=agent.token)
    assert content["command"] == ["python", "eval.py", "--split", "{index}"]
    assert content["setup"] == "numpy==2.1.0\n"
    assert content["outputs"] == ["logs/*.txt"]
    assert content["inputs"] == [{"path": "data/labels.csv", "sha256": hashlib.sha256(b"a,b\n").hexdigest(), "url": ""}]
    assert SECRET not in json.dumps(content)
    secrets = service.ok("GET", f"/v1/leases/{lease}/secrets", token=agent.token)
    assert secrets == {"HF_TOKEN": SECRET, "KEY": "from a file"}
    shown = [service.ask("GET", path).text for path in ("/v1/jobs", "/v1/jobs/" + json.loads(result.stdout)["job"])]
    assert SECRET not in "".join(shown)


def test_an_array_sent_twice_with_one_key_is_there_once(service: Service, agent: Agent, run: Run) -> None:
    agent.sync()
    words = ("submit", "-y", "--json", "--array", "3", "--key", "k")
    first, second = json.loads(run(*words).stdout), json.loads(run(*words).stdout)
    assert [each["job"] for each in first["jobs"]] == [each["job"] for each in second["jobs"]]
    listed = service.ok("GET", "/v1/jobs")["jobs"]
    assert sorted(each["name"] for each in listed) == ["evaluate[0]", "evaluate[1]", "evaluate[2]"]


@pytest.mark.parametrize("flag", [("--country", "XX"), ("--gpu-model", "Voodoo 2"), ("--zone", "ATLANTIS")])
def test_what_only_the_service_knows_is_refused_before_anything_is_stored(
    service: Service, agent: Agent, run: Run, flag: tuple[str, str]
) -> None:
    agent.sync()
    before = service.head
    result = run("submit", "-y", *flag)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert service.head == before
    digest = hashlib.sha256(b"a,b\n").hexdigest()
    assert service.ask("HEAD", f"/v1/objects/{digest}").status_code == 404
