"""A service whose stored files lie in a bucket: by the API as ever, and never without it by mistake."""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path

import pytest

from sunward.errors import InputError
from sunward.service.bootstrap import OBJECTS_ADDRESS, build_control
from tests.api.harness import FEEDS, Service
from tests.support.s3_server import S3Server, running, s3_server

__all__ = ["s3_server"]
RAW = b"a working folder" * 1_000


def test_what_a_tenant_sends_lies_in_the_bucket_and_comes_back(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    bucket = s3_server.new_bucket()
    build_control(tmp_path, feeds=FEEDS, objects_url=f"s3://{bucket}/files").store.close()
    service = Service(tmp_path)
    digest = service.ok("PUT", "/v1/objects", content=RAW)["digest"]
    assert digest == hashlib.sha256(RAW).hexdigest()
    assert service.ask("GET", f"/v1/objects/{digest}").content == RAW
    keys = [one["Key"] for one in s3_server.client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"files/{digest[:2]}/{digest[2:]}"]
    assert not (tmp_path / "objects").exists()
    service.close()


def test_a_bucket_that_is_away_is_a_fault_of_the_outside_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(guarded=False) as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        (tmp_path / OBJECTS_ADDRESS).write_text(f"s3://{server.new_bucket()}\n")
        service = Service(tmp_path)
    response = service.ask("PUT", "/v1/objects", content=RAW)
    assert (response.status_code, response.json()["code"]) == (503, "SW-211")
    service.close()


def test_a_home_remembers_where_its_objects_lie(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    control = build_control(tmp_path, feeds=FEEDS, objects_url=url)
    digest = control.objects.put(io.BytesIO(RAW))
    control.store.close()
    control = build_control(tmp_path, feeds=FEEDS)
    assert control.objects.has(digest)
    control.store.close()
    with pytest.raises(InputError, match="lie at memory://") as refused:
        build_control(tmp_path, feeds=FEEDS, objects_url=f"{url}/other")
    assert refused.value.code == "SW-699"


def test_objects_in_the_folder_are_not_left_behind(tmp_path: Path) -> None:
    control = build_control(tmp_path, feeds=FEEDS)
    control.objects.put(io.BytesIO(RAW))
    control.store.close()
    with pytest.raises(InputError, match="holds objects") as refused:
        build_control(tmp_path, feeds=FEEDS, objects_url="memory://bucket")
    assert refused.value.code == "SW-699"
    assert not (tmp_path / OBJECTS_ADDRESS).exists()
