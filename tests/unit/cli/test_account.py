"""Account, statement and login: what is sent, what is written, what is kept."""

from __future__ import annotations

import csv
import io
import json
import stat
from dataclasses import replace

import httpx
import pytest

from sunward.cli.commands import login as login_module
from sunward.report.monthly_csv import COLUMNS
from tests.unit.cli.conftest import BUDGET, JOB, MONTH, QUOTE, WHOAMI, answer, problem


def kept(home):
    return json.loads((home / "credentials.json").read_bytes())


def test_a_budget_is_set_and_dropped(run, service) -> None:
    result = run("account", "budget", "50", "--alert", "90", "--webhook", "https://hooks.example/x")
    assert result.exit_code == 0, result.output
    assert service.sent("POST", "/v1/account/budget") == {
        "monthly_usd": 50.0,
        "alert_percent": 90,
        "webhook": "https://hooks.example/x",
    }
    service.requests.clear()
    service.answers["POST /v1/account/budget"] = answer(replace(BUDGET, limit_usd_micro=None))
    assert "none" in run("account", "budget", "--clear").stdout
    assert service.sent("POST", "/v1/account/budget")["monthly_usd"] is None


NOWHERE = ("5", "--alert", "90")
NO_LIMIT = ("--alert", "90", "--webhook", "https://hooks.example/x")


@pytest.mark.parametrize(
    "words",
    [("5", "--clear"), ("-1",), ("x",), ("5", "--alert", "101"), NOWHERE, NO_LIMIT, ("--clear", *NO_LIMIT)],
    ids=" ".join,
)
def test_a_budget_that_makes_no_sense_is_not_sent(run, service, words) -> None:
    result = run("account", "budget", *words)
    assert (result.exit_code, "SW-600" in result.stderr) == (2, True)
    assert service.requests == []


def test_nothing_is_erased_before_somebody_agrees(run, service) -> None:
    assert run("account", "erase", stdin="n\n").exit_code != 0
    assert service.requests == []
    assert run("account", "erase", "--cancel", stdin="y\n").exit_code == 0
    assert [request.url.params["cancel"] for request in service.requests] == ["true"]


def test_a_quote_over_the_budget_says_so(run, service) -> None:
    told = "the budget of 5.00 USD a month leaves 2.00 USD in 2023-06 and this job may cost 2.50 USD; "
    told += "raise it with `sunward account budget`, or wait for the next month"
    service.answers["POST /v1/quotes"] = answer(replace(QUOTE, over_budget=told))
    result = run("submit", "--dry-run", "--zone", "DE", "--hours", "2", "--finish-within", "12h", "--", "true")
    assert "leaves 2.00 USD in 2023-06" in result.stdout


def test_a_statement_is_written_as_csv_and_as_a_page(run, service, tmp_path) -> None:
    table, page = tmp_path / "m.csv", tmp_path / "m.html"
    result = run("statement", "--month", "2023-06", "--csv", str(table), "--html", str(page))
    assert result.exit_code == 0, result.output
    assert "1 job that ended in this month is missing" in result.stderr
    raw = table.read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == 3
    rows = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    assert [(row["job"], row["name"]) for row in rows] == [(JOB, "train"), ("j-zzzzzzzzzz", "'=cmd()")]
    assert list(rows[0]) == list(COLUMNS)
    shown = page.read_text(encoding="utf-8")
    assert shown.startswith('<!doctype html>\n<html lang="en">')
    assert dict(service.requests[0].url.params) == {"month": "2023-06", "limit": "500"}
    assert (
        '<html lang="ko">'
        in (
            run("--lang", "ko", "statement", "--month", "2023-06", "--html", str(page)),
            page.read_text(encoding="utf-8"),
        )[1]
    )


def test_a_statement_of_many_pages_is_one(run, service) -> None:
    first, second = (replace(MONTH, lines=(line,)) for line in MONTH.lines)
    service.answers["GET /v1/statement"] = [answer(replace(first, next="3.1")), answer(second)]
    told = json.loads(run("statement", "--month", "2023-06", "--json").stdout)
    assert (len(told["lines"]), told["totals"]["jobs"], told["pending"]) == (2, 2, ["j-late"])
    assert service.requests[1].url.params["after"] == "3.1"


def test_an_operator_names_the_tenant(run, service) -> None:
    run("statement", "--month", "2023-06", "--tenant", "t-9")
    (request,) = service.requests
    assert (request.headers["Authorization"], request.url.params["tenant"]) == ("Bearer operator-secret", "t-9")


def test_a_file_that_cannot_be_written_is_one_line(run) -> None:
    result = run("statement", "--month", "2023-06", "--csv", "/nowhere/at/all.csv")
    assert (result.exit_code, result.stderr.splitlines()[0][:12]) == (2, "error SW-612")


def test_login_keeps_a_token_for_its_roles_alone(run, service, home) -> None:
    service.answers["GET /v1/whoami"] = answer(replace(WHOAMI, roles=("auditor", "tenant")))
    result = run("login", "--token-stdin", stdin="sw_new\n")
    assert result.exit_code == 0, result.output
    assert service.requests[0].headers["Authorization"] == "Bearer sw_new"
    assert "sw_new" not in result.output
    assert kept(home) == {
        "url": "http://service.test",
        "tenant_token": "sw_new",
        "auditor_token": "sw_new",
        "operator_token": "operator-secret",
        "provider_token": "provider-secret",
    }
    assert stat.S_IMODE((home / "credentials.json").stat().st_mode) == 0o600


def test_login_to_another_service_forgets_the_tokens_of_the_first(run, home) -> None:
    assert run("login", "--url", "http://other.test/", "--token-stdin", stdin="sw_new").exit_code == 0
    assert kept(home)["url"] == "http://other.test"
    assert {value for name, value in kept(home).items() if name != "url"} == {"sw_new", ""}


def test_who_has_one_role_asks_with_its_token(run, service, home) -> None:
    """A provider may make a token for its site, as an operator may; the service judges what a role may do."""
    (home / "credentials.json").write_text('{"url":"http://service.test","provider_token":"sw_p"}')
    assert run("site", "token").stdout == "once-1234\n"
    assert service.requests[0].headers["Authorization"] == "Bearer sw_p"


def test_login_asks_for_the_token_without_showing_it(monkeypatch) -> None:
    asked = {}

    def prompt(_text, **how):
        asked.update(how)
        return " sw_typed "

    monkeypatch.setattr(login_module.sys, "stdin", type("Terminal", (), {"isatty": lambda _self: True})())
    monkeypatch.setattr(login_module.click, "prompt", prompt)
    assert login_module.read_token(from_stdin=False) == "sw_typed"
    assert asked == {"hide_input": True, "err": True}


@pytest.mark.parametrize(
    ("words", "stdin", "code"),
    [
        (("login",), "sw_x\n", "SW-185"),
        (("login", "--token-stdin"), "\n", "SW-185"),
        (("login", "--token-stdin"), "sw_é\n", "SW-185"),
        (("login", "--token-stdin", "--url", "ftp://x"), "sw_x\n", "SW-611"),
    ],
)
def test_a_login_that_cannot_be_changes_nothing(run, home, words, stdin, code) -> None:
    before = kept(home)
    result = run(*words, stdin=stdin)
    assert (result.exit_code, code in result.stderr) == (2, True), result.output
    assert kept(home) == before


def test_a_token_that_the_service_does_not_take_is_not_kept(run, service, home) -> None:
    before = kept(home)
    service.answers["GET /v1/whoami"] = problem(401, "SW-401", "send a valid token")
    assert "SW-401" in run("login", "--token-stdin", stdin="sw_x").stderr
    service.answers["GET /v1/whoami"] = answer(replace(WHOAMI, roles=("agent",), site="s-1"))
    assert "SW-186" in run("login", "--token-stdin", stdin="sw_x").stderr
    assert kept(home) == before


def test_without_any_service_login_asks_which(run, home) -> None:
    (home / "credentials.json").unlink()
    assert "SW-184" in run("login", "--token-stdin", stdin="sw_x").stderr


def test_logout_forgets_every_token(run, home) -> None:
    assert "logged out of http://service.test" in run("logout").stdout
    assert not (home / "credentials.json").exists()
    assert "nobody" in run("logout").stdout
    assert json.loads(run("logout", "--json").stdout) == {"url": ""}


def test_whoami_names_each_token_once_and_says_which_are_dead(run, service, home) -> None:
    def by_token(request: httpx.Request) -> httpx.Response:
        dead = request.headers["Authorization"] == "Bearer provider-secret"
        return problem(401, "SW-401", "send a valid token") if dead else answer(WHOAMI)

    service.answers["GET /v1/whoami"] = by_token
    result = run("whoami")
    assert result.stdout.count("t-1") == 3
    assert "revoked or expired" in result.stdout
    assert len(json.loads(run("whoami", "--json").stdout)) == 3
    assert len(json.loads(run("--token", "mine", "whoami", "--json").stdout)) == 1
