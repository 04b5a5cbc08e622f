"""Folders packed the same way every time, and archives that would write elsewhere refused whole."""

import io
import os
import tarfile

import pytest

from sunward.client.pack import pack, unpack
from sunward.errors import InputError
from tests.unit.cli.conftest import archive


def packed(folder, **limits):
    buffer = io.BytesIO()
    count = pack(folder, buffer, **limits)
    return buffer.getvalue(), count


def names(raw):
    with tarfile.open(fileobj=io.BytesIO(raw)) as found:
        return found.getnames()


def fill(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def header(name, kind=tarfile.REGTYPE, **more):
    entry = tarfile.TarInfo(name)
    entry.type = kind
    for key, value in more.items():
        setattr(entry, key, value)
    return entry


def test_equal_folders_give_equal_bytes(tmp_path):
    for folder, order in (("a", ("x.py", "data/b", "data/a")), ("b", ("data/a", "data/b", "x.py"))):
        (tmp_path / folder).mkdir()
        fill(tmp_path / folder, *order)
    os.utime(tmp_path / "a" / "x.py", (1, 1))
    first, count = packed(tmp_path / "a")
    assert first == packed(tmp_path / "b")[0]
    assert count == 3
    with tarfile.open(fileobj=io.BytesIO(first)) as found:
        assert found.getnames() == ["data/a", "data/b", "x.py"]
        assert {(each.mtime, each.uid, each.gid, each.uname) for each in found} == {(0, 0, 0, "")}


def test_what_is_ignored_stays_behind(tmp_path):
    fill(
        tmp_path,
        ".git/config",
        "a.py",
        "a.pyc",
        "keep.pyc",
        "out/x",
        "src/out/y",
        "src/tmp1",
        "top",
        "src/top",
        "d/e/f/g",
        "q[1]",
    )
    (tmp_path / ".gitignore").write_text("# comment\n*.pyc\n!keep.pyc\nout/\n/top\nd/**/g\n\n")
    (tmp_path / ".sunwardignore").write_text("tmp?\nq[[]1]\n.gitignore\n.sunwardignore\n")
    assert names(packed(tmp_path)[0]) == ["a.py", "keep.pyc", "src/top"]


def test_a_bad_pattern_a_link_and_a_missing_folder_are_named(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="link"):
        packed(tmp_path)
    (tmp_path / "link").unlink()
    (tmp_path / ".gitignore").write_text("[z-a]\n")
    with pytest.raises(InputError, match=r"\[z-a\]"):
        packed(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        packed(tmp_path / "absent")


def test_too_much_is_refused_with_the_way_out(tmp_path):
    fill(tmp_path, "a")
    with pytest.raises(InputError, match="sunwardignore") as caught:
        packed(tmp_path, limit_bytes=0)
    assert caught.value.code == "SW-615"


def test_there_and_back(tmp_path):
    (tmp_path / "in").mkdir()
    fill(tmp_path / "in", "run.sh", "a/b/c")
    (tmp_path / "in" / "run.sh").chmod(0o700)
    written = unpack(io.BytesIO(packed(tmp_path / "in")[0]), tmp_path / "out")
    assert written == ("a/b/c", "run.sh")
    assert (tmp_path / "out" / "a/b/c").read_text() == "a/b/c"
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert packed(tmp_path / "out")[0] == packed(tmp_path / "in")[0]


UNSAFE = {
    "absolute": [("/etc/evil", b"x")],
    "parent": [("a/../../evil", b"x")],
    "backslash": [("a\\evil", b"x")],
    "symbolic link": [header("a", tarfile.SYMTYPE, linkname="/etc/passwd")],
    "hard link": [("a", b"x"), header("b", tarfile.LNKTYPE, linkname="a")],
    "character device": [header("a", tarfile.CHRTYPE)],
    "block device": [header("a", tarfile.BLKTYPE)],
    "pipe": [header("a", tarfile.FIFOTYPE)],
    "sparse file": [header("a", tarfile.GNUTYPE_SPARSE)],
    "twice": [("a", b"x"), ("a", b"y")],
    "twice by another spelling": [("a", b"x"), ("./a", b"y")],
    "file and folder": [("a/b", b"x"), ("a", b"y")],
    "no name": [(".", b"x")],
}


@pytest.mark.parametrize("members", list(UNSAFE.values()), ids=list(UNSAFE))
def test_an_unsafe_archive_is_refused_before_a_byte_is_written(tmp_path, members):
    raw = archive(("good", b"1"), *members)
    with pytest.raises(InputError) as caught:
        unpack(io.BytesIO(raw), tmp_path / "out")
    assert caught.value.code == "SW-616"
    assert list(tmp_path.iterdir()) == []


def test_a_large_or_damaged_archive_and_a_folder_in_use_are_refused(tmp_path):
    with pytest.raises(InputError, match="larger"):
        unpack(io.BytesIO(archive(("a", b"12"))), tmp_path / "out", limit_bytes=1)
    with pytest.raises(InputError, match="damaged"):
        unpack(io.BytesIO(b"no archive at all" * 100), tmp_path / "out")
    fill(tmp_path / "busy", "mine")
    with pytest.raises(InputError, match="not empty") as caught:
        unpack(io.BytesIO(archive(("a", b"1"))), tmp_path / "busy")
    assert caught.value.code == "SW-617"
    assert (tmp_path / "busy" / "mine").read_text() == "mine"


def test_ignore_files_further_down_decide_and_sunwardignore_beats_gitignore(tmp_path):
    fill(tmp_path, "a.log", "b.log", "sub/a.log", "sub/keep.log", "sub/deep/a.log", "sub/deep/out/x", "other/keep.log")
    (tmp_path / ".gitignore").write_text("*.log\n.gitignore\n.sunwardignore\n")
    (tmp_path / ".sunwardignore").write_text("!b.log\n")
    (tmp_path / "sub" / ".gitignore").write_text("!keep.log\n/deep/out\n")
    (tmp_path / "sub" / "deep" / ".sunwardignore").write_text("!a.log\n")
    assert names(packed(tmp_path)[0]) == ["b.log", "sub/deep/a.log", "sub/keep.log"]
