"""What the client does beyond one request: credentials, folders, waiting, following, bearing with failures."""

import asyncio
import json

import httpx
import pytest

import sunward
from sunward.client import AsyncClient, Client
from sunward.client.pack import digest_of, pack_file
from sunward.errors import ConflictError, InputError, NotFoundError, SourceError
from tests.unit.cli.conftest import JOB, REFUSED_QUOTE, answer, job_view, log_part, problem, whole_service

STEP = ["python3", "step.py"]
ASKED = {"origin_zone": "DE", "length_s": 60, "deadline_s": 600}


def late():
    return problem(503, "SW-210", "the database failed")


@pytest.fixture
def service():
    return whole_service()


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No credentials but those of the test, and no real waiting."""
    for name in ("SUNWARD_URL", "SUNWARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUNWARD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sunward.client._sync.client.POLL_S", 0.0)
    monkeypatch.setattr("sunward.client._async.client.POLL_S", 0.0)


@pytest.fixture
def client(service):
    with Client("http://service.test", "secret", transport=httpx.MockTransport(service)) as made:
        yield made


def test_the_way_in_is_loaded_by_name():
    assert sunward.Client is Client
    assert sunward.AsyncClient is AsyncClient
    assert all(getattr(sunward, name) for name in sunward.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sunward.nonsense


def test_credentials_come_from_arguments_then_the_environment_then_the_home_folder(service, tmp_path, monkeypatch):
    def shown(**given):
        with Client(transport=httpx.MockTransport(service), **given) as client:
            client.account()
        return service.requests[-1].url.host, service.requests[-1].headers.get("Authorization")

    with pytest.raises(SourceError) as caught:
        Client()
    assert caught.value.code == "SW-640"
    for folder, host in (("home", "kept.test"), ("other", "other.test")):
        (tmp_path / folder).mkdir()
        kept = {"url": f"http://{host}", "tenant_token": f"of-{folder}"}
        (tmp_path / folder / "credentials.json").write_text(json.dumps(kept))
    assert shown() == ("kept.test", "Bearer of-home")
    assert shown(home=tmp_path / "other") == ("other.test", "Bearer of-other")
    monkeypatch.setenv("SUNWARD_URL", "http://named.test")
    assert shown() == ("named.test", None)
    monkeypatch.setenv("SUNWARD_TOKEN", "own")
    assert shown() == ("named.test", "Bearer own")
    assert shown(url="http://given.test", token="mine") == ("given.test", "Bearer mine")


def test_a_folder_is_packed_stored_and_named(client, service, tmp_path):
    (tmp_path / "work").mkdir()
    for name in ("step.py", "big.bin", ".sunwardignore"):
        (tmp_path / "work" / name).write_text("*.bin\n")
    size = pack_file(tmp_path / "work", tmp_path / "same.tar")
    assert client.submit(STEP, folder=tmp_path / "work", key="night-7", **ASKED).job == JOB
    stored = next(each for each in service.requests if each.method == "PUT")
    assert stored.content == (tmp_path / "same.tar").read_bytes()
    assert b"big.bin" not in stored.content
    sent = service.sent("POST", "/v1/jobs")
    assert (sent["command"], sent["bundle"], sent["data_bytes"]) == (STEP, "d" * 64, size)
    assert service.requests[-1].headers["Idempotency-Key"] == "night-7"


def test_a_folder_that_is_stored_already_is_not_sent_again(client, service, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "step.py").write_text("pass")
    pack_file(tmp_path / "work", tmp_path / "same.tar")
    digest = digest_of(tmp_path / "same.tar")
    service.answers[f"HEAD /v1/objects/{digest}"] = answer(b"")
    client.submit(STEP, folder=tmp_path / "work", **ASKED)
    assert [each.method for each in service.requests] == ["HEAD", "POST"]
    assert service.sent("POST", "/v1/jobs")["bundle"] == digest


def test_a_quote_sends_no_files_and_no_secrets(client, service, tmp_path):
    (tmp_path / "step.py").write_text("pass")
    service.answers["POST /v1/quotes"] = answer(REFUSED_QUOTE)
    assert client.quote(STEP, folder=tmp_path, secrets={"KEY": "hidden"}, **ASKED).unplaced.reason == "gpus"
    assert [each.method for each in service.requests] == ["POST"]
    sent = service.sent("POST", "/v1/quotes")
    assert sent["data_bytes"] > 0
    assert sent["secrets"] == {}


def test_waiting_bears_with_a_service_that_fails_for_a_moment(client, service):
    states = [answer(job_view()), httpx.ConnectError("refused"), late(), answer(job_view(state="failed"))]
    service.answers[f"GET /v1/jobs/{JOB}"] = states
    assert client.wait(client.submit(STEP, **ASKED)).state == "failed"


def test_waiting_ends_in_time_and_the_job_goes_on(client, service):
    with pytest.raises(SourceError, match="goes on") as caught:
        client.wait(JOB, timeout_s=0)
    assert (caught.value.code, caught.value.transient) == ("SW-650", True)


def test_a_service_that_stays_away_is_not_waited_for(client, service, monkeypatch):
    monkeypatch.setattr("sunward.client.waiting.PATIENCE_S", -1.0)
    service.answers[f"GET /v1/jobs/{JOB}"] = httpx.ConnectError("refused")
    with pytest.raises(SourceError, match="refused"):
        client.wait(JOB)
    service.answers["GET /v1/jobs/j-none"] = problem(404, "SW-104", "there is no job")
    with pytest.raises(NotFoundError) as caught:
        client.wait("j-none")
    assert caught.value.code == "SW-104"


def test_logs_are_followed_to_their_end_and_letters_are_whole(client, service):
    raw = "a–b".encode()
    parts = [
        log_part(raw[:2], 2, final=False),
        late(),
        log_part(b"", 2, final=False),
        log_part(raw[2:], 5, final=True),
        log_part(b"", 5, final=True),
    ]
    service.answers[f"GET /v1/jobs/{JOB}/logs"] = list(parts)
    assert "".join(client.logs(JOB, follow=True)) == "a–b"
    service.answers[f"GET /v1/jobs/{JOB}/logs"] = [parts[0], parts[2]]
    assert "".join(client.logs(JOB)) == "a\N{REPLACEMENT CHARACTER}"


def test_a_receipt_is_waited_for_if_asked(client, service):
    there = service.answers[f"GET /v1/jobs/{JOB}/receipt"]
    missing = [problem(409, code, "no receipt yet") for code in ("SW-155", "SW-156")]
    service.answers[f"GET /v1/jobs/{JOB}/receipt"] = [*missing, there]
    assert client.receipt(JOB, timeout_s=60).final
    service.answers[f"GET /v1/jobs/{JOB}/receipt"] = missing[1]
    with pytest.raises(ConflictError):
        client.receipt(JOB)


def test_results_are_fetched_into_a_new_folder_only(client, tmp_path):
    assert client.fetch(JOB, tmp_path / "out") == ("model/w.bin", "log.txt")
    assert (tmp_path / "out" / "model" / "w.bin").read_bytes() == b"weights"
    with pytest.raises(InputError, match="not empty"):
        client.fetch(JOB, str(tmp_path / "out"))


def test_the_asynchronous_client_does_the_same(service, tmp_path):
    service.answers[f"GET /v1/jobs/{JOB}"] = [late(), answer(job_view()), answer(job_view(state="finished"))]
    service.answers["GET /v1/jobs/j-none"] = problem(404, "SW-104", "there is no job")
    (tmp_path / "step.py").write_text("pass")

    async def everything():
        transport = httpx.MockTransport(service)
        async with AsyncClient("http://service.test", "secret", transport=transport) as client:
            await client.quote(STEP, **ASKED)
            job = await client.submit(STEP, folder=tmp_path, **ASKED)
            assert (await client.wait(job, timeout_s=60)).state == "finished"
            assert "".join([text async for text in client.logs(job, follow=True)]) == "one\n"
            assert len(await client.jobs()) == 2
            assert len(await client.history(job)) == 2
            assert (await client.cancel(job)).state == "cancelled"
            assert (await client.receipt(job)).final
            assert (await client.bundle(job)).startswith(b"{")
            assert await client.fetch(job, tmp_path / "out")
            with pytest.raises(NotFoundError):
                await client.job("j-none")
            assert len([each async for each in client.api.whole_journal()]) > 2

    asyncio.run(everything())
    put = next(each for each in service.requests if each.method == "PUT")
    assert int(put.headers["Content-Length"]) == len(put.content) > 0
