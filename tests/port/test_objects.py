"""The conformance suite of the ObjectStore port: a local folder, a bucket of S3, memory by fsspec, and the twin."""

from __future__ import annotations

import hashlib
import io
import sys
import uuid
from pathlib import Path

import pytest
from fsspec.registry import _registry

from sunward.adapters.objects import PART_BYTES, FsObjectStore
from sunward.errors import InputError, NotFoundError, SourceError
from sunward.ports import ObjectStore
from sunward.sim.memory import MemoryObjectStore
from tests.support.s3_server import S3Server, running

MAX_BYTES = 3 << 20
ABSENT = "0" * 64


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and the variables by which a service finds it."""
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    return s3_server.new_bucket()


@pytest.fixture(params=["folder", "s3", "memory", "twin"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "folder":
            url = str(tmp_path / "objects")
        case "s3":
            url = f"s3://{request.getfixturevalue('bucket')}/some/prefix"
        case "memory":
            url = f"memory://{uuid.uuid4().hex}"
        case _:
            return MemoryObjectStore(MAX_BYTES)
    return FsObjectStore(url, MAX_BYTES)


@pytest.mark.parametrize("raw", [b"", b"one", b"\x00\xff" * (1 << 20)])
def test_returns_what_was_stored(objects: ObjectStore, raw: bytes) -> None:
    digest = objects.put(io.BytesIO(raw))
    assert digest == hashlib.sha256(raw).hexdigest()
    assert objects.has(digest)
    with objects.open(digest) as file:
        assert file.read() == raw


def test_storing_twice_is_storing_once(objects: ObjectStore) -> None:
    digest = objects.put(io.BytesIO(b"same"))
    assert objects.put(io.BytesIO(b"same")) == digest
    objects.remove([digest])
    assert not objects.has(digest)


def test_removes_only_what_is_named(objects: ObjectStore) -> None:
    kept, gone = objects.put(io.BytesIO(b"kept")), objects.put(io.BytesIO(b"gone"))
    objects.remove([gone, ABSENT])
    assert objects.has(kept)
    with pytest.raises(NotFoundError):
        objects.open(gone)


@pytest.mark.parametrize("name", [ABSENT, "", "../../etc/passwd", "A" * 64, "incoming"])
def test_refuses_unknown_names(objects: ObjectStore, name: str) -> None:
    assert not objects.has(name)
    with pytest.raises(NotFoundError):
        objects.open(name)
    objects.remove([name])


def test_the_cap_is_the_last_size_taken(objects: ObjectStore) -> None:
    assert objects.has(objects.put(io.BytesIO(bytes(MAX_BYTES))))
    too_large = bytes(MAX_BYTES + 1)
    with pytest.raises(InputError, match="at most"):
        objects.put(io.BytesIO(too_large))
    assert not objects.has(hashlib.sha256(too_large).hexdigest())


def test_a_refused_object_leaves_nothing_behind(tmp_path: Path) -> None:
    objects = FsObjectStore(str(tmp_path), max_bytes=2)
    with pytest.raises(InputError):
        objects.put(io.BytesIO(b"three"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_damage_is_seen_before_a_byte_is_read_and_healed_by_a_copy(tmp_path: Path) -> None:
    objects = FsObjectStore(str(tmp_path))
    digest = objects.put(io.BytesIO(b"content"))
    (stored,) = (path for path in tmp_path.rglob("*") if path.is_file())
    stored.write_bytes(b"c0ntent")
    with pytest.raises(SourceError, match="damaged") as caught:
        objects.open(digest)
    assert not caught.value.transient
    objects.put(io.BytesIO(b"content"))
    with objects.open(digest) as file:
        assert file.read() == b"content"


def test_a_file_in_the_way_is_the_callers_to_move(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="object store"):
        FsObjectStore(str(tmp_path / "file"))


def test_an_unknown_file_system_is_named() -> None:
    with pytest.raises(InputError, match="object store"):
        FsObjectStore("nowhere://bucket")


def stored(server: S3Server, bucket: str) -> list[str]:
    return [one["Key"] for one in server.client.list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_a_bucket_holds_nothing_but_whole_objects_under_the_prefix(s3_server: S3Server, bucket: str) -> None:
    objects = FsObjectStore(f"s3://{bucket}/prefix", max_bytes=2)
    with pytest.raises(InputError, match="at most"):
        objects.put(io.BytesIO(b"three"))
    digest = objects.put(io.BytesIO(b"tw"))
    assert stored(s3_server, bucket) == [f"prefix/{digest[:2]}/{digest[2:]}"]


def test_what_another_process_stored_or_removed_is_seen(bucket: str) -> None:
    one, other = FsObjectStore(f"s3://{bucket}"), FsObjectStore(f"s3://{bucket}")
    digest = one.put(io.BytesIO(b"shared"))
    assert other.has(digest)
    other.remove([digest])
    assert not one.has(digest)
    with pytest.raises(NotFoundError):
        one.open(digest)


def test_a_large_object_goes_in_parts_and_comes_back(bucket: str) -> None:
    objects = FsObjectStore(f"s3://{bucket}")
    raw = bytes(range(256)) * (PART_BYTES * 2 // 256 + 1)
    with objects.open(objects.put(io.BytesIO(raw))) as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(raw).digest()


def test_damage_in_a_bucket_is_seen_before_a_byte_is_read(s3_server: S3Server, bucket: str) -> None:
    objects = FsObjectStore(f"s3://{bucket}")
    digest = objects.put(io.BytesIO(b"content"))
    s3_server.put(bucket, f"{digest[:2]}/{digest[2:]}", b"c0ntent")
    with pytest.raises(SourceError, match="damaged") as caught:
        objects.open(digest)
    assert not caught.value.transient


@pytest.mark.parametrize("wrong", ["key", "secret", "bucket"])
def test_a_bucket_that_cannot_be_written_is_refused_at_once(
    bucket: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong != "bucket":
        monkeypatch.setenv({"key": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY"}[wrong], "AKIAWRONG")
    with pytest.raises(InputError, match="cannot write to object store s3://") as refused:
        FsObjectStore(f"s3://{bucket if wrong != 'bucket' else 'no-such-bucket'}/prefix")
    assert (refused.value.code, "\n" in refused.value.message) == ("SW-698", False)


def test_a_store_without_keys_is_refused(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SourceError, match="cannot be used"):
        FsObjectStore(f"s3://{bucket}")


def test_a_server_that_goes_away_is_told_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(guarded=False) as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{server.new_bucket()}"
        objects = FsObjectStore(url)
        objects.put(io.BytesIO(b"content"))
    for ask in (lambda: objects.put(io.BytesIO(b"content")), lambda: FsObjectStore(url)):
        with pytest.raises(SourceError, match="object store") as failed:
            ask()
        assert (failed.value.transient, failed.value.code) == (True, "SW-211")
    with running(server.port, guarded=False) as server:
        server.client.create_bucket(Bucket=url.removeprefix("s3://"))
        with objects.open(objects.put(io.BytesIO(b"content"))) as file:
            assert file.read() == b"content"


def test_the_driver_is_named_where_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for protocol in ("s3", "s3a"):
        monkeypatch.delitem(_registry, protocol, raising=False)
    with pytest.raises(InputError, match=r"pip install 'sunward\[s3\]'") as refused:
        FsObjectStore("s3://bucket")
    assert refused.value.code == "SW-697"
