"""`kill -9` of the control plane, of agents and of jobs, on real processes, at moments drawn from a seed."""

from pathlib import Path

import pytest

from tests.e2e.aftermath import check
from tests.e2e.live import disturb, network


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_processes_leave_one_truth(seed, tmp_path):
    check_seed(seed, tmp_path)


def check_seed(seed: int, folder: Path) -> None:
    """One seed; a failure tells it, and every kill."""
    with network(seed, folder) as live:
        disturb(live)
        check(live)
