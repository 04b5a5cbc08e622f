"""Inputs of jobs in S3: read with the job's own keys from a server that checks them, and told where that fails."""

from __future__ import annotations

import hashlib
import logging
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from sunward.agent import s3
from sunward.errors import InputError, SourceError, SunwardError
from sunward.model.wire import InputFile
from tests.support.s3_server import S3Server, running
from tests.unit.agent.fakes import FakePlane, courier, inputs, order

DATA = b"some data\n" * 1_000
DIGEST = hashlib.sha256(DATA).hexdigest()
ANYWHERE = InputFile(path="in/data", sha256=DIGEST, url="s3://bucket/data")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def stored(s3_server: S3Server) -> InputFile:
    """An object that only those with keys may read, under a name that needs care."""
    url = s3_server.put(s3_server.new_bucket(), "a folder/x=1&y+%41~.bin", DATA)
    return InputFile(path="in/data", sha256=DIGEST, url=url)


def refused(one: InputFile, env: dict[str, str], tmp_path: Path, work: Path) -> SunwardError:
    with pytest.raises(SunwardError) as told:
        inputs(FakePlane(), tmp_path).place((one,), env, work, "lease-1")
    assert list(work.rglob("*")) == []
    assert list((tmp_path / "inputs").iterdir()) == []
    for value in (env.get("AWS_SECRET_ACCESS_KEY"), env.get("AWS_ACCESS_KEY_ID")):
        assert not value or value not in told.value.message
    assert "\n" not in told.value.message
    return told.value


def test_an_object_is_read_with_the_keys_of_the_job(
    s3_server: S3Server, stored: InputFile, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # The provider's own: never used.
    inputs(FakePlane(), tmp_path).place((stored,), s3_server.env, work, "lease-1")
    assert (work / "in" / "data").read_bytes() == DATA


def test_what_is_stored_counts_whatever_the_store_says_of_its_packing(
    s3_server: S3Server, tmp_path: Path, work: Path
) -> None:
    url = s3_server.put(s3_server.new_bucket(), "data", DATA, ContentEncoding="gzip")
    one = InputFile(path="data", sha256=DIGEST, url=url)
    inputs(FakePlane(), tmp_path).place((one,), s3_server.env, work, "lease-1")
    assert (work / "data").read_bytes() == DATA


@pytest.mark.parametrize("changed", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_keys_are_told_and_not_tried_again(
    s3_server: S3Server, stored: InputFile, tmp_path: Path, work: Path, changed: str
) -> None:
    told = refused(stored, s3_server.env | {changed: "AKIAOFNOBODY"}, tmp_path, work)
    assert (type(told), told.code) == (InputError, "SW-695")
    assert told.message.startswith("input in/data is not for these keys")


def test_half_a_pair_of_keys_and_none_are_told(
    s3_server: S3Server, stored: InputFile, tmp_path: Path, work: Path
) -> None:
    for missing in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        env = {name: value for name, value in s3_server.env.items() if name != missing}
        told = refused(stored, env, tmp_path, work)
        assert (told.code, "go together" in told.message) == ("SW-695", True)
    told = refused(stored, {"AWS_ENDPOINT_URL": s3_server.url}, tmp_path, work)
    assert (told.code, "is not for everybody" in told.message) == ("SW-695", True)


@pytest.mark.parametrize("missing", ["key", "bucket"])
def test_what_is_not_there_is_told(
    s3_server: S3Server, stored: InputFile, tmp_path: Path, work: Path, missing: str
) -> None:
    url = "s3://no-such-bucket/data" if missing == "bucket" else f"{stored.url}.not"
    told = refused(InputFile(path="in/data", sha256=DIGEST, url=url), s3_server.env, tmp_path, work)
    assert (type(told), told.code) == (InputError, "SW-696")


def test_an_object_that_changed_since_it_was_named_is_refused(
    s3_server: S3Server, stored: InputFile, tmp_path: Path, work: Path
) -> None:
    bucket, _, key = stored.url.removeprefix("s3://").partition("/")
    s3_server.put(bucket, key, DATA + b"more")
    told = refused(stored, s3_server.env, tmp_path, work)
    assert (told.code, "not the one named" in told.message) == ("SW-522", True)


def test_everybodys_objects_need_no_keys_and_no_driver(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with running(guarded=False) as server:
        url = server.put(server.new_bucket(), "data", DATA, ACL="public-read")
        one = InputFile(path="data", sha256=DIGEST, url=url)
        env = {"AWS_ENDPOINT_URL_S3": server.url, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        inputs(FakePlane(), tmp_path).place((one,), env, work, "lease-1")
        assert (work / "data").read_bytes() == DATA
        told = refused(one, server.env, tmp_path / "other", tmp_path / "none")
        assert (told.code, "sunward[s3]" in told.message) == ("SW-523", True)
    # Now it is away: tried again, then given up, and the control plane is told that it is not the job's fault.
    told = refused(one, env, tmp_path / "again", tmp_path / "none")
    assert (type(told), told.code) == (SourceError, "SW-520")
    assert told.message.startswith("input data: its address cannot be reached")


def test_secrets_of_a_job_open_its_store_and_lie_nowhere(
    s3_server: S3Server, stored: InputFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    plane = FakePlane()
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    plane.secrets = {name: s3_server.env[name] for name in names}
    plane.content = replace(plane.content, inputs=(stored,), env={"AWS_ENDPOINT_URL": s3_server.url})
    prepared = courier(plane, tmp_path).prepare(order(), tmp_path / "lease")
    assert (tmp_path / "lease" / "work" / "in" / "data").read_bytes() == DATA
    secret = s3_server.env["AWS_SECRET_ACCESS_KEY"]
    assert secret not in repr(prepared)
    assert secret not in caplog.text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert all(secret.encode() not in path.read_bytes() for path in files)


class Elsewhere(httpx.MockTransport):
    """Stores that say where a bucket lies, as Amazon's do."""

    def __init__(self, status: int, region: str) -> None:
        self.asked: list[httpx.Request] = []
        self.status, self.region = status, region
        super().__init__(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if f"/{self.region}/s3/" in request.headers.get("authorization", ""):
            return httpx.Response(200, content=DATA)
        return httpx.Response(self.status, headers={"x-amz-bucket-region": self.region}, content=iter([b""]))


@pytest.mark.parametrize("status", [301, 400, 403])
def test_a_bucket_elsewhere_is_asked_where_it_says_it_is(status: int) -> None:
    transport = Elsewhere(status, "eu-north-1")
    account = s3.account_of({"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, allow_private=False)
    with httpx.Client(transport=transport) as client, s3.opened(client, ANYWHERE, account) as response:
        assert response.read() == DATA
    assert [str(one.url) for one in transport.asked] == [
        "https://s3.us-east-1.amazonaws.com/bucket/data",
        "https://s3.eu-north-1.amazonaws.com/bucket/data",
    ]


def test_a_region_that_is_none_is_not_followed() -> None:
    transport = Elsewhere(403, "evil.example/")
    account = s3.account_of({"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, allow_private=False)
    with (
        httpx.Client(transport=transport) as client,
        pytest.raises(InputError, match="not for these keys"),
        s3.opened(client, ANYWHERE, account),
    ):
        raise AssertionError
    assert len(transport.asked) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "SlowDown", SourceError),
        (307, "TemporaryRedirect", SourceError),
        (403, "RequestTimeTooSkewed", SourceError),
        (400, "ExpiredToken", InputError),
        (400, "InvalidArgument", InputError),
        (404, "", InputError),
    ],
)
def test_faults_are_told_by_their_name_alone(status: int, code: str, kind: type[SunwardError]) -> None:
    body = f"<Error><Code>{code}</Code><Message>key AKIAOFTHEJOB is no good</Message></Error>"
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, content=iter([body.encode()])))
    account = s3.account_of({"AWS_ACCESS_KEY_ID": "AKIAOFTHEJOB", "AWS_SECRET_ACCESS_KEY": "s"}, allow_private=False)
    with (
        httpx.Client(transport=transport) as client,
        pytest.raises(kind, match=f"{status} {code}".strip()) as told,
        s3.opened(client, ANYWHERE, account),
    ):
        raise AssertionError
    assert "AKIA" not in told.value.message


@pytest.mark.parametrize(
    ("env", "code"),
    [({"AWS_ENDPOINT_URL": "http://store.example"}, "SW-521"), ({"AWS_ENDPOINT_URL": "https://127.0.0.1"}, "SW-521"),
     ({"AWS_ENDPOINT_URL_S3": "https://u:p@store.example"}, "SW-521"), ({"AWS_REGION": "a/b"}, "SW-695")],
)  # fmt: skip
def test_places_that_are_none_are_refused_before_anybody_is_asked(env: dict[str, str], code: str) -> None:
    with pytest.raises(InputError) as told:
        s3.account_of(env, allow_private=False)
    assert told.value.code == code
