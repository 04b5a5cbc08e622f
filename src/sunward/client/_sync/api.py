# Made from src/sunward/client/_async/api.py by tools/build_sync.py; change that one.
"""The service's REST API as a typed client: records in, records out, its problems as this project's errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar
from urllib.parse import quote

import httpx

from sunward.client._sync.chain import Chain
from sunward.client._sync.http import TIMEOUT_S, Http
from sunward.client._sync.incentives import Incentives
from sunward.client._sync.reserve import Reserve
from sunward.client.answers import LogPart, job_path, log_part, read, site_path, verdict_path
from sunward.client.pack import digest_of
from sunward.client.waiting import CHUNK_BYTES, apart, chunks
from sunward.errors import SourceError
from sunward.model.certificate import PlanCertificate
from sunward.model.challenge import ChallengeRules, ChallengeView
from sunward.model.explanation import Explanation
from sunward.model.granular import CertificateBundle, GenerationDevice
from sunward.model.granular_views import (
    CertificatePage,
    DeviceRequest,
    ImportRequest,
    IssueRequest,
    MoveRequest,
    Registered,
    UseRequest,
    WithdrawRequest,
)
from sunward.model.place import AnchorWish, PlaceRules, RoundTrip
from sunward.model.place_events import PlaceMeasured
from sunward.model.plan import PolicyInputs
from sunward.model.receipt import EpochStatement
from sunward.model.records import (
    AccountView,
    AuditPage,
    BudgetRequest,
    BudgetView,
    DepositMade,
    DepositRequest,
    Enrolment,
    EnrolmentRequest,
    EntryPage,
    EpochClosed,
    Erased,
    FeedLine,
    GridView,
    HistoryLine,
    JobPage,
    JournalPage,
    PlanView,
    PolicyRequest,
    ReceiptView,
    SigningKeys,
    Stored,
    TenantLine,
    TenantMade,
    TenantPage,
    TenantRequest,
    TokenLine,
    TokenRequest,
    Whoami,
)
from sunward.model.request import JobRequest, JobView, Quote, SiteView, Submitted
from sunward.model.site import Ceiling
from sunward.model.site_views import AskRequest, CeilingRequest, DrainRequest, Left, SiteStatus
from sunward.model.statement import MonthPage, MonthStatement
from sunward.model.trust_views import (
    AppealRequest,
    DecisionRequest,
    EvidenceCheck,
    EvidenceLine,
    EvidenceRequest,
    SiteAudit,
    StolenKey,
    VerdictLine,
    VerdictRequest,
)
from sunward.model.whatif import WhatIf, WhatIfRequest
from sunward.model.wire import ClockMapping, JournalHead, RecordedEvent
from sunward.report.monthly import whole_month

T = TypeVar("T")

PAGE = 500


class ApiClient(Chain, Incentives, Reserve):
    """One service, one token.

    Every method raises SourceError when the service cannot be used, and InputError, NotFoundError or
    ConflictError with the service's own code when it refuses.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        ca: Path | None = None,
        insecure: bool = False,
    ) -> None:
        self._http = Http(url, token, transport=transport, timeout_s=timeout_s, ca=ca, insecure=insecure)

    @property
    def url(self) -> str:
        """The service's address."""
        return self._http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def quote(self, request: JobRequest) -> Quote:
        """What a job would cost and cause."""
        return read(self._http.post("/v1/quotes", request), Quote)

    def submit(self, request: JobRequest, key: str = "") -> Submitted:
        """Submit a job; the same request with the same `key` gives the same job, whenever it comes again."""
        return read(self._http.post("/v1/jobs", request, key), Submitted)

    def jobs(self, *, state: str = "", limit: int = 0) -> tuple[JobView, ...]:
        """The caller's jobs, newest first; at most `limit` when it is not 0."""
        found: list[JobView] = []
        after = ""
        while True:
            page = read(self._http.get("/v1/jobs", after=after, limit=PAGE, state=state), JobPage)
            found.extend(page.jobs)
            if not page.next or (limit and len(found) >= limit):
                return tuple(found[: limit or None])
            after = page.next

    def job(self, job: str) -> JobView:
        """One job."""
        return read(self._http.get(job_path(job)), JobView)

    def history(self, job: str) -> tuple[HistoryLine, ...]:
        """Every change of state of a job."""
        return read(self._http.get(job_path(job, "history")), tuple[HistoryLine, ...])

    def explanation(self, job: str) -> Explanation:
        """Why a job is placed as it is, and what else was possible."""
        return read(self._http.get(job_path(job, "explanation")), Explanation)

    def cancel(self, job: str) -> JobView:
        """Stop a job."""
        return read(self._http.post(job_path(job, "cancel"), {}), JobView)

    def logs(self, job: str, offset: int = 0) -> LogPart:
        """The log from a byte offset."""
        return log_part(self._http.get(job_path(job, "logs"), offset=offset))

    def save_output(self, job: str, target: BinaryIO) -> None:
        """Write a job's output archive to an open file."""
        with self._http.stream(job_path(job, "output")) as reply:
            for chunk in reply.iter_bytes(CHUNK_BYTES):
                apart(target.write, chunk)

    def receipt(self, job: str) -> ReceiptView:
        """The receipt of a job."""
        return read(self._http.get(job_path(job, "receipt")), ReceiptView)

    def bundle(self, job: str) -> bytes:
        """All that the offline check of a receipt needs, as JSON."""
        return (self._http.get(job_path(job, "bundle"))).content

    def put_object(self, file: Path) -> str:
        """Store a file; its digest."""
        size = (apart(file.stat)).st_size
        with file.open("rb") as source:
            return read(self._http.put("/v1/objects", chunks(source), size), Stored).digest

    def keep_object(self, file: Path) -> str:
        """Store a file unless the service holds the same content for you already; its digest."""
        digest = apart(digest_of, file)
        if self._http.holds(f"/v1/objects/{digest}"):
            return digest
        return self.put_object(file)

    def read_object(self, digest: str) -> bytes:
        """A stored file."""
        return (self._http.get(f"/v1/objects/{digest}")).content

    def grid(self, zone: str, hours: int, past: int = 0) -> GridView:
        """The hours ahead in a zone, and `past` hours gone."""
        return read(self._http.get("/v1/grid", zone=zone, hours=hours, past=past), GridView)

    def feeds(self) -> tuple[FeedLine, ...]:
        """How every series of a live feed stands."""
        return read(self._http.get("/v1/feeds"), tuple[FeedLine, ...])

    def sites(self) -> tuple[SiteView, ...]:
        """All sites."""
        return self._all("/v1/sites", SiteView)

    def site(self, site: str) -> SiteStatus:
        """One site; with its leases and earnings for its owner."""
        return read(self._http.get(site_path(site)), SiteStatus)

    def drain(self, site: str, *, draining: bool = True) -> SiteStatus:
        """Offer a site no more work and move what can be moved; or offer it work again."""
        return read(self._http.post(site_path(site, "drain"), DrainRequest(draining=draining)), SiteStatus)

    def ceilings(self, site: str) -> tuple[Ceiling, ...]:
        """What limits the power of a site, now or later."""
        return read(self._http.get(site_path(site, "ceilings")), tuple[Ceiling, ...])

    def curtail(self, site: str, kw: float, until_ms: int, start_ms: int = 0) -> Ceiling:
        """Limit what a site draws until a moment, from now on or from another; running work yields with notice."""
        wanted = CeilingRequest(kw=kw, until_ms=until_ms, start_ms=start_ms)
        return read(self._http.post(site_path(site, "ceilings"), wanted), Ceiling)

    def lift_ceiling(self, site: str, ceiling: str) -> None:
        """Lift a limit before its end."""
        self._http.delete(site_path(site, "ceilings/" + quote(ceiling, safe="")))

    def certificates(self, state: str = "") -> tuple[CertificateBundle, ...]:
        """The caller's own granular certificates in order of ids; operator and auditor read all."""
        found: list[CertificateBundle] = []
        after: int | None = 0
        while after is not None:
            page = read(self._http.get("/v1/certificates", state=state, after=after), CertificatePage)
            found += page.bundles
            after = page.next
        return tuple(found)

    def declare_generation(self, wanted: DeviceRequest) -> GenerationDevice:
        """Declare a device that generates at a site of the caller."""
        return read(self._http.post("/v1/certificates/devices", wanted), GenerationDevice)

    def issue_certificates(self, wanted: IssueRequest) -> Registered:
        """Issue certificates for metered hours of a device."""
        return read(self._http.post("/v1/certificates/issue", wanted), Registered)

    def import_certificates(self, wanted: ImportRequest) -> Registered:
        """Take over what was retired in another registry."""
        return read(self._http.post("/v1/certificates/import", wanted), Registered)

    def move_certificates(self, wanted: MoveRequest) -> Registered:
        """Give certificates to another account."""
        return read(self._http.post("/v1/certificates/move", wanted), Registered)

    def cancel_certificates(self, wanted: UseRequest) -> Registered:
        """Cancel certificates for a site, a tenant or a job, for good."""
        return read(self._http.post("/v1/certificates/cancel", wanted), Registered)

    def withdraw_certificates(self, wanted: WithdrawRequest) -> Registered:
        """Take back, on a verdict, what nothing final counts yet."""
        return read(self._http.post("/v1/certificates/withdraw", wanted), Registered)

    def site_audit(self, site: str) -> SiteAudit:
        """What is believed of a site, why, and what would raise it."""
        return read(self._http.get(site_path(site, "audit")), SiteAudit)

    def file_evidence(self, site: str, wanted: EvidenceRequest) -> EvidenceLine:
        """File evidence; what a site's owner files is declared until somebody else has checked it."""
        return read(self._http.post(site_path(site, "evidence"), wanted), EvidenceLine)

    def report_stolen_key(self, site: str, from_counter: int) -> VerdictLine:
        """Say, as the owner, that others held a site's key from a batch on: no more of its batches are taken."""
        return read(self._http.post(site_path(site, "stolen-key"), StolenKey(from_counter=from_counter)), VerdictLine)

    def read_evidence(self, site: str, evidence: str) -> bytes:
        """The document behind evidence, for the site's owner, auditors and the operator."""
        return (self._http.get(site_path(site, "evidence/" + quote(evidence, safe="")))).content

    def check_evidence(self, site: str, evidence: str, wanted: EvidenceCheck) -> EvidenceLine:
        """Say, as an auditor or operator, what evidence shows."""
        path = site_path(site, "evidence/" + quote(evidence, safe="") + "/check")
        return read(self._http.post(path, wanted), EvidenceLine)

    def issue_verdict(self, site: str, wanted: VerdictRequest) -> VerdictLine:
        """Say, as an auditor or operator, what is wrong at a site; its owner may appeal."""
        return read(self._http.post(site_path(site, "verdicts"), wanted), VerdictLine)

    def appeal(self, verdict: str, wanted: AppealRequest) -> VerdictLine:
        """Contradict a verdict about one's own site."""
        return read(self._http.post(verdict_path(verdict, "appeal"), wanted), VerdictLine)

    def read_appeal(self, verdict: str) -> AppealRequest:
        """What was said against a verdict."""
        return read(self._http.get(verdict_path(verdict, "appeal")), AppealRequest)

    def decide(self, verdict: str, wanted: DecisionRequest) -> VerdictLine:
        """Decide an appeal; neither the owner nor who issued the verdict may."""
        return read(self._http.post(verdict_path(verdict, "decision"), wanted), VerdictLine)

    def challenge(self, site: str) -> tuple[ChallengeView, ...]:
        """Have a site show now that its free containers are what it declared; its open challenges."""
        return read(self._http.post(site_path(site, "challenge"), {}), tuple[ChallengeView, ...])

    def challenges(self) -> tuple[ChallengeView, ...]:
        """Open challenges, and how the last one of each pool ended; the newest first."""
        return read(self._http.get("/v1/challenges"), tuple[ChallengeView, ...])

    def challenge_rules(self) -> ChallengeRules:
        """How this network challenges."""
        return read(self._http.get("/v1/challenges/rules"), ChallengeRules)

    def set_challenge_rules(self, rules: ChallengeRules) -> ChallengeRules:
        """Challenge by these rules from the next full hour of grid time on."""
        return read(self._http.post("/v1/challenges/rules", rules), ChallengeRules)

    def place_rules(self) -> PlaceRules:
        """What this network asks of the place of its sites, and its anchors."""
        return read(self._http.get("/v1/places/rules"), PlaceRules)

    def set_place_rules(self, rules: PlaceRules) -> PlaceRules:
        """Ask this of places from now on; every site is measured anew."""
        return read(self._http.post("/v1/places/rules", rules), PlaceRules)

    def anchor_wishes(self, anchor: str) -> tuple[AnchorWish, ...]:
        """Sites that an anchor, named by its key, is to measure now."""
        return read(self._http.get("/v1/places/wishes", anchor=anchor), tuple[AnchorWish, ...])

    def send_round_trip(self, trip: RoundTrip) -> PlaceMeasured:
        """Deliver what an anchor measured; the same again changes nothing."""
        return read(self._http.post("/v1/places/round-trips", trip), PlaceMeasured)

    def change_terms(self, site: str, wanted: AskRequest) -> SiteStatus:
        """Change a site's ask or payout."""
        return read(self._http.post(site_path(site, "ask"), wanted), SiteStatus)

    def leave(self, site: str) -> Left:
        """Take a site out of the network; ConflictError while anything binds it."""
        return read(self._http.post(site_path(site, "leave"), {}), Left)

    def enrol(self, note: str, site: str = "") -> Enrolment:
        """A one-time token for a new site; or for one that joined before and lost its key."""
        return read(self._http.post("/v1/enrolments", EnrolmentRequest(note=note, site=site)), Enrolment)

    def tokens(self) -> tuple[TokenLine, ...]:
        """Every token, without its secret."""
        return self._all("/v1/tokens", TokenLine)

    def create_token(self, wanted: TokenRequest) -> Enrolment:
        """A token for a subject."""
        return read(self._http.post("/v1/tokens", wanted), Enrolment)

    def revoke_token(self, token_hash: str) -> None:
        """End a token."""
        self._http.delete("/v1/tokens/" + quote(token_hash, safe=""))

    def tenants(self) -> tuple[TenantLine, ...]:
        """Every tenant."""
        found: list[TenantLine] = []
        after = ""
        while True:
            page = read(self._http.get("/v1/tenants", after=after, limit=PAGE), TenantPage)
            found.extend(page.tenants)
            if not page.next:
                return tuple(found)
            after = page.next

    def add_tenant(self, name: str, days: int = 0) -> TenantMade:
        """A new tenant with its first token."""
        return read(self._http.post("/v1/tenants", TenantRequest(name=name, days=days)), TenantMade)

    def erase_tenant(self, tenant: str, *, cancel: bool = False) -> Erased:
        """Erase a tenant's private content; its jobs must have ended, or are cancelled first."""
        return self._erase(f"/v1/tenants/{quote(tenant, safe='')}/content", cancel=cancel)

    def erase_content(self, *, cancel: bool = False) -> Erased:
        """Erase one's own private content; one's jobs must have ended, or are cancelled first."""
        return self._erase("/v1/account/content", cancel=cancel)

    def _erase(self, path: str, *, cancel: bool) -> Erased:
        return read(self._http.delete(path, cancel="true" if cancel else ""), Erased)

    def audit(self, after: int = 0, limit: int = PAGE) -> AuditPage:
        """Who did what, oldest first."""
        return read(self._http.get("/v1/audit", after=after, limit=limit), AuditPage)

    def plan(self) -> PlanView:
        """The present plan."""
        return read(self._http.get("/v1/plan"), PlanView)

    def plan_certificate(self) -> PlanCertificate:
        """What the plan costs beside a bound that no plan for the same jobs goes below."""
        return read(self._http.get("/v1/plan/certificate"), PlanCertificate)

    def what_if(self, wanted: WhatIfRequest) -> WhatIf:
        """What jobs would cost and cause at other carbon prices."""
        return read(self._http.post("/v1/plan/what-if", wanted), WhatIf)

    def epochs(self) -> tuple[EpochStatement, ...]:
        """Closed epochs, oldest first."""
        return self._all("/v1/epochs", EpochStatement)

    def close_epoch(self) -> EpochClosed:
        """Close the present epoch now."""
        return read(self._http.post("/v1/epochs/close", {}), EpochClosed)

    def policy(self) -> PolicyInputs:
        """What plans are made by."""
        return read(self._http.get("/v1/policy"), PolicyInputs)

    def set_policy(self, wanted: PolicyRequest) -> PolicyInputs:
        """Change what plans are made by; what is left out stays."""
        return read(self._http.post("/v1/policy", wanted), PolicyInputs)

    def journal_head(self) -> JournalHead:
        """Where the journal stands."""
        return read(self._http.get("/v1/journal/head"), JournalHead)

    def signing_keys(self) -> SigningKeys:
        """The service's signing keys, oldest first."""
        return read(self._http.get("/v1/keys"), SigningKeys)

    def journal(self, after: int = 0, limit: int = PAGE) -> tuple[RecordedEvent, ...]:
        """At most `limit` journal records with a sequence greater than `after`."""
        return read(self._http.get("/v1/journal", after=after, limit=limit), JournalPage).records

    def whole_journal(self) -> Iterator[RecordedEvent]:
        """Every journal record, from the first."""
        after = 0
        while records := self.journal(after):
            for record in records:
                yield record
            after = records[-1].sequence

    def account(self) -> AccountView:
        """The caller's account."""
        return read(self._http.get("/v1/account"), AccountView)

    def deposit(self, amount_usd: float) -> DepositMade:
        """Test money from the local faucet."""
        return read(self._http.post("/v1/account/deposits", DepositRequest(amount_usd=amount_usd)), DepositMade)

    def budget(self) -> BudgetView:
        """The monthly limit, if any, and what this month has cost so far."""
        return read(self._http.get("/v1/account/budget"), BudgetView)

    def set_budget(self, wanted: BudgetRequest) -> BudgetView:
        """Set or drop the monthly limit."""
        return read(self._http.post("/v1/account/budget", wanted), BudgetView)

    def statement(self, month: str, tenant: str = "") -> MonthStatement:
        """The jobs that ended in a month, `YYYY-MM` of UTC; an operator or auditor names the tenant."""
        pages: list[MonthPage] = []
        after = ""
        while not pages or after:
            reply = self._http.get("/v1/statement", month=month, tenant=tenant, after=after, limit=PAGE)
            pages.append(read(reply, MonthPage))
            after = pages[-1].next or ""
        return whole_month(pages)

    def whoami(self) -> Whoami:
        """Whose token this is, and what it allows."""
        return read(self._http.get("/v1/whoami"), Whoami)

    def balances(self) -> dict[str, str]:
        """Wei by account, and their `total`."""
        return read(self._http.get("/v1/ledger/balances"), dict[str, str])

    def entries(self, account: str = "", after: str = "", limit: int = PAGE) -> EntryPage:
        """Some postings of the ledger, of one account or of all."""
        return read(self._http.get("/v1/ledger/entries", account=account, after=after, limit=limit), EntryPage)

    def _all(self, path: str, kind: type[T]) -> tuple[T, ...]:
        """Every line of a list that the service gives page by page."""
        found: list[T] = []
        after = ""
        while True:
            reply = self._http.get(path, after=after)
            found.extend(read(reply, tuple[kind, ...]))  # type: ignore[valid-type]
            after = reply.headers.get("Sunward-Next", "")
            if not after:
                return tuple(found)

    def healthy(self) -> bool:
        """Whether the service answers and is well."""
        try:
            return (self._http.get("/healthz")).is_success
        except SourceError:
            return False

    def clock(self) -> ClockMapping:
        """The service's grid clock."""
        return read(self._http.get("/v1/clock"), ClockMapping)
