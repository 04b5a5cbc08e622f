"""Every command against a service of records: what people read, what machines read, and in Korean."""

import json
from dataclasses import replace

import httpx
import pytest

from sunward.cli.main import SERVERS, cli
from sunward.cli.shell import commands_of
from sunward.cli.show import carbon
from sunward.model.codec import encode
from sunward.model.receipt import Adjustment
from sunward.model.records import ReceiptView
from tests.support.bundles import CONTROL, genuine, genuine_journal, public_hex, receipt_in
from tests.unit.cli.conftest import (
    ASSIGNMENT,
    DAY,
    GRID,
    HOUR_MS,
    JOB,
    answer,
    archive,
    job_view,
    log_part,
    problem,
)

SUBMIT = ("submit", "-y", "--zone", "DE", "--hours", "2", "--finish-within", "12h", "--units", "1000", "--pausable")
EVERY = {
    ("jobs",): ("train", "running", "no site has enough GPUs (largest site has 4)"),
    ("jobs", JOB): ("250/1000", "it runs for the first time", "2023-06-12 01:00Z"),
    ("logs", JOB): ("one",),
    ("cancel", JOB): (f"{JOB}: cancelled",),
    ("receipt", JOB): ("location-based, life-cycle", "run now at the tenant's origin", "Not proved:"),
    ("verify", JOB): ("OK:", "Not proved:", "that the meters told the truth"),
    ("grid", "ES"): ("ES Spain: measured", "a named series", "500", "█"),
    ("grid", "show", "ES"): ("ES Spain: measured", "gone: NESO (measured)", "carbon intensity, marginal, gCO2e/kWh"),
    ("feeds",): ("GB", "electricity-maps", "observed", "typical year", "SW-223 host refuses the key"),
    ("feeds", "--schema"): ("wait_hours", "usd_per_eur"),
    ("plan",): ("es-solar/A100", "waiting brings cleaner or cheaper power", "j-huge: no site has enough GPUs"),
    ("plan", JOB): ("✓ GPUs", "provider's ask", "4.0000", "47 % less carbon than starting now", "start now"),
    ("plan", "explain", JOB): (
        "GPU memory  2          7",
        "provider's ask",
        "+0.9790",
        "1 h 00 min to spare",
        "95 %",
        "→ 2023-06-12 13:00Z",
        "████████████▊",
    ),
    ("plan", "certify"): ("3 jobs with a place", "4.1000 USD", "4.0000 USD", "2.44 %", "2 h 30 min", "0.0120"),
    ("plan", "what-if"): ("1 open job", "5,000", "4.5000 USD", "9 h 00 min", "● frontier", "○ dominated", "340.0 │"),
    ("plan", "j-huge"): ("✗ GPUs", "largest site has 4"),
    ("site",): ("4 H100-SXM", "30 modelled", "1.08 modelled", "busy"),
    ("site", "token", "--note", "rack 3"): ("once-1234",),
    ("epoch",): ("31.4000 USD", "10.000", "5,000.0 gCO2e"),
    ("network",): ("t-9  1", "2.00 USD/m³", "0.0200 USD/GB, 0.060 kWh/GB"),
    ("network", "show"): ("tenant t-1  3",),
    ("network", "share", "Lab", "3"): ("tenant t-1  3",),
    ("network", "price", "--water", "2.5"): ("tenant t-1  3",),
    ("offset",): ("1.50 %", "3.0000 ATH", "Retired credits cover 41.66 % of measured residual."),
    ("offset", "show"): ("cnaught", "5 kg"),
    ("offset", "orders"): ("co-open", "asked after", "co-done", "retired", "out of stock", "vcs 5–9", "test: 0"),
    ("offset", "statement"): ("1.500 kWh", "retired to date", "Retired credits cover 41.66 %"),
    ("offset", "statement", "--epoch", "1"): ("market-based",),
    ("offset", "rules"): ("ACM0002", "90.00 USD/t", "5.00 %"),
    ("network", "rate"): ("0.400000", "stale: the last one stays; moved too far: no new promises", "gecko", "own"),
    ("network", "rate", "--confirm"): ("0.400000",),
    ("epoch", "close"): ("epoch 2 closed at journal record 7",),
    ("journal", "head"): ("record", "hash", "signature"),
    ("journal", "tail", "-n", "2"): ("RECORD", "EVENT"),
    ("journal", "verify"): ("OK: journal of", "that nobody was shown another journal"),
    ("key", "list"): ("PUBLIC KEY", "ab" * 32),
    ("catalog",): ("GPU models", "H100-SXM", "Kinds of cooling", "immersion"),
    ("catalog", "gpus", "h100"): ("memory_gib", "80"),
    ("catalog", "zones", "NO-NO1"): ("Southeast Norway",),
    ("account",): ("t-1", "3.0000 ATH"),
    ("account", "balance"): ("t-1", "3.0000 ATH"),
    ("account", "deposit", "20"): ("balance 4.0000 ATH",),
    ("account", "budget"): ("50.0000 USD", "2023-06", "25.0000 USD", "at 80 % to https://hooks.example/x"),
    ("account", "erase", "-y"): ("content of 2 jobs, 3 stored files",),
    ("statement", "--month", "2023-06"): (
        "train",
        "=cmd()",
        "provisional",
        "run now at the tenant's origin",
        "325.0 g",
    ),
    ("whoami",): ("t-1", "2023-06-13 00:00Z"),
    ("tenant", "add", "Lab"): ("t-2", "sw_new"),
    ("tenant", "list"): ("t-1", "Lab"),
    ("tenant", "erase", "Lab", "-y"): ("content of 2 jobs, 3 stored files",),
    ("token", "create", "t-1", "--role", "tenant"): ("sw_made",),
    ("token", "list"): ("abababababababab", "laptop", "2023-06-12"),
    ("token", "revoke", "abababababababab"): ("token ended",),
    ("access", "log"): ("create_token", "t-1 tenant", "127.0.0.1"),
    (*SUBMIT, "--", "python", "train.py"): ("4.0200 USD", "47 % less carbon", f"submitted as {JOB}"),
}
LINES = {("journal", "tail", "-n", "2")}
"""Commands whose JSON is one object a line."""
PRETTY = {("feeds", "--schema")}
"""Commands whose JSON is for people too, and no sentence."""


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_speaks_plainly_without_a_terminal(run, words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    for text in EVERY[words]:
        assert text in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_gives_json(run, words):
    result = run("--json", *words)
    assert result.exit_code == 0, result.output
    lines = [result.stdout] if words in PRETTY else result.stdout.splitlines()
    assert len(lines) == (2 if words in LINES else 1)
    assert all(isinstance(json.loads(line), dict | list) for line in lines)


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_speaks_korean(run, words):
    result = run("--lang", "ko", *words)
    assert result.exit_code == 0, result.output
    if words not in {
        *PRETTY,
        ("logs", JOB),
        ("token", "create", "t-1", "--role", "tenant"),
        ("site", "token", "--note", "rack 3"),
        ("catalog", "zones", "NO-NO1"),
        ("catalog", "gpus", "h100"),
    }:
        assert any("가" <= letter <= "힣" for letter in result.stdout)


def test_every_command_is_tested():
    elsewhere = {
        ("fetch",),
        ("journal", "save"),
        ("mirror",),
        ("status", "drain", "ask"),
        ("curtail",),
        ("challenge", "challenges", "place"),
        ("audit", "file", "check", "get", "issue", "appeal", "read", "decide", "evidence", "verdict"),
        ("certificates", "list", "device", "issue", "import", "give", "cancel", "withdraw"),
        ("login",),
        ("logout",),
        ("what-if",),
        ("stake", "exit", "rules", "rewards", "claim"),
        (
            "reserve",
            "show",
            "rules",
            "usd",
            "deposit",
            "exit",
            "promises",
            "sell",
            "withdraw",
            "buy",
            "call",
            "release",
        ),
        ("drill", "stress"),
        ("key", "new", "show", "deploy", "status", "post", "bind", "claim", "verify"),
    } | {("rotate", "service", "agent", "stolen")}
    named = {tuple(word for word in words if word.isalpha())[:2] for words in EVERY} | elsewhere
    leaves = {command.name for command in commands_of(cli)} - {"sunward", "journal"} - set(SERVERS)
    assert leaves <= {word for words in named for word in words}


@pytest.mark.parametrize("words", [("jobs",), ("receipt", JOB), ("grid", "ES"), ("plan", JOB), ("site",)], ids=" ".join)
def test_a_terminal_gets_colours(run, words):
    assert "\x1b[" in run(*words, FORCE_COLOR="1", TERM="xterm-256color").stdout


def test_roles_use_their_own_token(run, service):
    run("account")
    run("epoch", "close")
    run("journal", "head")
    sent = [request.headers["Authorization"] for request in service.requests]
    assert sent == ["Bearer tenant-secret", "Bearer operator-secret", "Bearer auditor-secret"]


def test_stored_tokens_are_not_sent_elsewhere(run, service):
    run("--url", "http://other.test", "account")
    run("--url", "http://other.test", "--token", "mine", "account")
    assert [request.headers.get("Authorization") for request in service.requests] == [None, "Bearer mine"]


def test_jobs_filters_and_limits(run, service):
    assert len(json.loads(run("jobs", "--state", "running", "--limit", "1", "--json").stdout)["jobs"]) == 1
    assert dict(service.requests[0].url.params) == {"limit": "500", "state": "running"}
    assert len(json.loads(run("jobs", "--json").stdout)["jobs"]) == 1, "the service's last page stays"


def test_no_jobs_says_how_to_start(run, service):
    service.answers["GET /v1/jobs"] = answer({"jobs": [], "next": None})
    assert "sunward submit --help" in run("jobs").stdout


def test_names_cannot_command_the_terminal(run, service):
    service.answers[f"GET /v1/jobs/{JOB}"] = answer(job_view(name="\x1b]0;owned\x07[bold]x"))
    shown = run("jobs", JOB, FORCE_COLOR="1").stdout
    assert "\x1b]0" not in shown
    assert "[bold]x" in shown


def test_fetch_writes_the_results(run, tmp_path):
    result = run("fetch", JOB, "--to", str(tmp_path / "results"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "results" / "model" / "w.bin").read_bytes() == b"weights"
    assert "2 files written" in result.stdout
    files = json.loads(run("fetch", JOB, "--to", str(tmp_path / "again"), "--json").stdout)["files"]
    assert files == ["model/w.bin", "log.txt"]


def test_fetch_refuses_an_archive_that_leads_out(run, service, tmp_path):
    service.answers[f"GET /v1/jobs/{JOB}/output"] = answer(archive(("ok", b"1"), ("../evil", b"2")))
    result = run("fetch", JOB, "--to", str(tmp_path / "results"))
    assert result.exit_code == 2
    assert result.stderr.startswith("error SW-616: the archive is refused, nothing was written")
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "evil").exists()


def test_a_bundle_is_kept_and_checked_offline(run, service, tmp_path):
    file = tmp_path / "bundle.json"
    assert str(file) in run("receipt", JOB, "--bundle", str(file)).stdout
    service.requests.clear()
    assert run("verify", str(file)).exit_code == 0
    assert "whose key signed it" not in run("verify", str(file), "--key", public_hex(CONTROL)).stdout
    assert service.requests == []


def test_a_changed_receipt_is_refused_with_exit_1(run, tmp_path):
    file = tmp_path / "bundle.json"
    bundle = genuine()
    file.write_bytes(encode(replace(bundle, receipt=bundle.receipt.replace('"version":1', '"version":2', 1))))
    result = run("verify", str(file))
    assert result.exit_code == 1
    assert "REFUSED" in result.stdout
    assert "the receipt is not signed by the control plane's key" in result.stdout
    assert "Not proved:" in result.stdout
    assert json.loads(run("verify", str(file), "--json").stdout)["ok"] is False
    assert "영수증이 제어부의 키로 서명되지 않았습니다" in run("--lang", "ko", "verify", str(file)).stdout


def test_the_journal_is_saved_and_checked_offline(run, service, tmp_path):
    file = tmp_path / "journal.jsonl"
    assert "records written" in run("journal", "save", str(file)).stdout
    service.requests.clear()
    assert run("journal", "verify", "--file", str(file)).exit_code == 0
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:1], *lines[2:]]))
    result = run("journal", "verify", "--file", str(file))
    assert result.exit_code == 1
    assert "chain" in result.stdout
    file.write_bytes(b"")
    assert run("journal", "verify", "--file", str(file)).exit_code == 2
    assert service.requests == []


def test_the_head_must_be_signed_by_the_key_named(run):
    records, _bundle = genuine_journal()
    assert run("journal", "verify", "--key", public_hex(CONTROL)).exit_code == 0
    assert run("journal", "verify", "--key", "00" * 32).exit_code == 1
    assert json.loads(run("journal", "verify", "--json").stdout)["records"] == len(records)


def test_grid_works_without_a_service(run, service):
    result = run("--home", "/nonexistent", "grid", "NO-NO1", "--hours", "30")
    assert result.exit_code == 0
    assert "NO-NO1 Southeast Norway: modelled typical year" in result.stdout
    assert "the packaged typical year is shown" in result.stderr
    service.answers["GET /v1/grid"] = httpx.ConnectError("refused")
    data = json.loads(run("grid", "NO-NO1", "--hours", "30", "--json").stdout)
    assert (len(data["carbon_mg_per_kwh"]["p50"]), data["quality"]) == (30, "modelled")


def test_grid_draws_hours_gone_solid_and_hours_ahead_dim_with_their_range(run, service):
    lines = run("grid", "ES", FORCE_COLOR="1", TERM="xterm-256color").stdout.splitlines()
    assert any("█" in line for line in lines)
    assert any("\x1b[2;31m░" in line or "\x1b[2;31m▓" in line for line in lines), "the range of a forecast"
    assert any("\x1b[32m▅" in line for line in lines), "an hour gone"
    assert dict(service.requests[0].url.params) == {"zone": "ES", "hours": "48", "past": "48"}
    run("grid", "--hours", "3", "--past", "0", "ES")
    assert dict(service.requests[1].url.params) == {"zone": "ES", "hours": "3", "past": "0"}
    assert "Draw the hours gone" in run("grid", "show", "--help").stdout
    assert "show" in run("grid", "--help").stdout


def test_an_hour_nobody_told_leaves_a_gap(run, service):
    past = (replace(GRID.past[0], values=(50_000,)), replace(GRID.past[0], start_ms=DAY - HOUR_MS, values=(60_000,)))
    service.answers["GET /v1/grid"] = answer(replace(GRID, past=past))
    axis = next(line for line in run("grid", "ES").stdout.splitlines() if "└" in line)
    assert axis.count("─") == 5, "three hours gone, one of them unknown, and two ahead"


def test_a_receipt_is_waited_for_when_told_to(run, service):
    there = service.answers[f"GET /v1/jobs/{JOB}/receipt"]
    early = [problem(409, "SW-155", "it runs"), problem(409, "SW-156", "readings are missing")]
    service.answers[f"GET /v1/jobs/{JOB}/receipt"] = [*early, there]
    assert "location-based" in run("receipt", JOB, "--wait").stdout
    service.answers[f"GET /v1/jobs/{JOB}/receipt"] = [problem(409, "SW-160", "no")]
    assert "SW-160" in run("receipt", JOB, "--wait").stderr


def test_a_receipt_shows_what_was_posted_beside_it(run, service):
    paper = receipt_in(genuine())
    entry = Adjustment(
        job=paper.job,
        epoch=1,
        posted_epoch=2,
        sequence=9,
        at_ms=DAY + HOUR_MS,
        cause="signal_revised",
        zone="ES",
        hour_ms=DAY,
        old_mg_per_kwh=100_000,
        new_mg_per_kwh=150_000,
        old_mg=10_000,
        new_mg=15_000,
        source="s",
        quality="measured",
    )
    view = ReceiptView(receipt=paper, signature="ab", final=True, adjustments=(entry, entry))
    service.answers[f"GET /v1/jobs/{JOB}/receipt"] = answer(view)
    text = run("receipt", JOB).stdout
    assert "Adjusted since it became final:" in text
    assert "+5.0" in text
    assert f"adjusted: {carbon(paper.location_mg + 10_000)}" in text


def test_without_feeds_the_table_says_how_to_get_them(run, service):
    service.answers["GET /v1/feeds"] = answer([])
    assert "up --feeds feeds.toml" in run("feeds").stdout


def test_the_origin_is_read_from_the_environment_never_guessed(run, service):
    assert run("grid", SUNWARD_ZONE="ES").exit_code == 0
    assert run("grid", TZ="Asia/Seoul").exit_code == 0
    assert [request.url.params["zone"] for request in service.requests] == ["ES", "KR"]
    result = run("grid", TZ="Etc/Nowhere")
    assert (result.exit_code, result.stderr[:13]) == (2, "error SW-603:")


def test_a_service_refusal_keeps_its_code(run, service):
    service.answers[f"GET /v1/jobs/{JOB}"] = problem(404, "SW-104", f"there is no open job {JOB}")
    result = run("jobs", JOB)
    assert (result.exit_code, result.stderr) == (2, f"error SW-104: there is no open job {JOB}\n")
    assert run("--lang", "ko", "jobs", JOB).stderr == f"오류 SW-104: 진행 중인 작업 {JOB} 없음\n"


def test_following_says_what_becomes_of_the_job_on_stderr(run, service):
    service.answers[f"GET /v1/jobs/{JOB}/logs"] = [
        log_part(b"", 0, final=False),
        log_part(b"", 0, final=False),
        log_part(b"one\n", 4, final=False),
        log_part(b"", 4, final=True),
    ]
    placed, done = job_view(state="placed", reason="waiting", updated_ms=DAY), job_view(state="finished")
    service.answers[f"GET /v1/jobs/{JOB}"] = [answer(placed), answer(placed), answer(done)]
    result = run("logs", JOB, "-f")
    assert result.stdout == "one\n"
    assert result.stderr.splitlines() == [
        f"{JOB}: placed – waiting brings cleaner or cheaper power (from 2023-06-12 09:00Z at es-solar)",
        f"{JOB}: finished – it runs for the first time",
    ]


def test_a_waiting_job_says_from_when_and_where(run, service):
    service.answers[f"GET /v1/jobs/{JOB}"] = answer(job_view(state="placed", reason="waiting", updated_ms=DAY))
    assert "(from 2023-06-12 09:00Z at es-solar)" in run("jobs", JOB).stdout
    service.answers[f"GET /v1/jobs/{JOB}"] = answer(job_view(state="expired", reason="deadline"))
    assert "its deadline passed before it could start" in run("jobs", JOB).stdout


def test_a_price_above_what_was_set_aside_is_not_called_paid(run, service):
    signed = receipt_in(genuine())
    for refund, told in ((0, "2.0000 ATH, all that was set aside"), (5, "2.0000 ATH\n")):
        paper = replace(signed, price_usd_micro=9_000_000, price_wei=2 * 10**18, refund_wei=refund)
        service.answers[f"GET /v1/jobs/{JOB}/receipt"] = answer(ReceiptView(receipt=paper, signature="ab", final=True))
        shown = run("receipt", JOB).stdout
        assert told in shown
        assert "9.0000 USD" in shown


def test_a_saving_that_rounds_to_nothing_is_called_none(run, service):
    same = replace(ASSIGNMENT, saves_ppm=-3_000)
    service.answers[f"GET /v1/jobs/{JOB}"] = answer(job_view(assignment=same))
    shown = run("plan", JOB).stdout
    assert "the same carbon as starting now" in shown
    assert "0 %" not in shown


def test_an_id_never_leads_to_another_address(run, service):
    service.answers["GET /v1/jobs/../sites"] = problem(404, "SW-104", "no job ../sites")
    assert run("jobs", "../sites").exit_code == 2
    assert service.requests[-1].url.raw_path == b"/v1/jobs/..%2Fsites"


def test_a_weight_and_a_price_are_sent_as_asked(run, service):
    run("network", "share", "Lab", "3")
    assert service.sent("POST", "/v1/policy")["shares"] == {"t-1": 3}
    service.requests.clear()
    run("network", "price", "--water", "2.5", "--transfer", "0.03", "--flat")
    sent = service.sent("POST", "/v1/policy")
    assert (sent["water_price_usd_micro_per_l"], sent["transfer_usd_micro_per_gb"]) == (2_500, 30_000)
    assert sent["transfer_by_region"] is False


def test_rules_of_credits_change_what_is_named(run, service):
    filters = ("--method", "any", "--country", "in")
    run("offset", "rules", "--registry", "market", *filters, "--slippage", "2.5", "--price", "80")
    sent = service.sent("POST", "/v1/offset/rules")
    assert (sent["registry"], sent["methods"], sent["countries"]) == ("market", [], ["IN"])
    assert (sent["slippage_bps"], sent["price_usd_micro_per_t"], sent["vintage_years_max"]) == (250, 80_000_000, 5)


def test_an_epoch_without_credits_has_no_statement_of_them(run):
    assert "no statement of credits" in run("offset", "statement", "--epoch", "9").output
