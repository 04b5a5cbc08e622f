"""The client for programs against the service itself; the programs of docs/sdk.md run as they are printed."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sunward import AsyncClient, Client, ConflictError, InputError, JobRequest, NotFoundError
from sunward.client import ApiClient, AsyncApiClient
from sunward.client.pack import pack
from sunward.units import HOUR_MS, MINUTE_MS
from tests.api.harness import URL, Agent, Bridge, Service
from tests.conftest import ROOT

ASKED = {"origin_zone": "DE", "length_s": 1_800, "deadline_s": 3_600, "units": 100}


@pytest.fixture
def client(service: Service, agent: Agent) -> Iterator[Client]:
    agent.sync()
    with Client(URL, service.credentials["tenant_token"], transport=Bridge(service)) as made:
        yield made


def work(service: Service, agent: Agent, output: bytes) -> Iterator[None]:
    """What happens to the one job there is, step by step: it runs, writes, ends, and its readings are sealed."""
    service.plan()
    while not (leases := agent.sync().orders.leases):
        agent.meter()
        service.pass_grid(HOUR_MS // 12)
        service.plan()
        yield
    lease = leases[0].lease
    agent.report(lease, "accepted")
    agent.report(lease, "running")
    service.ask("POST", f"/v1/leases/{lease}/log?offset=0", token=agent.token, content=b"step 40\n")
    yield
    service.pass_grid(HOUR_MS // 2)
    agent.meter(lease)
    digest = agent.put(lease, "output", output).json()["digest"]
    agent.report(lease, "finished", 100, output=digest)
    yield
    service.pass_grid(MINUTE_MS)
    agent.meter()
    service.control.seal_now()
    while True:
        yield


@pytest.fixture
def going_on(service: Service, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the client waits, the job goes on."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.txt").write_text("weights")
    buffer = io.BytesIO()
    pack(tmp_path / "made", buffer)
    steps = work(service, agent, buffer.getvalue())
    monkeypatch.setattr("sunward.client._sync.client.pause", lambda _seconds: next(steps))
    agent.sync()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("print('step 40')")
    return tmp_path / "work"


def test_a_job_from_submission_to_receipt(client: Client, going_on: None, folder: Path, tmp_path: Path) -> None:
    job = client.submit(["python3", "train.py"], folder=folder, key="nightly", **ASKED)
    with pytest.raises(ConflictError) as caught:
        client.receipt(job)
    assert caught.value.code == "SW-155"
    assert "".join(client.logs(job, follow=True)) == "step 40\n"
    ended = client.wait(job, timeout_s=60)
    assert (ended.state, ended.units_done) == ("finished", 100)
    assert client.fetch(job, tmp_path / "out") == ("model.txt",)
    assert client.receipt(job, timeout_s=60).receipt.gpu_j > 0
    assert [line.job for line in client.statement("2025-06").lines] == [job.job]
    assert [line.state for line in client.history(job)][-1] == "finished"
    assert [each.job for each in client.jobs(state="finished")] == [job.job]


def test_the_same_key_is_the_same_job(client: Client) -> None:
    first = client.submit(["true"], key="nightly", **ASKED)
    assert client.submit(["true"], key="nightly", **ASKED).job == first.job
    with pytest.raises(ConflictError) as caught:
        client.submit(["false"], key="nightly", **ASKED)
    assert caught.value.code == "SW-112"
    assert client.cancel(first).state == "cancelled"


@pytest.mark.parametrize(
    ("fields", "code"), [({"units": 0}, "SW-150"), ({"policy": "dearest"}, "SW-152"), ({"bundle": "0" * 64}, "SW-153")]
)
def test_a_refusal_is_an_error_with_its_code(client: Client, fields: dict[str, object], code: str) -> None:
    with pytest.raises(InputError) as caught:
        client.submit(["true"], **(ASKED | fields))
    assert caught.value.code == code
    assert client.jobs() == ()


def test_a_stranger_learns_nothing(service: Service, client: Client) -> None:
    job = client.submit(["true"], **ASKED)
    with Client(URL, service.token("t-other", "tenant"), transport=Bridge(service)) as stranger:
        with pytest.raises(NotFoundError):
            stranger.job(job)
        with pytest.raises(NotFoundError):
            next(stranger.logs(job))
    with Client(URL, "wrong", transport=Bridge(service)) as nobody, pytest.raises(InputError) as caught:
        nobody.account()
    assert caught.value.code == "SW-401"


def test_ones_own_content_is_erased(service: Service, client: Client) -> None:
    job = client.submit(["true"], name="mine", **ASKED)
    with pytest.raises(ConflictError):
        client.erase_content()
    assert (client.job(job).name, client.erase_content(cancel=True).jobs) == ("mine", 1)
    assert (client.job(job).name, client.job(job).state) == ("", "cancelled")
    assert client.erase_content().jobs == 0


def test_the_asynchronous_client(service: Service, agent: Agent, folder: Path, tmp_path: Path) -> None:
    agent.sync()
    request = JobRequest(name="n", command=("true",), origin_zone="DE", length_s=1_800, deadline_s=3_600)

    async def everything() -> None:
        transport = httpx.ASGITransport(service.app)
        async with AsyncClient(URL, service.credentials["tenant_token"], transport=transport) as client:
            quote = await client.quote(request, folder=folder)
            assert quote.assignment is not None
            job = await client.submit(request, folder=folder)
            assert (await client.job(job)).name == "n"
            assert [text async for text in client.logs(job)] == []
            assert (await client.cancel(job)).state == "cancelled"
            assert (await client.wait(job)).state == "cancelled"
            with pytest.raises(NotFoundError):
                await client.fetch("j-none", tmp_path / "out")

    service.loop.run_until_complete(everything())


@pytest.fixture
def at_home(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients made without arguments reach the service under test."""
    monkeypatch.setenv("SUNWARD_URL", URL)
    monkeypatch.setenv("SUNWARD_TOKEN", service.credentials["tenant_token"])
    bridge, direct = Bridge(service), httpx.ASGITransport(service.app)
    monkeypatch.setattr(
        "sunward.client._sync.client.ApiClient", lambda url, token, **_more: ApiClient(url, token, transport=bridge)
    )
    monkeypatch.setattr(
        "sunward.client._async.client.AsyncApiClient",
        lambda url, token, **_more: AsyncApiClient(url, token, transport=direct),
    )
    monkeypatch.setattr(asyncio, "run", service.loop.run_until_complete)


@pytest.mark.usefixtures("at_home", "going_on", "folder")
def test_the_programs_of_the_documentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert len(programs) == 2
    for program in programs:
        exec(compile(program, "docs/sdk.md", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own page
    printed = capsys.readouterr().out
    assert "can read" in printed
    assert "step 40\n" in printed
    assert "is finished" in printed
    assert "results: ('model.txt',)" in printed
    assert "SW-104 " in printed
    assert printed.endswith("python3 step 40\n")
    assert (tmp_path / "results" / "model.txt").read_text() == "weights"
