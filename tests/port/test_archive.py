from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from sunward.agent.archive import is_empty, pack, unpack
from sunward.errors import InputError


def tree(folder: Path, *, late: bool) -> Path:
    folder.mkdir()
    names = ["b/x", "a", "b/y"]
    for name in reversed(names) if late else names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        os.utime(path, (1, 1) if late else (2, 2))
    (folder / "a").chmod(0o755)
    (folder / "latest").symlink_to("b/x")
    os.mkfifo(folder / "pipe")
    return folder


def test_equal_content_gives_equal_bytes_and_comes_back(tmp_path: Path) -> None:
    for name, late in (("one", False), ("two", True)):
        pack(tree(tmp_path / name, late=late), tmp_path / f"{name}.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    unpack(tmp_path / "one.tar", tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back").rglob("*")) == ["a", "b", "latest", "x", "y"]
    assert (tmp_path / "back" / "latest").read_text() == "b/x"
    assert os.access(tmp_path / "back" / "a", os.X_OK)


def test_links_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "stolen").symlink_to(tmp_path / "secret")
    (folder / "all").symlink_to(tmp_path)
    pack(folder, tmp_path / "with.tar")
    assert b"s3cret" not in (tmp_path / "with.tar").read_bytes()
    pack(folder, tmp_path / "without.tar", links=False)
    with tarfile.open(tmp_path / "without.tar") as archive:
        assert archive.getnames() == []


@pytest.mark.parametrize("name", ["../outside", "/etc/outside"])
def test_an_entry_that_leads_outside_is_refused_or_stays_inside(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    folder = tmp_path / "deep" / "folder"
    if name.startswith("/"):
        unpack(tmp_path / "bad.tar", folder)
        assert (folder / "etc" / "outside").exists()
    else:
        with pytest.raises(InputError, match="cannot unpack"):
            unpack(tmp_path / "bad.tar", folder)
    assert not (tmp_path / "deep" / "outside").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"not a tar")
    with pytest.raises(InputError, match="cannot unpack"):
        unpack(tmp_path / "noise", tmp_path / "out")


def test_empty_folders_are_known(tmp_path: Path) -> None:
    assert is_empty(tmp_path)
    assert is_empty(tmp_path / "absent")
    (tmp_path / "x").touch()
    assert not is_empty(tmp_path)
