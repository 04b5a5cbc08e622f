"""How large a challenge is and how long it may take; the table of docs/challenges.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from sunward.errors import InputError
from sunward.model.challenge import ChallengeSize
from sunward.verification import challenge_time
from sunward.world import catalogue

DOCS = Path(__file__).parents[3] / "docs" / "challenges.md"
TABLE = {
    "RTX3090": "RTX 3090, 24 GB",
    "RTX4090": "RTX 4090, 24 GB",
    "A100-SXM-80GB": "A100 SXM 80 GB",
    "H100-SXM": "H100 SXM 80 GB",
    "T4": "T4, 16 GB",
}


@pytest.mark.parametrize("model", TABLE)
def test_the_docs_say_what_is_computed(model: str) -> None:
    gpu = catalogue.load().gpu(model)
    bounds, size = challenge_time.bounds(gpu), challenge_time.size_for(gpu, 1)
    told = (
        f"| {TABLE[model]} | {round(size.bytes / 2**30, 1):g} GiB | {bounds.ideal_ms / 1000:.1f} s | "
        f"{bounds.allowed_ms / 1000:.1f} s | {100 * bounds.memory_frac:.0f} % | {100 * bounds.host_frac:.0f} % |"
    )
    assert told in DOCS.read_text("utf-8")


def test_every_gpu_has_a_size_that_can_be_computed_and_a_slower_one_is_late() -> None:
    for gpu in catalogue.load().gpus:
        for containers, fill_ppm in ((1, 850_000), (8, 850_000), (1, 20), (2, 500)):
            size = challenge_time.size_for(gpu, containers, fill_ppm)
            size.check()
            wanted = gpu.memory_gib * 2**30 * containers * fill_ppm / 1e6
            assert size.bytes <= max(wanted, 2 * 32 * size.width)
            most_ms = challenge_time.allowed_ms(size, gpu, containers, 10_000)
            assert most_ms == challenge_time.allowed_ms(size, gpu, containers, 300)
            assert challenge_time.late(most_ms, most_ms) == ()
            assert [one.key for one in challenge_time.late(most_ms + 1, most_ms)] == ["challenge_late"]


@pytest.mark.parametrize("model", TABLE)
def test_an_answer_sooner_than_the_memory_can_be_read_is_found(model: str) -> None:
    gpu = catalogue.load().gpu(model)
    for containers in (1, 3):
        size = challenge_time.size_for(gpu, containers)
        ideal_ms = size.rounds * challenge_time.ideal_round_ms(size, gpu, containers)
        assert challenge_time.early(round(ideal_ms), size, gpu, containers) == ()
        (found,) = challenge_time.early(round(ideal_ms / 1.2), size, gpu, containers)
        assert (found.key, found.figures["gpus"]) == ("rate_high", containers)
        # What is small may lie in a cache.
        assert challenge_time.early(1, challenge_time.size_for(gpu, containers, 400_000), gpu, containers) == ()


def test_two_containers_take_a_store_twice_as_large_in_about_the_same_time() -> None:
    gpu = catalogue.load().gpu("RTX4090")
    one, two = (challenge_time.size_for(gpu, count) for count in (1, 2))
    assert two.rows in (2 * one.rows, 2 * one.rows + 1)
    ideal = [challenge_time.ideal_round_ms(size, gpu, count) for size, count in ((one, 1), (two, 2))]
    assert ideal[1] == pytest.approx(ideal[0], rel=1e-3)
    # One device in place of two has half of the store only, which is less than what must be kept.
    assert challenge_time.bounds(gpu).memory_frac > 0.5


@pytest.mark.parametrize("field", ["rows", "width", "columns", "rounds", "mixing", "leaf_rows", "rounds_opened"])
def test_a_size_that_cannot_be_computed_is_refused(field: str) -> None:
    values = {
        "rows": 32, "width": 64, "columns": 4, "rounds": 3, "mixing": 2, "leaf_rows": 4, "rounds_opened": 2,
        "rows_opened": 3,
    }  # fmt: skip
    ChallengeSize(**values).check()
    with pytest.raises(InputError, match=field) as caught:
        ChallengeSize(**values | {field: 0}).check()
    assert caught.value.code == "SW-770"
