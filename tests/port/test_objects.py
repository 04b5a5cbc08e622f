"""The conformance suite of the ObjectStore port: a local folder, another fsspec file system, and the twin."""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path

import pytest

from sunward.adapters.objects import FsObjectStore
from sunward.errors import InputError, NotFoundError, SourceError
from sunward.ports import ObjectStore
from sunward.sim.memory import MemoryObjectStore

MAX_BYTES = 3 << 20
ABSENT = "0" * 64


@pytest.fixture(params=["folder", "fsspec", "twin"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "twin":
        return MemoryObjectStore(MAX_BYTES)
    url = str(tmp_path / "objects") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"
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
