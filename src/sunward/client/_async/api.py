"""The service's REST API as a typed client: records in, records out, its problems as this project's errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar
from urllib.parse import quote

import httpx

from sunward.client._async.chain import AsyncChain
from sunward.client._async.http import TIMEOUT_S, AsyncHttp
from sunward.client._async.incentives import AsyncIncentives
from sunward.client._async.reserve import AsyncReserve
from sunward.client.answers import LogPart, job_path, log_part, read, site_path, verdict_path
from sunward.client.pack import digest_of
from sunward.client.waiting import CHUNK_BYTES, async_apart, async_chunks
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


class AsyncApiClient(AsyncChain, AsyncIncentives, AsyncReserve):
    """One service, one token.

    Every method raises SourceError when the service cannot be used, and InputError, NotFoundError or
    ConflictError with the service's own code when it refuses.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        ca: Path | None = None,
        insecure: bool = False,
    ) -> None:
        self._http = AsyncHttp(url, token, transport=transport, timeout_s=timeout_s, ca=ca, insecure=insecure)

    @property
    def url(self) -> str:
        """The service's address."""
        return self._http.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let the connections go."""
        await self._http.close()

    async def quote(self, request: JobRequest) -> Quote:
        """What a job would cost and cause."""
        return read(await self._http.post("/v1/quotes", request), Quote)

    async def submit(self, request: JobRequest, key: str = "") -> Submitted:
        """Submit a job; the same request with the same `key` gives the same job, whenever it comes again."""
        return read(await self._http.post("/v1/jobs", request, key), Submitted)

    async def jobs(self, *, state: str = "", limit: int = 0) -> tuple[JobView, ...]:
        """The caller's jobs, newest first; at most `limit` when it is not 0."""
        found: list[JobView] = []
        after = ""
        while True:
            page = read(await self._http.get("/v1/jobs", after=after, limit=PAGE, state=state), JobPage)
            found.extend(page.jobs)
            if not page.next or (limit and len(found) >= limit):
                return tuple(found[: limit or None])
            after = page.next

    async def job(self, job: str) -> JobView:
        """One job."""
        return read(await self._http.get(job_path(job)), JobView)

    async def history(self, job: str) -> tuple[HistoryLine, ...]:
        """Every change of state of a job."""
        return read(await self._http.get(job_path(job, "history")), tuple[HistoryLine, ...])

    async def explanation(self, job: str) -> Explanation:
        """Why a job is placed as it is, and what else was possible."""
        return read(await self._http.get(job_path(job, "explanation")), Explanation)

    async def cancel(self, job: str) -> JobView:
        """Stop a job."""
        return read(await self._http.post(job_path(job, "cancel"), {}), JobView)

    async def logs(self, job: str, offset: int = 0) -> LogPart:
        """The log from a byte offset."""
        return log_part(await self._http.get(job_path(job, "logs"), offset=offset))

    async def save_output(self, job: str, target: BinaryIO) -> None:
        """Write a job's output archive to an open file."""
        async with self._http.stream(job_path(job, "output")) as reply:
            async for chunk in reply.aiter_bytes(CHUNK_BYTES):
                await async_apart(target.write, chunk)

    async def receipt(self, job: str) -> ReceiptView:
        """The receipt of a job."""
        return read(await self._http.get(job_path(job, "receipt")), ReceiptView)

    async def bundle(self, job: str) -> bytes:
        """All that the offline check of a receipt needs, as JSON."""
        return (await self._http.get(job_path(job, "bundle"))).content

    async def put_object(self, file: Path) -> str:
        """Store a file; its digest."""
        size = (await async_apart(file.stat)).st_size
        with file.open("rb") as source:
            return read(await self._http.put("/v1/objects", async_chunks(source), size), Stored).digest

    async def keep_object(self, file: Path) -> str:
        """Store a file unless the service holds the same content for you already; its digest."""
        digest = await async_apart(digest_of, file)
        if await self._http.holds(f"/v1/objects/{digest}"):
            return digest
        return await self.put_object(file)

    async def read_object(self, digest: str) -> bytes:
        """A stored file."""
        return (await self._http.get(f"/v1/objects/{digest}")).content

    async def grid(self, zone: str, hours: int, past: int = 0) -> GridView:
        """The hours ahead in a zone, and `past` hours gone."""
        return read(await self._http.get("/v1/grid", zone=zone, hours=hours, past=past), GridView)

    async def feeds(self) -> tuple[FeedLine, ...]:
        """How every series of a live feed stands."""
        return read(await self._http.get("/v1/feeds"), tuple[FeedLine, ...])

    async def sites(self) -> tuple[SiteView, ...]:
        """All sites."""
        return await self._all("/v1/sites", SiteView)

    async def site(self, site: str) -> SiteStatus:
        """One site; with its leases and earnings for its owner."""
        return read(await self._http.get(site_path(site)), SiteStatus)

    async def drain(self, site: str, *, draining: bool = True) -> SiteStatus:
        """Offer a site no more work and move what can be moved; or offer it work again."""
        return read(await self._http.post(site_path(site, "drain"), DrainRequest(draining=draining)), SiteStatus)

    async def ceilings(self, site: str) -> tuple[Ceiling, ...]:
        """What limits the power of a site, now or later."""
        return read(await self._http.get(site_path(site, "ceilings")), tuple[Ceiling, ...])

    async def curtail(self, site: str, kw: float, until_ms: int, start_ms: int = 0) -> Ceiling:
        """Limit what a site draws until a moment, from now on or from another; running work yields with notice."""
        wanted = CeilingRequest(kw=kw, until_ms=until_ms, start_ms=start_ms)
        return read(await self._http.post(site_path(site, "ceilings"), wanted), Ceiling)

    async def lift_ceiling(self, site: str, ceiling: str) -> None:
        """Lift a limit before its end."""
        await self._http.delete(site_path(site, "ceilings/" + quote(ceiling, safe="")))

    async def certificates(self, state: str = "") -> tuple[CertificateBundle, ...]:
        """The caller's own granular certificates in order of ids; operator and auditor read all."""
        found: list[CertificateBundle] = []
        after: int | None = 0
        while after is not None:
            page = read(await self._http.get("/v1/certificates", state=state, after=after), CertificatePage)
            found += page.bundles
            after = page.next
        return tuple(found)

    async def declare_generation(self, wanted: DeviceRequest) -> GenerationDevice:
        """Declare a device that generates at a site of the caller."""
        return read(await self._http.post("/v1/certificates/devices", wanted), GenerationDevice)

    async def issue_certificates(self, wanted: IssueRequest) -> Registered:
        """Issue certificates for metered hours of a device."""
        return read(await self._http.post("/v1/certificates/issue", wanted), Registered)

    async def import_certificates(self, wanted: ImportRequest) -> Registered:
        """Take over what was retired in another registry."""
        return read(await self._http.post("/v1/certificates/import", wanted), Registered)

    async def move_certificates(self, wanted: MoveRequest) -> Registered:
        """Give certificates to another account."""
        return read(await self._http.post("/v1/certificates/move", wanted), Registered)

    async def cancel_certificates(self, wanted: UseRequest) -> Registered:
        """Cancel certificates for a site, a tenant or a job, for good."""
        return read(await self._http.post("/v1/certificates/cancel", wanted), Registered)

    async def withdraw_certificates(self, wanted: WithdrawRequest) -> Registered:
        """Take back, on a verdict, what nothing final counts yet."""
        return read(await self._http.post("/v1/certificates/withdraw", wanted), Registered)

    async def site_audit(self, site: str) -> SiteAudit:
        """What is believed of a site, why, and what would raise it."""
        return read(await self._http.get(site_path(site, "audit")), SiteAudit)

    async def file_evidence(self, site: str, wanted: EvidenceRequest) -> EvidenceLine:
        """File evidence; what a site's owner files is declared until somebody else has checked it."""
        return read(await self._http.post(site_path(site, "evidence"), wanted), EvidenceLine)

    async def report_stolen_key(self, site: str, from_counter: int) -> VerdictLine:
        """Say, as the owner, that others held a site's key from a batch on: no more of its batches are taken."""
        return read(
            await self._http.post(site_path(site, "stolen-key"), StolenKey(from_counter=from_counter)), VerdictLine
        )

    async def read_evidence(self, site: str, evidence: str) -> bytes:
        """The document behind evidence, for the site's owner, auditors and the operator."""
        return (await self._http.get(site_path(site, "evidence/" + quote(evidence, safe="")))).content

    async def check_evidence(self, site: str, evidence: str, wanted: EvidenceCheck) -> EvidenceLine:
        """Say, as an auditor or operator, what evidence shows."""
        path = site_path(site, "evidence/" + quote(evidence, safe="") + "/check")
        return read(await self._http.post(path, wanted), EvidenceLine)

    async def issue_verdict(self, site: str, wanted: VerdictRequest) -> VerdictLine:
        """Say, as an auditor or operator, what is wrong at a site; its owner may appeal."""
        return read(await self._http.post(site_path(site, "verdicts"), wanted), VerdictLine)

    async def appeal(self, verdict: str, wanted: AppealRequest) -> VerdictLine:
        """Contradict a verdict about one's own site."""
        return read(await self._http.post(verdict_path(verdict, "appeal"), wanted), VerdictLine)

    async def read_appeal(self, verdict: str) -> AppealRequest:
        """What was said against a verdict."""
        return read(await self._http.get(verdict_path(verdict, "appeal")), AppealRequest)

    async def decide(self, verdict: str, wanted: DecisionRequest) -> VerdictLine:
        """Decide an appeal; neither the owner nor who issued the verdict may."""
        return read(await self._http.post(verdict_path(verdict, "decision"), wanted), VerdictLine)

    async def challenge(self, site: str) -> tuple[ChallengeView, ...]:
        """Have a site show now that its free containers are what it declared; its open challenges."""
        return read(await self._http.post(site_path(site, "challenge"), {}), tuple[ChallengeView, ...])

    async def challenges(self) -> tuple[ChallengeView, ...]:
        """Open challenges, and how the last one of each pool ended; the newest first."""
        return read(await self._http.get("/v1/challenges"), tuple[ChallengeView, ...])

    async def challenge_rules(self) -> ChallengeRules:
        """How this network challenges."""
        return read(await self._http.get("/v1/challenges/rules"), ChallengeRules)

    async def set_challenge_rules(self, rules: ChallengeRules) -> ChallengeRules:
        """Challenge by these rules from the next full hour of grid time on."""
        return read(await self._http.post("/v1/challenges/rules", rules), ChallengeRules)

    async def place_rules(self) -> PlaceRules:
        """What this network asks of the place of its sites, and its anchors."""
        return read(await self._http.get("/v1/places/rules"), PlaceRules)

    async def set_place_rules(self, rules: PlaceRules) -> PlaceRules:
        """Ask this of places from now on; every site is measured anew."""
        return read(await self._http.post("/v1/places/rules", rules), PlaceRules)

    async def anchor_wishes(self, anchor: str) -> tuple[AnchorWish, ...]:
        """Sites that an anchor, named by its key, is to measure now."""
        return read(await self._http.get("/v1/places/wishes", anchor=anchor), tuple[AnchorWish, ...])

    async def send_round_trip(self, trip: RoundTrip) -> PlaceMeasured:
        """Deliver what an anchor measured; the same again changes nothing."""
        return read(await self._http.post("/v1/places/round-trips", trip), PlaceMeasured)

    async def change_terms(self, site: str, wanted: AskRequest) -> SiteStatus:
        """Change a site's ask or payout."""
        return read(await self._http.post(site_path(site, "ask"), wanted), SiteStatus)

    async def leave(self, site: str) -> Left:
        """Take a site out of the network; ConflictError while anything binds it."""
        return read(await self._http.post(site_path(site, "leave"), {}), Left)

    async def enrol(self, note: str, site: str = "") -> Enrolment:
        """A one-time token for a new site; or for one that joined before and lost its key."""
        return read(await self._http.post("/v1/enrolments", EnrolmentRequest(note=note, site=site)), Enrolment)

    async def tokens(self) -> tuple[TokenLine, ...]:
        """Every token, without its secret."""
        return await self._all("/v1/tokens", TokenLine)

    async def create_token(self, wanted: TokenRequest) -> Enrolment:
        """A token for a subject."""
        return read(await self._http.post("/v1/tokens", wanted), Enrolment)

    async def revoke_token(self, token_hash: str) -> None:
        """End a token."""
        await self._http.delete("/v1/tokens/" + quote(token_hash, safe=""))

    async def tenants(self) -> tuple[TenantLine, ...]:
        """Every tenant."""
        found: list[TenantLine] = []
        after = ""
        while True:
            page = read(await self._http.get("/v1/tenants", after=after, limit=PAGE), TenantPage)
            found.extend(page.tenants)
            if not page.next:
                return tuple(found)
            after = page.next

    async def add_tenant(self, name: str, days: int = 0) -> TenantMade:
        """A new tenant with its first token."""
        return read(await self._http.post("/v1/tenants", TenantRequest(name=name, days=days)), TenantMade)

    async def erase_tenant(self, tenant: str, *, cancel: bool = False) -> Erased:
        """Erase a tenant's private content; its jobs must have ended, or are cancelled first."""
        return await self._erase(f"/v1/tenants/{quote(tenant, safe='')}/content", cancel=cancel)

    async def erase_content(self, *, cancel: bool = False) -> Erased:
        """Erase one's own private content; one's jobs must have ended, or are cancelled first."""
        return await self._erase("/v1/account/content", cancel=cancel)

    async def _erase(self, path: str, *, cancel: bool) -> Erased:
        return read(await self._http.delete(path, cancel="true" if cancel else ""), Erased)

    async def audit(self, after: int = 0, limit: int = PAGE) -> AuditPage:
        """Who did what, oldest first."""
        return read(await self._http.get("/v1/audit", after=after, limit=limit), AuditPage)

    async def plan(self) -> PlanView:
        """The present plan."""
        return read(await self._http.get("/v1/plan"), PlanView)

    async def plan_certificate(self) -> PlanCertificate:
        """What the plan costs beside a bound that no plan for the same jobs goes below."""
        return read(await self._http.get("/v1/plan/certificate"), PlanCertificate)

    async def what_if(self, wanted: WhatIfRequest) -> WhatIf:
        """What jobs would cost and cause at other carbon prices."""
        return read(await self._http.post("/v1/plan/what-if", wanted), WhatIf)

    async def epochs(self) -> tuple[EpochStatement, ...]:
        """Closed epochs, oldest first."""
        return await self._all("/v1/epochs", EpochStatement)

    async def close_epoch(self) -> EpochClosed:
        """Close the present epoch now."""
        return read(await self._http.post("/v1/epochs/close", {}), EpochClosed)

    async def policy(self) -> PolicyInputs:
        """What plans are made by."""
        return read(await self._http.get("/v1/policy"), PolicyInputs)

    async def set_policy(self, wanted: PolicyRequest) -> PolicyInputs:
        """Change what plans are made by; what is left out stays."""
        return read(await self._http.post("/v1/policy", wanted), PolicyInputs)

    async def journal_head(self) -> JournalHead:
        """Where the journal stands."""
        return read(await self._http.get("/v1/journal/head"), JournalHead)

    async def signing_keys(self) -> SigningKeys:
        """The service's signing keys, oldest first."""
        return read(await self._http.get("/v1/keys"), SigningKeys)

    async def journal(self, after: int = 0, limit: int = PAGE) -> tuple[RecordedEvent, ...]:
        """At most `limit` journal records with a sequence greater than `after`."""
        return read(await self._http.get("/v1/journal", after=after, limit=limit), JournalPage).records

    async def whole_journal(self) -> AsyncIterator[RecordedEvent]:
        """Every journal record, from the first."""
        after = 0
        while records := await self.journal(after):
            for record in records:
                yield record
            after = records[-1].sequence

    async def account(self) -> AccountView:
        """The caller's account."""
        return read(await self._http.get("/v1/account"), AccountView)

    async def deposit(self, amount_usd: float) -> DepositMade:
        """Test money from the local faucet."""
        return read(await self._http.post("/v1/account/deposits", DepositRequest(amount_usd=amount_usd)), DepositMade)

    async def budget(self) -> BudgetView:
        """The monthly limit, if any, and what this month has cost so far."""
        return read(await self._http.get("/v1/account/budget"), BudgetView)

    async def set_budget(self, wanted: BudgetRequest) -> BudgetView:
        """Set or drop the monthly limit."""
        return read(await self._http.post("/v1/account/budget", wanted), BudgetView)

    async def statement(self, month: str, tenant: str = "") -> MonthStatement:
        """The jobs that ended in a month, `YYYY-MM` of UTC; an operator or auditor names the tenant."""
        pages: list[MonthPage] = []
        after = ""
        while not pages or after:
            reply = await self._http.get("/v1/statement", month=month, tenant=tenant, after=after, limit=PAGE)
            pages.append(read(reply, MonthPage))
            after = pages[-1].next or ""
        return whole_month(pages)

    async def whoami(self) -> Whoami:
        """Whose token this is, and what it allows."""
        return read(await self._http.get("/v1/whoami"), Whoami)

    async def balances(self) -> dict[str, str]:
        """Wei by account, and their `total`."""
        return read(await self._http.get("/v1/ledger/balances"), dict[str, str])

    async def entries(self, account: str = "", after: str = "", limit: int = PAGE) -> EntryPage:
        """Some postings of the ledger, of one account or of all."""
        return read(await self._http.get("/v1/ledger/entries", account=account, after=after, limit=limit), EntryPage)

    async def _all(self, path: str, kind: type[T]) -> tuple[T, ...]:
        """Every line of a list that the service gives page by page."""
        found: list[T] = []
        after = ""
        while True:
            reply = await self._http.get(path, after=after)
            found.extend(read(reply, tuple[kind, ...]))  # type: ignore[valid-type]
            after = reply.headers.get("Sunward-Next", "")
            if not after:
                return tuple(found)

    async def healthy(self) -> bool:
        """Whether the service answers and is well."""
        try:
            return (await self._http.get("/healthz")).is_success
        except SourceError:
            return False

    async def clock(self) -> ClockMapping:
        """The service's grid clock."""
        return read(await self._http.get("/v1/clock"), ClockMapping)
