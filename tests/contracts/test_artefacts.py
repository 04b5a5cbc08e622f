"""What is committed is what the sources compile to, and what the distribution gives."""

from __future__ import annotations

import json

import pytest
import sunward_contracts
from tools import build_contracts as tool
from vyper import __version__ as vyper_version

from tests.contracts.chain import artifact
from tests.contracts.scene import KINDS

NAMES = tool.names()


def test_every_contract_is_there() -> None:
    assert {*NAMES} == {*KINDS, "TestATH"} == {path.stem for path in tool.BUILD.glob("*.json")}


@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_is_made_of_the_present_sources(name: str) -> None:
    made, known = tool.compiled(name, "integrity"), artifact(name)
    assert known["sources_sha256"] == made["integrity"]
    assert known["compiler"] == f"vyper {vyper_version}"


def test_an_artefact_is_compiled_the_same_again() -> None:
    """All of them are by `make check`, which takes ten times as long."""
    assert tool.artefact("TestATH") == (tool.BUILD / "TestATH.json").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_contract_fits_what_a_chain_takes(name: str) -> None:
    runtime = artifact(name)["bytecode_runtime"].removeprefix("0x")
    # EIP-170.
    assert len(runtime) // 2 <= 24_576


def test_the_distribution_gives_artefacts_by_name() -> None:
    assert "TestATH" in sunward_contracts.names()
    found = sunward_contracts.artifact("TestATH")
    assert {"abi", "bytecode", "bytecode_runtime", "compiler"} <= found.keys()
    assert json.loads((sunward_contracts.BUILD / "TestATH.json").read_text()) == found
    for name in ("Nothing", "../pyproject", ""):
        with pytest.raises(KeyError):
            sunward_contracts.artifact(name)
