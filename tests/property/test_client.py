"""What a client sends depends on what is asked alone: not on the order of files, and on each combination once."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.client.jobfile import JobFile
from sunward.client.pack import pack, unpack
from sunward.client.prepare import for_member, gather, members, request_of

STEADY = settings(deadline=None, max_examples=40)
"""A loaded machine is no failure."""
WORDS = st.text("ab.- é", min_size=1, max_size=5).filter(lambda word: word not in {".", ".."} and word == word.strip())
FOLDERS = st.dictionaries(
    st.lists(WORDS, min_size=1, max_size=3).map("/".join), st.tuples(st.binary(max_size=40), st.booleans()), max_size=6
).filter(lambda files: not any(a != b and b.startswith(f"{a}/") for a in files for b in files))
SWEEPS = st.dictionaries(
    st.sampled_from(["lr", "seed", "depth"]), st.lists(st.text("xyz01", max_size=3), min_size=1, max_size=4), max_size=3
)


def written(folder: Path, files: dict[str, tuple[bytes, bool]], stamp: int) -> bytes:
    """The archive of files that were written in the order given, at a time given."""
    folder.mkdir()
    for name, (content, runs) in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o700 if runs else 0o640)
        os.utime(folder / name, (stamp, stamp))
    target = io.BytesIO()
    assert pack(folder, target) == len(files)
    return target.getvalue()


@STEADY
@given(files=FOLDERS, stamps=st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)))
def test_equal_folders_have_equal_digests(files: dict[str, tuple[bytes, bool]], stamps: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        first = written(Path(scratch, "a"), files, stamps[0])
        second = written(Path(scratch, "b"), dict(reversed(files.items())), stamps[1])
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
        if files:
            name = next(iter(files))
            changed = files | {name: (files[name][0] + b"!", files[name][1])}
            assert written(Path(scratch, "c"), changed, stamps[0]) != first
        assert set(unpack(io.BytesIO(first), Path(scratch, "d"))) == set(files)


@STEADY
@given(sweep=SWEEPS)
def test_a_sweep_is_every_combination_once_in_order(sweep: dict[str, list[str]]) -> None:
    job = JobFile(
        name="s",
        command=("run", *(f"{{{name}}}" for name in sweep), "{index}"),
        sweep={name: tuple(values) for name, values in sweep.items()},
    )
    spread = members(job, str)
    request = request_of(job, gather(job, Path(), {}, str), "DE")
    made = [for_member(request, member) for member in spread]
    rows = list(itertools.product(*sweep.values())) if sweep else []
    assert [each.command[1:-1] for each in made] == rows
    assert [each.command[-1] for each in made] == [str(index) for index in range(len(rows))]
    assert len({each.name for each in made}) == len(rows)
    for each, row in zip(made, rows, strict=True):
        assert tuple(each.env[name] for name in sweep) == row
        assert each.env["SUNWARD_ARRAY_COUNT"] == str(len(rows))
