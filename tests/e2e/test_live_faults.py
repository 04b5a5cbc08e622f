"""Every fault of the matrix on real processes, at moments drawn from a seed: docs/faults.md."""

from pathlib import Path

import pytest

from tests.e2e.aftermath import check
from tests.e2e.live import disturb, network


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_faults_leave_one_truth(seed, tmp_path):
    check_seed(seed, tmp_path)


def check_seed(seed: int, folder: Path) -> None:
    """One seed; a failure tells it, every fault, and how to run it again."""
    with network(seed, folder) as live:
        disturb(live)
        check(live)
