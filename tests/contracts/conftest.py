"""One chain for each process; every test finds it as if it were new."""

from __future__ import annotations

from collections.abc import Iterator

import boa
import pytest

from tests.contracts.chain import CHAIN_ID, START_S, Contract, deploy


@pytest.fixture(autouse=True)
def _own_chain() -> Iterator[None]:
    boa.env.evm.patch.chain_id = CHAIN_ID
    with boa.env.anchor():
        boa.env.evm.patch.timestamp = START_S
        yield


@pytest.fixture
def token() -> Contract:
    """The test token."""
    return deploy("TestATH")
