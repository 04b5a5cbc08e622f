"""Challenges: an honest device passes at any size, and each way of cheating is found as often as the docs say."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.agent.challenge import Prover
from sunward.agent.challenge_store import ProcessorStore, Store, TorchStore
from sunward.model.challenge import ChallengeSize, Opening
from sunward.verification.challenge import Transcript, asked, judge
from tests.support.torch_stand_in import STAND_IN

SMALL = ChallengeSize(rows=90, width=64, columns=4, rounds=3, mixing=16, leaf_rows=4, rounds_opened=2, rows_opened=12)
SIZES = st.builds(
    ChallengeSize,
    rows=st.integers(16, 80),
    width=st.sampled_from([4, 64, 100, 4100]),
    columns=st.integers(1, 9),
    rounds=st.integers(2, 4),
    mixing=st.integers(1, 8),
    leaf_rows=st.integers(1, 7),
    rounds_opened=st.integers(1, 2),
    rows_opened=st.integers(1, 8),
)
SEEDS = st.binary(min_size=32, max_size=32)


def prover(seed: bytes, size: ChallengeSize, kind: type[ProcessorStore] = ProcessorStore) -> Prover:
    one = Prover(size, kind(seed, size))
    one.fill()
    return one


def transcript(seed: bytes, size: ChallengeSize, one: Prover, nonce: bytes, question: bytes) -> Transcript:
    roots = one.commit(nonce)
    return Transcript(seed=seed, size=size, nonce=nonce, roots=roots, question=question, openings=one.answer(question))


def keys(told: Transcript) -> set[str]:
    return {finding.key for finding in judge(told)}


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, nonce=SEEDS, question=SEEDS, size=SIZES)
def test_an_honest_device_passes_at_every_size(seed: bytes, nonce: bytes, question: bytes, size: ChallengeSize) -> None:
    size.check()
    assert judge(transcript(seed, size, prover(seed, size), nonce, question)) == ()


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, size=SIZES, devices=st.integers(1, 4))
def test_devices_that_share_a_store_compute_the_same_bits(seed: bytes, size: ChallengeSize, devices: int) -> None:
    stores: list[Store] = [ProcessorStore(seed, size), TorchStore(seed, size, ["cuda:0"] * devices, STAND_IN)]
    for store in stores:
        store.fill()
    matrix = np.frombuffer(hashlib.shake_128(seed).digest(size.width * 3), np.uint8).astype(np.int8) >> 2
    first, second = (store.times(matrix.reshape(size.width, 3)) for store in stores)
    assert first.dtype == second.dtype == np.int32
    np.testing.assert_array_equal(first, second)
    every = range(size.rows)
    np.testing.assert_array_equal(stores[0].rows(every), stores[1].rows(every))


class Forgetful(ProcessorStore):
    """Keeps part of the store only; what it lacks is nought."""

    kept = 0.7

    def fill(self) -> None:
        super().fill()
        self._store[round(self.kept * self._size.rows) :] = 0


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, nonce=SEEDS, question=SEEDS)
def test_a_store_smaller_than_asked_is_found_where_a_missing_row_is_opened(
    seed: bytes, nonce: bytes, question: bytes
) -> None:
    told = transcript(seed, SMALL, prover(seed, SMALL, Forgetful), nonce, question)
    missing = [row for row in asked(question, SMALL).rows if row >= round(Forgetful.kept * SMALL.rows)]
    assert {finding.figures["row"] for finding in judge(told)} == set(missing)
    assert keys(told) <= {"challenge_product"}


def test_how_often_missing_rows_are_found_is_what_the_docs_say() -> None:
    size = replace(SMALL, rows=1_000)
    for share in (0.05, 0.1, 0.2):
        from_row = round((1 - share) * size.rows)
        found = sum(
            any(row >= from_row for row in asked(number.to_bytes(32, "big"), size).rows) for number in range(1_000)
        )
        expected = 1 - (1 - share) ** size.rows_opened
        # Four standard deviations of a thousand draws.
        assert abs(found / 1_000 - expected) < 4 * (expected * (1 - expected) / 1_000) ** 0.5


def corrupt(one: Opening, at: int, *, leaf_too: bool) -> Opening:
    raw = bytearray(base64.b64decode(one.cells))
    raw[at % len(raw)] ^= 1
    return replace(one, cells=base64.b64encode(bytes(raw)).decode(), path=() if leaf_too else one.path)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, at=st.integers(0, 10_000), which=st.integers(0, 100), cut=st.booleans())
def test_a_row_changed_after_the_commitment_does_not_lead_to_the_root(
    seed: bytes, at: int, which: int, *, cut: bool
) -> None:
    told = transcript(seed, SMALL, prover(seed, SMALL), b"n" * 32, b"q" * 32)
    openings = list(told.openings)
    openings[which % len(openings)] = corrupt(openings[which % len(openings)], at, leaf_too=cut)
    assert keys(replace(told, openings=tuple(openings))) == {"challenge_root"}


class OneWrong(ProcessorStore):
    """Gets one cell of every row wrong by the least there is."""

    def times(self, matrix: np.ndarray) -> np.ndarray:
        product = super().times(matrix)
        product[:, 0] += 1
        return product


def test_rows_that_are_wrong_and_committed_to_are_found() -> None:
    seed, question = b"s" * 32, b"q" * 32
    cheat = prover(seed, SMALL, OneWrong)
    roots = cheat.commit(b"n" * 32)
    honest = cheat.answer(question)
    told = Transcript(
        seed=seed, size=SMALL, nonce=b"n" * 32, roots=roots, question=question, openings=with_ones(honest)
    )
    assert keys(told) == {"challenge_product"}


def with_ones(openings: tuple[Opening, ...]) -> tuple[Opening, ...]:
    """What the cheat committed to: its answer computes rows anew, and right."""
    changed = []
    for one in openings:
        cells = np.frombuffer(base64.b64decode(one.cells), "<i4").reshape(-1, SMALL.columns).copy()
        cells[:, 0] += 1
        changed.append(replace(one, cells=base64.b64encode(cells.tobytes()).decode()))
    return tuple(changed)


def test_an_answer_beyond_the_range_of_a_product_is_no_answer() -> None:
    seed, question = b"s" * 32, b"q" * 32
    size = replace(SMALL, rows=4, rows_opened=1, rounds=1, rounds_opened=1)
    honest = transcript(seed, size, prover(seed, size), b"n" * 32, question)
    cells = np.frombuffer(base64.b64decode(honest.openings[0].cells), "<i4").astype(np.int64)
    # The same number modulo the prime, so that only its range gives it away.
    moved = (cells - np.sign(cells) * ((1 << 31) - 1)).astype("<i4").tobytes()
    root = hashlib.sha256(b"\x00" + hashlib.sha256(moved).digest()).hexdigest()
    opening = Opening(round=0, leaf=0, cells=base64.b64encode(moved).decode(), path=())
    assert keys(replace(honest, roots=(root,), openings=(opening,))) == {"challenge_product"}


def test_the_answer_to_another_challenge_or_time_is_worth_nothing() -> None:
    seed, question = b"s" * 32, b"q" * 32
    first = transcript(seed, SMALL, prover(seed, SMALL), b"1" * 32, question)
    assert keys(replace(first, nonce=b"2" * 32)) == {"challenge_product"}
    assert keys(replace(first, seed=b"t" * 32)) == {"challenge_product"}
    assert "challenge_opening" in keys(replace(first, question=b"r" * 32))


def test_products_made_before_the_nonce_was_known_are_found() -> None:
    seed, nonce, question = b"s" * 32, b"n" * 32, b"q" * 32
    one = prover(seed, SMALL)
    roots = one.commit(b"guessed" + bytes(25))
    told = Transcript(seed=seed, size=SMALL, nonce=nonce, roots=roots, question=question, openings=one.answer(question))
    assert keys(told) == {"challenge_product"}


def test_a_round_that_was_left_out_is_found_when_it_is_opened() -> None:
    seed, nonce, question = b"s" * 32, b"n" * 32, b"q" * 32
    told = transcript(seed, SMALL, prover(seed, SMALL), nonce, question)
    number = asked(question, SMALL).rounds[0]
    roots = list(told.roots)
    roots[number] = "00" * 32
    assert "challenge_root" in keys(replace(told, roots=tuple(roots)))
    assert keys(replace(told, roots=told.roots[:-1])) == {"challenge_roots"}
    assert keys(replace(told, roots=("zz", *told.roots[1:]))) == {"challenge_roots"}


@pytest.mark.parametrize("cells", ["", "not base64!", "AAAA"])
def test_nonsense_is_a_finding_and_no_crash(cells: str) -> None:
    told = transcript(b"s" * 32, SMALL, prover(b"s" * 32, SMALL), b"n" * 32, b"q" * 32)
    spoilt = tuple(replace(one, cells=cells, path=("zz",)) for one in told.openings)
    assert keys(replace(told, openings=spoilt)) == {"challenge_root"}
    assert keys(replace(told, openings=())) == {"challenge_opening"}
