"""A service made of records, behind the client's transport, and a way to run one command line against it."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field, replace

import httpx
import pytest
from click.testing import CliRunner

from sunward.cli.main import cli
from sunward.cli.shell import Shell
from sunward.model.certificate import PlanCertificate, PricedPool
from sunward.model.codec import encode
from sunward.model.credits import (
    CreditOrder,
    CreditRules,
    EpochOffset,
    FilledOrder,
    OffsetView,
    RefusedOrder,
    RetiredCredits,
)
from sunward.model.explanation import Choice, Explanation, FilterLine, Promise, WaitPoint
from sunward.model.plan import Alternative, Assignment, AwakeTarget, PolicyInputs, ScoreTerms, Segment, Unplaced
from sunward.model.rate import RateView, SourceView
from sunward.model.receipt import EpochStatement
from sunward.model.records import (
    AccountView,
    AuditEntry,
    AuditPage,
    BudgetView,
    DepositMade,
    Enrolment,
    EpochClosed,
    Erased,
    FeedLine,
    GridStretch,
    GridView,
    HistoryLine,
    JobPage,
    JournalPage,
    PlanView,
    Quantiles,
    ReceiptView,
    SigningKey,
    SigningKeys,
    TenantLine,
    TenantMade,
    TenantPage,
    TokenLine,
    Whoami,
)
from sunward.model.request import JobView, Problem, Quote, SiteView, Submitted
from sunward.model.statement import MonthPage
from sunward.model.whatif import WhatIf, WhatIfPoint
from sunward.model.wire import JournalHead
from sunward.report.monthly import statement_line, totals_of
from sunward.report.receipts import build_receipt
from sunward.service.submit import NOTICE
from tests.support.bundles import genuine, genuine_journal, receipt_in
from tests.unit.report.samples import SPEC, parts

HOUR_MS = 3_600_000
DAY = 1_686_528_000_000
"""2023-06-12T00:00Z."""
JOB = "j-abcdefghij"

TOKEN = TokenLine(hash="ab" * 32, subject="t-1", scopes=("tenant",), expires_machine_ms=DAY, note="laptop")
ACT = AuditEntry(
    id=7, at_machine_ms=DAY, subject="t-op", action="create_token", target="t-1 tenant", address="127.0.0.1"
)
ASSIGNMENT = Assignment(
    job=JOB,
    revision=1,
    segments=(Segment(pool="es-solar/A100", start_ms=DAY + 9 * HOUR_MS, end_ms=DAY + 12 * HOUR_MS, containers=2),),
    free_read=4,
    terms=ScoreTerms(energy=1_000, carbon=20_000, water=3, ask=4_000_000, transfer=5, wake=6, risk=7, shadow=8),
    energy_j=7_200_000,
    carbon_mg=340_000,
    reason="waiting",
    saves_ppm=470_000,
    alternatives=(Alternative(label="now", start_ms=DAY, total_usd_micro=5_000_000, carbon_mg=640_000),),
)
REFUSAL = Unplaced(job="j-huge", revision=1, reason="gpus", detail="largest site has 4", permanent=True)
QUOTE = Quote(
    assignment=ASSIGNMENT,
    unplaced=None,
    price_usd_micro=4_020_000,
    escrow_wei=5 * 10**18,
    start_ms=DAY + 9 * HOUR_MS,
    finish_ms=DAY + 12 * HOUR_MS,
    notice=NOTICE,
)
CHOSEN = Choice(
    label="planned",
    segments=ASSIGNMENT.segments,
    terms=ASSIGNMENT.terms,
    total_usd_micro=ASSIGNMENT.terms.total,
    more_usd_micro=0,
    price_usd_micro=4_000_000,
    energy_j=7_200_000,
    carbon_mg=340_000,
)
CERTIFICATE = PlanCertificate(
    at_ms=DAY,
    based_on=7,
    jobs=3,
    exact=1,
    loose=1,
    stays=1,
    without=(),
    cost_usd_micro=4_100_000,
    bound_usd_micro=4_000_000,
    gap_ppm=24_390,
    holds=True,
    pools=(
        PricedPool(pool="es-solar/A100", scarce_ms=9_000_000, mean_usd_micro_per_h=12_000, most_usd_micro_per_h=50_000),
    ),
)
EXPLANATION = Explanation(
    job=JOB,
    state="placed",
    at_ms=DAY,
    based_on=41,
    assignment=ASSIGNMENT,
    refusal=None,
    promise=Promise(
        finish_by_ms=DAY + 13 * HOUR_MS,
        start_by_ms=0,
        start_ms=DAY + 9 * HOUR_MS,
        end_ms=DAY + 12 * HOUR_MS,
        spare_ms=HOUR_MS,
        stated_ppm=950_000,
    ),
    fixed=False,
    pools=9,
    filters=(FilterLine(name="memory", removed=2, left=7), FilterLine(name="country", removed=0, left=7)),
    chosen=CHOSEN,
    alternatives=(replace(CHOSEN, label="now", more_usd_micro=978_971, carbon_mg=640_000),),
    waiting=tuple(
        WaitPoint(
            finish_by_ms=DAY + hour * HOUR_MS,
            start_ms=DAY,
            end_ms=DAY + 3 * HOUR_MS,
            total_usd_micro=4_000_000,
            price_usd_micro=4_000_000,
            carbon_mg=carbon_mg,
        )
        for hour, carbon_mg in ((4, 640_000), (13, 340_000))
    ),
)
WHAT_IF = WhatIf(
    at_ms=DAY,
    based_on=41,
    jobs=(JOB,),
    left_out=1,
    points=tuple(
        WhatIfPoint(
            carbon_price_usd_per_t=price,
            placed=1,
            unplaced=0,
            price_usd_micro=4_000_000,
            cost_usd_micro=cost,
            carbon_mg=carbon_mg,
            delay_ms=delay_h * HOUR_MS,
            finish_ms=DAY + 12 * HOUR_MS,
            frontier=frontier,
        )
        for price, cost, carbon_mg, delay_h, frontier in (
            (0, 4_000_000, 640_000, 0, True),
            (100, 4_200_000, 700_000, 2, False),
            (5_000, 4_500_000, 340_000, 9, True),
        )
    ),
)
ORDER = CreditOrder(
    order="co-open",
    epoch=1,
    at_ms=DAY,
    registry="cnaught",
    kg=12,
    price_usd_micro_per_t=100_000_000,
    limit_usd_micro_per_t=105_000_000,
    wei_per_usd_micro=2 * 10**12,
    held_wei=1_260_000 * 2 * 10**12,
    vintage_from=2018,
    methods=(),
    countries=(),
    start_ms=DAY - 24 * HOUR_MS,
    end_ms=DAY,
    emitted=(),
    sent_ms=DAY,
)
LOT = RetiredCredits(
    registry="vcs", first=5, last=9, kg=5, vintage=2022, method="ACM0002", country="IN", project="wind", test=True
)
OFFSET = OffsetView(
    share_bps=150,
    account_wei=str(3 * 10**18),
    held_wei=str(10**18),
    spent_wei=str(2 * 10**18),
    liability_mg=7_000_000,
    residual_to_date_mg=12_000_000,
    retired_to_date_kg=5,
    test_to_date_kg=5,
    coverage_ppm=416_666,
    sentence="Retired credits cover 41.66 % of measured residual.",
    rules=CreditRules(registry="cnaught", methods=("ACM0002",), price_usd_micro_per_t=90_000_000),
    open=(ORDER,),
    filled=(
        FilledOrder(
            order=replace(ORDER, order="co-done"),
            at_ms=DAY,
            epoch=2,
            credits=(LOT,),
            paid_usd_micro=500_000,
            paid_wei=10**18,
            counted_kg=0,
            certificate="",
        ),
    ),
    refused=(RefusedOrder(order="co-gone", at_ms=DAY, reason="out of stock"),),
)
RATE = RateView(
    wei_per_usd_micro=str(10**18 // 400_000),
    usd_micro_per_ath=400_000,
    fixed=False,
    at_ms=20 * HOUR_MS,
    stale=True,
    quotes_refused=False,
    promises_paused=True,
    paused_ms=20 * HOUR_MS,
    reference_usd_micro_per_ath=600_000,
    sources=(
        SourceView(source="gecko", usd_micro_per_ath=400_000, told_ms=20 * HOUR_MS),
        SourceView(source="own", usd_micro_per_ath=None, told_ms=0),
    ),
)
POLICY = PolicyInputs(tenant_shares=(("t-1", 3), ("t-9", 1)))
REFUSED_QUOTE = Quote(
    assignment=None, unplaced=REFUSAL, price_usd_micro=0, escrow_wei=0, start_ms=0, finish_ms=0, notice=QUOTE.notice
)
HEAD = JournalHead(sequence=7, hash="ab" * 32, term=1, signature="cd" * 64)


def job_view(job=JOB, state="running", **changes):
    values = {
        "job": job,
        "name": "train",
        "state": state,
        "reason": "started",
        "site": "es-solar",
        "units": 1_000,
        "units_done": 250,
        "submitted_ms": DAY,
        "deadline_ms": DAY + 12 * HOUR_MS,
        "updated_ms": DAY + HOUR_MS,
        "assignment": ASSIGNMENT,
        "refusal": None,
    }
    return JobView(**{**values, **changes})


HUGE = job_view(
    "j-huge", "refused", name="huge", reason="gpus", site="", units_done=0, assignment=None, refusal=REFUSAL
)
HISTORY = (
    HistoryLine(at_ms=DAY, state="submitted", reason="submitted", detail="", site="", units=0),
    HistoryLine(at_ms=DAY + HOUR_MS, state="running", reason="started", detail="", site="es-solar", units=0),
)
SITE = SiteView(
    site="no-hydro",
    zone="NO-NO1",
    country="NO",
    gpu_model="H100-SXM",
    gpus=4,
    awake=2,
    busy=1,
    reachable=True,
    overhead_ppm=1_080_000,
    overhead_quality="modelled",
    carbon_mg_per_kwh=30_000,
    carbon_quality="modelled",
    ask_usd_micro_per_gpu_h=1_900_000,
    power_state="busy",
)
GRID = GridView(
    zone="ES",
    name="Spain",
    start_ms=DAY,
    carbon_mg_per_kwh=Quantiles(p10=(90_000, 390_000), p50=(100_000, 500_000), p90=(110_000, 600_000)),
    price_usd_micro_per_kwh=Quantiles(p10=(1, 2), p50=(80_000, 120_000), p90=(3, 4)),
    source="a named series",
    quality="measured",
    past=(
        GridStretch(
            kind="carbon_average_lifecycle",
            unit="mgCO2e/kWh",
            start_ms=DAY - 3 * HOUR_MS,
            values=(50_000, 60_000, 70_000),
            source="NESO",
            quality="measured",
        ),
    ),
    more=(
        GridStretch(
            kind="carbon_marginal",
            unit="mgCO2e/kWh",
            start_ms=DAY,
            values=(1, 2),
            source="WattTime",
            quality="forecast",
        ),
    ),
)
FEED = FeedLine(
    zone="GB",
    kind="carbon_average_lifecycle",
    feed="neso",
    source="NESO",
    using="observed",
    quality="estimated",
    observed_to_ms=DAY,
    had_ms=DAY + 60_000,
    next_ms=DAY + 900_000,
    failures=0,
    code="",
    error="",
)
FEEDS = [
    FEED,
    replace(
        FEED,
        zone="DE",
        feed="electricity-maps",
        using="typical year",
        had_ms=0,
        failures=2,
        code="SW-223",
        error="host refuses the key",
    ),
]
PLAN = PlanView(
    based_on=41,
    at_ms=DAY,
    assignments=(ASSIGNMENT,),
    unplaced=(REFUSAL,),
    awake=(AwakeTarget(pool="es-solar/A100", start_ms=DAY, end_ms=DAY + HOUR_MS, count=2),),
)
EPOCH = EpochStatement(
    epoch=1,
    start_ms=DAY,
    end_ms=DAY + 24 * HOUR_MS,
    receipts=("aa", "bb"),
    receipts_root="cc",
    facility_j=36_000_000,
    idle_j=1,
    location_mg=5_000_000,
    market_mg=6_000_000,
    embodied_mg=1,
    paid_usd_micro=31_400_000,
    paid_wei=10**18,
    provider_wei=8 * 10**17,
    network_wei=2 * 10**17,
    offset_wei=0,
    refunded_wei=0,
    liability_mg=1,
    offset_share_bps=100,
    next_offset_share_bps=100,
    balance_wei=0,
    offset=EpochOffset(
        location_mg=5_000_000,
        market_mg=6_000_000,
        embodied_mg=1,
        matched_wh=1_500,
        residual_mg=6_000_001,
        retired_kg=5,
        test_kg=0,
        paid_wei=10**18,
        credits=(LOT,),
        residual_to_date_mg=12_000_000,
        retired_to_date_kg=5,
        coverage_ppm=416_666,
    ),
)


BUDGET = BudgetView(
    limit_usd_micro=50_000_000,
    alert_percent=80,
    webhook="https://hooks.example/x",
    month="2023-06",
    spent_usd_micro=20_000_000,
    open_usd_micro=5_000_000,
)
WHOAMI = Whoami(subject="t-1", roles=("tenant",), site="", expires_machine_ms=DAY + 24 * HOUR_MS)
LINES = (
    statement_line(build_receipt(parts()), 1_999_999, digest="ab" * 32, name="train"),
    statement_line(build_receipt(parts(spec=replace(SPEC, job="j-zzzzzzzzzz"))), 2_000_000, name="=cmd()"),
)
MONTH = MonthPage(
    tenant="t-1",
    month="2023-06",
    start_ms=DAY - 11 * 24 * HOUR_MS,
    end_ms=DAY + 19 * 24 * HOUR_MS,
    at_ms=DAY + 24 * HOUR_MS,
    lines=LINES,
    totals=totals_of(LINES),
    pending=("j-late",),
    next=None,
)


def archive(*members):
    """A tar archive of (name, content) files and of ready headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                target.addfile(member)
                continue
            entry = tarfile.TarInfo(member[0])
            entry.size = len(member[1])
            target.addfile(entry, io.BytesIO(member[1]))
    return buffer.getvalue()


def answer(record, status=200, **headers):
    return httpx.Response(status, content=record if isinstance(record, bytes) else encode(record), headers=headers)


def problem(status, code, detail):
    return answer(Problem(type="about:blank", title="no", status=status, detail=detail, code=code), status)


def log_part(text, offset, *, final):
    return answer(text, **{"Sunward-Next-Offset": str(offset), "Sunward-Final": str(int(final))})


@dataclass
class Service:
    """Answers by method and path; a list is used up, its last answer stays."""

    answers: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        absent = {"HEAD": httpx.Response(404)} if request.method == "HEAD" else {}
        found = self.answers.get(f"{request.method} {request.url.path}", absent.get(request.method))
        assert found is not None, f"{request.method} {request.url.path}"
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, Exception):
            raise found
        return found(request) if callable(found) else found

    def sent(self, method, path):
        """The JSON of the last request to a path."""
        found = [each for each in self.requests if (each.method, each.url.path) == (method, path)]
        return json.loads(found[-1].content)


def records_after(request):
    records, _bundle = genuine_journal()
    after = int(request.url.params["after"])
    page = [each for each in records if each.sequence > after][: int(request.url.params["limit"])]
    return answer(JournalPage(records=tuple(page)))


def whole_service():
    records, bundle = genuine_journal()
    job = f"/v1/jobs/{JOB}"
    return Service(
        {
            "POST /v1/quotes": answer(QUOTE),
            "POST /v1/jobs": answer(Submitted(job=JOB, state="submitted", journal=HEAD), 201),
            "GET /v1/jobs": [
                answer(JobPage(jobs=(job_view(),), next="1")),
                answer(JobPage(jobs=(HUGE,), next=None)),
            ],
            f"GET {job}": answer(job_view()),
            f"GET {job}/history": answer(HISTORY),
            f"GET {job}/explanation": answer(EXPLANATION),
            "GET /v1/plan/certificate": answer(CERTIFICATE),
            f"POST {job}/cancel": answer(job_view(state="cancelled")),
            f"GET {job}/logs": [log_part(b"one\n", 4, final=False), log_part(b"", 4, final=True)],
            f"GET {job}/output": answer(archive(("model/w.bin", b"weights"), ("log.txt", b"x"))),
            f"GET {job}/receipt": answer(ReceiptView(receipt=receipt_in(genuine()), signature="ab", final=True)),
            f"GET {job}/bundle": answer(genuine()),
            "GET /v1/jobs/j-huge": answer(HUGE),
            "PUT /v1/objects": answer({"digest": "d" * 64}),
            "GET /v1/grid": answer(GRID),
            "GET /v1/feeds": answer(FEEDS),
            "GET /v1/sites": answer((SITE,)),
            "GET /v1/tenants": answer(TenantPage(tenants=(TenantLine(tenant="t-1", name="Lab"),), next=None)),
            "POST /v1/tenants": answer(TenantMade(tenant="t-2", token="sw_new")),
            "DELETE /v1/account/content": answer(Erased(tenant="t-1", jobs=2, objects=3)),
            "DELETE /v1/tenants/t-1/content": answer(Erased(tenant="t-1", jobs=2, objects=3)),
            "GET /v1/tokens": answer((TOKEN,)),
            "POST /v1/tokens": answer(Enrolment(token="sw_made")),
            f"DELETE /v1/tokens/{TOKEN.hash}": answer(b"", 204),
            "GET /v1/audit": answer(AuditPage(acts=(ACT,), next=None)),
            "POST /v1/enrolments": answer(Enrolment(token="once-1234")),
            "GET /v1/plan": answer(PLAN),
            "POST /v1/plan/what-if": answer(WHAT_IF),
            "GET /v1/epochs": answer((EPOCH,)),
            "GET /v1/offset": answer(OFFSET),
            "POST /v1/offset/rules": answer(OFFSET.rules),
            "GET /v1/rate": answer(RATE),
            "POST /v1/rate/confirm": answer(RATE),
            "GET /v1/policy": answer(POLICY),
            "POST /v1/policy": answer(POLICY),
            "POST /v1/epochs/close": answer(EpochClosed(epoch=2, journal=HEAD)),
            "GET /v1/journal/head": answer(
                JournalHead(sequence=records[-1].sequence, hash=records[-1].hash, term=records[-1].term)
                if bundle.head.sequence != records[-1].sequence
                else bundle.head
            ),
            "GET /v1/keys": answer(SigningKeys(keys=(SigningKey(public_key="ab" * 32, first=1),), rotations=())),
            "GET /v1/journal": records_after,
            "GET /v1/account": answer(AccountView(tenant="t-1", balance_wei=3 * 10**18)),
            "GET /v1/account/budget": answer(BUDGET),
            "POST /v1/account/budget": answer(BUDGET),
            "GET /v1/statement": answer(MONTH),
            "GET /v1/whoami": answer(WHOAMI),
            "POST /v1/account/deposits": answer(DepositMade(balance_wei=4 * 10**18, journal=HEAD)),
        }
    )


@pytest.fixture
def service():
    return whole_service()


@pytest.fixture
def home(tmp_path):
    """A home folder as `sunward up` leaves it."""
    tokens = {f"{role}_token": f"{role}-secret" for role in ("tenant", "operator", "provider", "auditor")}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials.json").write_text(json.dumps({"url": "http://service.test", **tokens}))
    return tmp_path / "home"


@pytest.fixture
def run(service, home, monkeypatch):
    """Run one command line; `lang` and more environment by keyword."""
    for name in (
        "SUNWARD_LANG",
        "LC_ALL",
        "LC_MESSAGES",
        "SUNWARD_ZONE",
        "SUNWARD_URL",
        "SUNWARD_TOKEN",
        "SUNWARD_CA",
        "SUNWARD_INSECURE",
        "TZ",
        "LANGUAGE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")

    def invoke(*words, stdin=None, **env):
        shell = Shell(transport=httpx.MockTransport(service), sleep=lambda _seconds: None)
        environment = {"SUNWARD_HOME": str(home), **env}
        return CliRunner().invoke(cli, list(words), obj=shell, input=stdin, env=environment, catch_exceptions=False)

    return invoke
