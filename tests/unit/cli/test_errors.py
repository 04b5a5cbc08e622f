"""Bad input ends in one line and exit 2, an absent service in exit 3; only our own faults end in a traceback."""

import errno
import json
import re
from pathlib import Path

import click
import httpx
import pytest

from sunward.errors import InvariantError
from tests.unit.cli.conftest import JOB, answer, problem

ROOT = Path(__file__).resolve().parents[3]
BAD = {
    ("nonsense",): "SW-600",
    ("--lang", "xx", "jobs"): "SW-600",
    ("jobs", "--limit", "0"): "SW-600",
    ("jobs", "a", "b"): "SW-600",
    ("tenant", "erase", "nobody", "-y"): "SW-685",
    ("logs",): "SW-600",
    ("site", "nonsense"): "SW-600",
    ("journal",): "SW-600",
    ("account", "deposit", "-3"): "SW-600",
    ("catalog", "fish"): "SW-600",
    ("submit", "-y", "--finish-within", "soon", "--", "true"): "SW-662",
    ("submit", "-y", "--env", "novalue", "--", "true"): "SW-600",
    ("submit", "-y", "--folder", "/nonexistent", "--", "true"): "SW-600",
    ("submit", "-y"): "SW-601",
    ("submit", "--zone", "DE", "--", "true"): "SW-602",
    ("submit", "-y", "--", "true"): "SW-603",
    ("--url", "ftp://x", "jobs"): "SW-611",
    ("receipt", JOB, "--bundle", "/nonexistent/file"): "SW-612",
    ("verify", "/dev/null"): "SW-612",
    ("verify", "j-other"): "SW-104",
    ("verify", __file__): "SW-618",
    ("journal", "verify", "--file", __file__): "SW-613",
    ("jobs", "../sites"): "SW-104",
    ("catalog", "gpus", "H1000"): "SW-100",
    ("catalog", "zones", "ZZ"): "SW-100",
    ("account", "budget", "much"): "SW-600",
    ("account", "budget", "10", "--alert", "200"): "SW-600",
    ("login",): "SW-185",
    ("token", "create"): "SW-600",
    ("token", "revoke"): "SW-600",
    ("tenant", "add"): "SW-600",
    ("tenant", "erase"): "SW-600",
    ("access",): "SW-600",
    ("backup",): "SW-600",
    ("restore", "/nonexistent.tar"): "SW-687",
    ("restore", __file__): "SW-687",
    ("estimate",): "SW-600",
    ("estimate", "--gpu", "H1000", "--zone", "KR"): "SW-100",
    ("estimate", "--gpu", "RTX4090", "--zone", "ZZ"): "SW-100",
    ("estimate", "--gpu", "RTX4090"): "SW-603",
    ("estimate", "--gpu", "RTX4090", "--zone", "KR", "--ask", "-1"): "SW-600",
    ("estimate", "--gpu", "RTX4090", "--zone", "KR", "--overhead", "0.5"): "SW-600",
    ("grid", "KR", "--hours", "0"): "SW-600",
    ("submit", "-y", "--file", "/nonexistent.yaml"): "SW-612",
    ("submit", "-y", "--file", __file__): "SW-660",
    ("epoch", "close", "now"): "SW-600",
    ("network", "share", "Lab"): "SW-600",
    ("network", "share", "Lab", "-1"): "SW-600",
    ("network", "share", "Lab", "1.5"): "SW-600",
    ("network", "share", "nobody", "3"): "SW-685",
    ("network", "price", "--water", "-1"): "SW-600",
    ("network", "price", "--water", "nan"): "SW-600",
    ("journal", "save"): "SW-600",
    ("journal", "verify", "--file", "/nonexistent"): "SW-600",
    ("verify",): "SW-600",
    ("receipt",): "SW-600",
    ("up", "--host", "0.0.0.0"): "SW-680",  # noqa: S104  refused
    ("up", "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"): "SW-681",
    ("up", "--feeds", "/nonexistent.toml"): "SW-221",
    ("up", "--feeds", __file__): "SW-221",
    ("join", "--gpu", "RTX4090"): "SW-623",
    ("logs", JOB, "--url", "nowhere"): "SW-600",
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_line_or_one_json_object_and_exit_2(run, service, words):
    service.answers["GET /v1/jobs/j-other/bundle"] = problem(404, "SW-104", "no such job")
    service.answers["GET /v1/jobs/../sites"] = problem(404, "SW-104", "no such job")
    for lang, word in (("en", "error"), ("ko", "오류")):
        result = run(*words, SUNWARD_LANG=lang, TZ="UTC")
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
        assert result.stderr.startswith(f"{word} {BAD[words]}: ")
    result = run("--json", *words, TZ="UTC")
    error = json.loads(result.stderr)
    assert (error["code"], error["exit"], result.exit_code) == (BAD[words], 2, 2)


def test_damaged_credentials_are_named(run, home):
    (home / "credentials.json").write_text("{")
    result = run("jobs")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "error SW-610" in result.stderr


def test_a_damaged_bundle_is_bad_input(run, tmp_path):
    (tmp_path / "bundle.json").write_text("{}")
    result = run("verify", str(tmp_path / "bundle.json"))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (httpx.ConnectError("refused"), "SW-640"),
        (httpx.ReadTimeout("late"), "SW-640"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"), "SW-643"),
        (answer(b"<html>", 502), "SW-641"),
        (answer(b"not json"), "SW-642"),
        (problem(503, "SW-210", "the feed is away"), "SW-210"),
    ],
    ids=["refused", "late", "untrusted", "gateway", "garbage", "feed"],
)
def test_an_unusable_service_is_exit_3(run, service, broken, code):
    service.answers["GET /v1/account"] = broken
    result = run("account")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error {code}: ")
    assert ("what to do: " in result.stderr) == code.startswith("SW-64")


def test_without_a_service_it_says_what_to_do(run):
    result = run("--home", "/nonexistent", "jobs")
    assert result.exit_code == 3
    assert "sunward up" in result.stderr.splitlines()[1]


def test_a_lost_answer_is_asked_for_again_with_the_same_key(run, service):
    done = service.answers["POST /v1/account/deposits"]
    service.answers["POST /v1/account/deposits"] = [httpx.ReadError("away"), done]
    assert run("account", "deposit", "5").exit_code == 0
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 1
    assert len(service.requests) == 2


def test_ctrl_c_is_130(run, service):
    def press(_request):
        raise KeyboardInterrupt

    service.answers["GET /v1/account"] = press
    assert run("account").exit_code == 130


def test_a_closed_pipe_is_quiet(run, monkeypatch):
    def closed(*_words, **_more):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(click, "echo", closed)
    result = run("account")
    assert result.stderr == ""


def test_our_own_faults_are_loud(run, service):
    def fault(_request):
        raise InvariantError("the books do not balance")

    service.answers["GET /v1/account"] = fault
    with pytest.raises(InvariantError):
        run("account")


def test_an_unexpected_log_header_is_not_understood(run, service):
    service.answers[f"GET /v1/jobs/{JOB}/logs"] = answer(b"text")
    assert run("logs", JOB).exit_code == 3


def test_version_and_empty_command_line(run):
    assert run("--version").stdout.startswith("sunward ")
    assert run().stdout.startswith("Usage: sunward")


def test_every_code_in_use_is_documented_once():
    used = set()
    for file in (ROOT / "src").rglob("*.py"):
        used.update(re.findall(r"SW-\d{3}", file.read_text(encoding="utf-8")))
    rows = re.findall(r"^\| (SW-\d{3}) \|", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert used - set(rows) == set(), "used but not documented"
    assert set(rows) - used == set(), "documented but not used"
    assert len(rows) == len(set(rows))
