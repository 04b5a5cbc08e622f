"""Every fault of the matrix on real processes, for many seeds; a failure says how to run its seed again."""

import pytest

from tests.e2e.test_live_faults import check_seed


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 201))
def test_faults_leave_one_truth(seed, tmp_path):
    check_seed(seed, tmp_path)
