"""A stranger checks what the service hands out, with the one file that needs no Sunward."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sunward.cli.main import cli
from sunward.service.keys import public_of
from sunward.verification import sunward_verify
from sunward.verification.bundle import read_bundle
from sunward.verification.receipt import verify
from tests.api.harness import Agent, Service
from tests.api.test_keys import paid, rotated


def told(raw: bytes, folder: Path, *key: str) -> int:
    file = folder / "bundle.json"
    file.write_bytes(raw)
    return sunward_verify.main(str(file), *key)


def test_a_bundle_of_the_service_is_accepted_by_both(service: Service, agent: Agent, tmp_path: Path) -> None:
    job = paid(service, agent)
    raw = service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content
    key = public_of(service.control.key)
    assert verify(read_bundle(raw), key).findings == ()
    assert told(raw, tmp_path, key) == 0
    for position in (raw.index(b"gpu_j") + 9, len(raw) // 2, len(raw) - 3):
        other = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        assert told(other, tmp_path, key) == 1


def test_so_is_one_made_after_the_key_was_changed(
    service: Service, agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = paid(service, agent)
    old = public_of(service.control.key)
    again = rotated(service)
    raw = again.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content
    assert told(raw, tmp_path, public_of(again.control.key)) == 0
    assert told(raw, tmp_path, old) == 1
    assert "another key" in capsys.readouterr().out
    again.close()


def test_the_command_line_hands_the_verifier_out() -> None:
    printed = CliRunner().invoke(cli, ["verify", "--standalone"])
    assert printed.exit_code == 0
    assert printed.output == Path(sunward_verify.__file__).read_text(encoding="utf-8")
    assert CliRunner().invoke(cli, ["verify"]).exit_code == 2
