"""The faults of the simulator for many seeds; a failure names its seed, which alone reproduces it."""

from __future__ import annotations

import pytest

from tests.support.faults import faulty, problems


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 201))
def test_everything_holds_for_many_seeds(seed):
    found = problems(faulty(seed))
    test = f"tests/soak/test_soak.py::test_everything_holds_for_many_seeds[{seed}]"
    assert found == [], f"seed {seed}: {found[:5]}; again: .venv/bin/python -m pytest -m soak '{test}'"
