"""The light client works where the service's packages, and all that only POSIX systems have, are missing."""

from __future__ import annotations

import json
from pathlib import Path

from sunward.cli.main import SERVERS, cli
from sunward.model.codec import encode
from tests.architecture.light import base_distributions, foreign_modules, run_light
from tests.support.bundles import genuine

COMMANDS = """
import contextlib, io, json, sys
from sunward.cli.main import cli
told = []
for line in json.loads(sys.argv[1]):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(line)
        except SystemExit as end:
            code = end.code
    told.append([code, *(each.buffer.getvalue().decode() for each in (out, err))])
print(json.dumps(told))
"""
NOWHERE = "http://127.0.0.1:9"
PROGRAM = """
import sys
from sunward import AsyncClient, Client, SourceError
import sunward.client.pack, sunward.client.place
try:
    Client("http://127.0.0.1:9", "token", timeout_s=5).account()
except SourceError as error:
    print(error.code)
print(sorted({"asyncio", "numpy"} & set(sys.modules)))
"""


def told(*lines: list[str]) -> list[tuple[int, str, str]]:
    return [tuple(each) for each in json.loads(run_light(COMMANDS, json.dumps(lines)))]


def test_the_wall_keeps_out_what_the_light_client_does_not_bring() -> None:
    assert {"numpy", "fastapi", "sqlalchemy", "cwt", "pytest"} <= set(foreign_modules())
    assert {"httpx", "msgspec", "cryptography", "click", "rich", "cbor2"} <= base_distributions()
    missing = "\n".join(f"try:\n    import {name}\nexcept ImportError:\n    print(1)" for name in ("numpy", "fcntl"))
    assert run_light(missing) == "1\n1\n"


def test_every_command_has_its_help() -> None:
    names = [name for name in cli.list_commands(None) if name not in SERVERS]
    answers = told(["--help"], *([name, "--help"] for name in names))
    assert {"submit", "verify", "logs", "receipt", "grid"} <= set(names)
    assert [(code, err) for code, _out, err in answers] == [(0, "")] * len(answers)
    assert all("Usage: sunward" in out for _code, out, _err in answers)


def test_what_needs_no_service_works(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(encode(genuine()))
    verdict, zone, gpus, quote, other_system = told(
        ["--json", "verify", str(bundle)],
        ["--json", "catalog", "zones", "DE"],
        ["catalog", "gpus"],
        ["--url", NOWHERE, "submit", "--dry-run", "--zone", "DE", "--folder", str(tmp_path), "--", "true"],
        ["up"],
    )
    assert (verdict[0], verdict[2], json.loads(verdict[1])["ok"]) == (0, "", True)
    assert json.loads(zone[1])["zone"] == "DE"
    assert "H100" in gpus[1]
    assert (quote[0], quote[2].partition(":")[0]) == (3, "error SW-640")
    assert (other_system[0], other_system[2].partition(":")[0]) == (2, "error SW-653")


def test_what_needs_more_says_how_to_get_it() -> None:
    needs = {"up": "service", "join": "agent", "demo": "all", "grid": "service"}
    lines = [["--url", NOWHERE, name, *(["DE"] if name == "grid" else [])] for name in needs]
    answers = json.loads(run_light(COMMANDS, json.dumps(lines), missing=()))
    for (code, out, err), extra in zip(answers, needs.values(), strict=True):
        said = err.splitlines()[-1]
        assert (code, out) == (2, "")
        assert said.startswith("error SW-652: ")
        assert f"pip install 'sunward[{extra}]'" in said


def test_programs_have_their_client() -> None:
    assert run_light(PROGRAM) == "SW-640\n[]\n"
