"""Fixtures: one service on a fresh home, and its agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.harness import Agent, Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path / "home")
    yield running
    running.close()


@pytest.fixture
def agent(service: Service) -> Agent:
    joined = Agent(service)
    joined.join()
    return joined
