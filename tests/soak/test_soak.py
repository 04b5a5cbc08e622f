"""Twenty seeds of faults; a failure names its seed, which alone reproduces it."""

from __future__ import annotations

import pytest

from tests.support.faults import faulty, problems


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_everything_holds_for_many_seeds(seed):
    found = problems(faulty(seed))
    assert found == [], f"seed {seed}: {found[:5]}; run it alone with -m soak -k '[{seed}]'"
