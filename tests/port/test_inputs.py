"""Inputs as an agent fetches them: from the control plane and the web; verified, kept, and nowhere else."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sunward.errors import InputError, SourceError
from sunward.model.wire import InputFile
from tests.unit.agent.fakes import FakePlane, inputs

DATA = b"some data\n" * 1_000
DIGEST = hashlib.sha256(DATA).hexdigest()


class Web:
    """A server that answers what a path says, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked.append(self.path)
                name, _, rest = self.path.removeprefix("/").partition("/")
                self.send_response(int(name) if name.isdigit() else 200)
                if rest:
                    self.send_header("location", f"/{rest}" if "://" not in rest else rest)
                self.end_headers()
                self.wfile.write(DATA)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def file(path: str = "in/data", url: str = "", sha256: str = DIGEST) -> InputFile:
    return InputFile(path=path, sha256=sha256, url=url)


def test_a_file_is_fetched_once_and_copied_for_each_attempt(web: Web, tmp_path: Path, work: Path) -> None:
    made = inputs(FakePlane(), tmp_path)
    made.place((file(url=f"{web.url}/data"), file("again", f"{web.url}/data")), {}, work, "lease-1")
    (work / "in" / "data").write_bytes(b"changed by the job")
    made.place((file(url=f"{web.url}/302/data"),), {}, work, "lease-2")
    assert (work / "in" / "data").read_bytes() == (work / "again").read_bytes() == DATA
    assert web.asked == ["/data"]


def test_a_redirect_is_followed(web: Web, tmp_path: Path, work: Path) -> None:
    inputs(FakePlane(), tmp_path).place((file(url=f"{web.url}/302/data"),), {}, work, "lease-1")
    assert (work / "in" / "data").read_bytes() == DATA
    assert web.asked == ["/302/data", "/data"]


def test_an_own_object_comes_from_the_control_plane(tmp_path: Path, work: Path) -> None:
    plane = FakePlane()
    plane.objects[DIGEST] = DATA
    inputs(plane, tmp_path).place((file(),), {}, work, "lease-1")
    assert (work / "in" / "data").read_bytes() == DATA


@pytest.mark.parametrize(
    ("path", "code"),
    [("404", "SW-520"), ("302/302/302/302/302/302/302/data", "SW-520"), ("302/ftp://x/", "SW-520")],
)
def test_what_is_not_there_is_told(web: Web, tmp_path: Path, work: Path, path: str, code: str) -> None:
    with pytest.raises(InputError) as refused:
        inputs(FakePlane(), tmp_path).place((file(url=f"{web.url}/{path}"),), {}, work, "lease-1")
    assert refused.value.code == code
    assert list((tmp_path / "inputs").iterdir()) == []


def test_a_source_that_fails_is_tried_again_and_then_given_up(web: Web, tmp_path: Path, work: Path) -> None:
    with pytest.raises(SourceError) as failed:
        inputs(FakePlane(), tmp_path).place((file(url=f"{web.url}/503"),), {}, work, "lease-1")
    assert (failed.value.transient, failed.value.code, len(web.asked)) == (False, "SW-520", 2)
    assert failed.value.message == "input in/data: its address answered 503"


def test_other_content_and_too_much_of_it_are_refused(web: Web, tmp_path: Path, work: Path) -> None:
    for changes, sha256, code in (({}, "0" * 64, "SW-522"), ({"bytes_max": 100}, DIGEST, "SW-527")):
        made = inputs(FakePlane(), tmp_path, **changes)
        with pytest.raises(InputError) as refused:
            made.place((file(url=f"{web.url}/data", sha256=sha256),), {}, work, "lease-1")
        assert refused.value.code == code
    assert list(work.rglob("*")) == []


@pytest.mark.parametrize("allowed", [True, False])
def test_private_addresses_are_the_providers_to_allow(web: Web, tmp_path: Path, work: Path, *, allowed: bool) -> None:
    made = inputs(FakePlane(), tmp_path, allow_private=allowed)
    if allowed:
        made.place((file(url=f"{web.url}/data"),), {}, work, "lease-1")
        return
    for url in (f"{web.url}/data", f"{web.url.replace('http', 'https')}/data", "https://localhost/data"):
        with pytest.raises(InputError) as refused:
            made.place((file(url=url),), {}, work, "lease-1")
        assert refused.value.code == "SW-521"
    with pytest.raises(InputError) as refused:
        made.place((file(url="s3://bucket/data"),), {"AWS_ENDPOINT_URL": "https://10.0.0.1/"}, work, "lease-1")
    assert refused.value.code == "SW-521"
    assert web.asked == []


@pytest.mark.parametrize("path", ["link/data", "../data", "loop/data", "folder", "."])
def test_nothing_lands_outside_the_working_folder(tmp_path: Path, work: Path, path: str) -> None:
    plane = FakePlane()
    plane.objects[DIGEST] = DATA
    (tmp_path / "outside").mkdir()
    (work / "link").symlink_to(tmp_path / "outside")
    (work / "folder").mkdir()
    (work / "loop").symlink_to("..")
    with pytest.raises(InputError) as refused:
        inputs(plane, tmp_path).place((file(path),), {}, work, "lease-1")
    assert refused.value.code == "SW-526"
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_the_place_of_an_input_is_replaced_not_followed(tmp_path: Path, work: Path) -> None:
    plane = FakePlane()
    plane.objects[DIGEST] = DATA
    (work / "real").write_bytes(b"of the bundle")
    (work / "data").symlink_to("real")
    inputs(plane, tmp_path).place((file("data"),), {}, work, "lease-1")
    assert ((work / "data").is_symlink(), (work / "real").read_bytes()) == (False, b"of the bundle")
