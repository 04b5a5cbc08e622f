"""The kills on real processes, for many seeds."""

import pytest

from tests.e2e.test_live_faults import check_seed


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_killed_processes_leave_one_truth(seed, tmp_path):
    check_seed(seed, tmp_path)
