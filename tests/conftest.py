"""Rules for every test: how long to search, where the raw data lies, what may be skipped, who may be called."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
RECURSION, RECURSION_OF_CONTRACTS = 1_000, 100_000
SERVICES_REQUIRED = "SUNWARD_REQUIRE_SERVICES"

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, max_examples=50, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of raw hourly data, which is not part of the repository: `data` in the folder SUNWARD_DATA names."""
    folder = Path(os.environ.get("SUNWARD_DATA", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no raw data at {folder}; set SUNWARD_DATA to the folder that holds `data`")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let only the tests of contracts recurse as deep as what runs them asks for as it is loaded, by every process.

    Elsewhere a message nested so deep would end the process instead of being refused, as it would a service's.
    """
    sys.setrecursionlimit(RECURSION_OF_CONTRACTS if "contracts" in item.path.parts else RECURSION)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a `services` test into a failure where services are required."""
    report = yield
    required = os.environ.get(SERVICES_REQUIRED) == "1" and item.get_closest_marker("services") is not None
    if required and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{SERVICES_REQUIRED}=1, but {item.nodeid} was skipped: {reason}"
    return report


def _refuse_outside(event: str, arguments: tuple[object, ...]) -> None:
    """No test leaves this machine: a connection or a name look-up elsewhere is an error at once."""
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if isinstance(host, str) and host and not _is_loopback(host):
        raise RuntimeError(f"tests may not reach {host}; serve what they need on 127.0.0.1")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


sys.addaudithook(_refuse_outside)
