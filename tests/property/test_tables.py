"""Columns: rows are reused and cleared, dumps come back, and every field of a job survives."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.errors import InvariantError
from sunward.model.hardware import WorkClass
from sunward.model.job import JobSpec, JobState
from sunward.world.jobs import JobTable
from sunward.world.table import FIRST_ROWS, Table
from tests.support.scenarios import job

BIG = 2**63 - 1
texts = st.text(max_size=8)
lists = st.lists(texts, max_size=3).map(tuple)
counts = st.integers(min_value=0, max_value=BIG)


def specs(name: str) -> st.SearchStrategy[JobSpec]:
    return st.builds(
        JobSpec,
        job=st.just(name),
        tenant=texts,
        commitment=texts,
        bundle=texts,
        origin_zone=texts,
        work_class=st.sampled_from(WorkClass),
        gpus=counts,
        gpu_memory_gib=counts,
        gpu_models=lists,
        length_ms=counts,
        units=counts,
        interruptible=st.booleans(),
        deadline_ms=counts,
        allowed_countries=lists,
        budget_usd_micro=counts,
        carbon_price_usd_per_t=counts,
        known_providers=lists,
        retries=counts,
        functional_unit=texts,
        data_bytes=counts,
        escrow_wei=st.integers(min_value=0, max_value=2**64 - 1),
    )


def test_rows_are_given_again_cleared():
    table = Table(("a",), ("o",))
    for number in range(FIRST_ROWS + 5):
        table.add(f"k{number}")
    table.ints["a"][3] = 7
    table.objects["o"][3] = "kept"
    table.remove("k3")
    assert ("k3" in table, len(table)) == (False, FIRST_ROWS + 4)
    assert (table.ints["a"][3], table.objects["o"][3]) == (0, None)
    assert table.add("new") == 3
    with pytest.raises(InvariantError):
        table.add("new")


def test_a_batch_takes_free_rows_first():
    table = Table(("a",), ("o",))
    table.add_many(["a", "b", "c", "d"])
    table.remove("b")
    table.remove("d")
    assert sorted(table.add_many(["x", "y", "z"])) == [1, 3, 4]
    assert list(table) == ["a", "c", "x", "y", "z"]
    assert [table.ids[table.row_of[key]] for key in table] == list(table)
    assert len(table.objects["o"]) == len(table.ids) == 5
    for batch in (["x"], ["n", "n"]):
        with pytest.raises(InvariantError):
            table.add_many(batch)


@given(st.lists(st.tuples(st.sampled_from("arm"), st.integers(0, 12)), max_size=60))
def test_any_history_keeps_ids_and_rows_together_and_comes_back(steps):
    table = Table(("a",), ("o",))
    known: dict[str, int] = {}
    for number, (act, which) in enumerate(steps):
        key = f"k{which}"
        if act == "r" and key in known:
            table.remove(key)
            del known[key]
        elif act != "r" and key not in known:
            row = table.add(key) if act == "a" else table.add_many([key])[0]
            table.ints["a"][row] = known[key] = number
            table.objects["o"][row] = str(number)
    copy = Table(("a",), ("o",))
    copy.load(msgspec.msgpack.decode(msgspec.msgpack.encode(table.dump())))
    for one in (table, copy):
        assert list(one) == sorted(known)
        assert {key: int(one.ints["a"][one.row_of[key]]) for key in known} == known
        assert {key: one.objects["o"][one.row_of[key]] for key in known} == {k: str(v) for k, v in known.items()}
    assert copy.dump() == table.dump()
    assert table.add("next") == copy.add("next")


@settings(max_examples=30)
@given(specs("j-1"), specs("j-2"), st.booleans())
def test_a_spec_comes_back_whole(one, other, together):
    table = JobTable()
    if together:
        table.insert([one, other], 5)
    else:
        table.insert([one], 5)
        table.insert([other], 5)
    copy = JobTable()
    copy.load(msgspec.msgpack.decode(msgspec.msgpack.encode(table.dump())))
    for held in (table, copy):
        assert [held.spec(held.row_of[name]) for name in held] == [one, other]
        assert held.tenant(held.row_of["j-2"]) == other.tenant
        assert held.state(held.row_of["j-1"]) is JobState.SUBMITTED


def test_a_reused_row_remembers_nothing_of_the_job_before():
    table = JobTable()
    table.insert([job("j-1", bundle="b" * 64)], 5)
    row = table.row_of["j-1"]
    table.ints["attempts"][row] = 3
    table.objects["checkpoint"][row] = "c" * 64
    table.remove("j-1")
    table.insert([job("j-2"), job("j-3")], 9)
    assert table.row_of["j-2"] == row
    assert table.spec(row) == job("j-2")
    assert (table.ints["attempts"][row], table.objects["checkpoint"][row], table.ints["submitted_ms"][row]) == (
        0,
        "",
        9,
    )


def test_words_that_many_jobs_share_are_kept_once():
    table = JobTable()
    table.insert([job(f"j-{n}", bundle=f"{n:064d}") for n in range(100)], 0)
    known = len(table.words)
    table.insert([job(f"k-{n}", bundle=f"{n:064d}") for n in range(100)], 0)
    assert len(table.words) == known < 10
