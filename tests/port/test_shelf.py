"""What is kept for later attempts: made once, whole, and dropped when room is short and nobody uses it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sunward.agent.shelf import Shelf


class Maker:
    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.made: list[str] = []

    def __call__(self, path: Path) -> None:
        self.made.append(path.name)
        path.mkdir()
        (path / "content").write_bytes(b"x" * self.size)
        (path / "link").symlink_to("/dev/zero")


def kept(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_dir()}


def test_a_thing_is_made_once_by_many_at_the_same_time(tmp_path: Path) -> None:
    shelf, maker = Shelf(tmp_path, 100), Maker()
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda user: shelf.use("a", f"lease-{user}", maker), range(20)))
    assert (paths, maker.made) == ({tmp_path / "a"}, ["a"])
    assert Shelf(tmp_path, 100).use("a", "later", maker) == tmp_path / "a"
    assert maker.made == ["a"]


def test_what_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "half").touch()
    Shelf(tmp_path, 100).use("a", "lease", Maker())
    assert not (tmp_path / "a" / "half").exists()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        Maker()(path)
        raise OSError("no room")

    shelf = Shelf(tmp_path, 100)
    with pytest.raises(OSError, match="no room"):
        shelf.use("a", "lease", fail)
    assert list(tmp_path.iterdir()) == []
    shelf.use("a", "lease", Maker())


def test_the_one_used_longest_ago_goes_first_but_none_in_use(tmp_path: Path) -> None:
    shelf, maker = Shelf(tmp_path, 25), Maker()
    for number, name in enumerate("abc"):
        shelf.use(name, f"lease-{name}", maker)
        os.utime(tmp_path / f"{name}.ready", ns=(number, number))
    assert kept(tmp_path) == {"a", "b", "c"}
    shelf.release("lease-b")
    assert kept(tmp_path) == {"a", "c"}
    shelf.release("lease-a")
    shelf.release("lease-c")
    assert kept(tmp_path) == {"a", "c"}
    shelf.use("d", "lease-d", maker)
    assert kept(tmp_path) == {"c", "d"}
