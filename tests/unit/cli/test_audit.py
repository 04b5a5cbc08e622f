"""`sunward audit`: what is believed of a site, why, and what would raise it, as people and machines read it."""

from __future__ import annotations

import json
from dataclasses import replace

from sunward.model.identity import SiteId, TenantId
from sunward.model.trust import APPEAL_MS, NETWORK, Consequence, Decision, Dimension, Evidence, Level, Standing
from sunward.model.trust import VerdictRecord as Record
from sunward.model.trust_views import DimensionLine, EvidenceLine, SiteAudit, Use, VerdictLine
from sunward.verification.raising import STEPS, next_step
from tests.unit.cli.conftest import DAY, answer

PAPER = Evidence(
    evidence="e-paper",
    site=SiteId("home"),
    dimension=Dimension.PLACE,
    level=Level.DOCUMENTED,
    statement="electricity bill of May",
    digest="a" * 64,
    filed_by=TenantId("p-1"),
    checked_by="a-eve",
    valid_until_ms=DAY,
)
TRIP = replace(
    PAPER, evidence="e-trip", statement="nearest anchor", value=7, unit="ms", checked_by=NETWORK, coverage_ppm=500_000
)
OWN = replace(PAPER, evidence="e-own", statement="we are \x1b[31mthere", checked_by="", level=Level.DECLARED)
RECORD = Record(
    verdict="v-1",
    dimension=Dimension.IDENTITY,
    fault="challenge_late",
    sentence="the GPU answered after {took} ms",
    figures={"took": 900},
    consequence=Consequence.SLASHABLE,
    at_ms=DAY,
    appeal_until_ms=DAY + APPEAL_MS,
    issued_by=NETWORK,
    site="home",
)


def dimension(one: Dimension, level: Level = Level.DECLARED, *evidence: EvidenceLine) -> DimensionLine:
    step = next_step(one, level)
    return DimensionLine(dimension=one, level=level, cap_ppm=0, evidence=evidence, step=step)


PLACE = (
    EvidenceLine(evidence=PAPER, filed_ms=DAY, use=Use.COUNTS),
    EvidenceLine(evidence=TRIP, filed_ms=DAY, use=Use.LOWERED),
    EvidenceLine(evidence=OWN, filed_ms=DAY, use=Use.UNCHECKED),
)
AUDIT = SiteAudit(
    site="home",
    owner="p-1",
    zone="DE",
    at_ms=DAY,
    weakest=Level.DECLARED,
    dimensions=(
        dimension(Dimension.IDENTITY),
        dimension(Dimension.PLACE, Level.DOCUMENTED, *PLACE),
        dimension(Dimension.AGE, Level.ATTESTED),
    ),
    verdicts=(
        VerdictLine(record=RECORD, standing=Standing.OPEN),
        VerdictLine(
            record=replace(RECORD, verdict="v-2"),
            standing=Standing.DISMISSED,
            decision=Decision(verdict="v-2", by=TenantId("a-eve"), upheld=False, reason="the log shows the update"),
        ),
    ),
)


def shown(service, run) -> str:
    service.answers["GET /v1/sites/home/audit"] = answer(AUDIT)
    done = run("audit", "home")
    assert done.exit_code == 0
    return done.stdout


def test_each_dimension_says_what_is_believed_and_why(service, run):
    text = shown(service, run)
    lines = text.splitlines()
    assert "believed at least  declared" in text
    assert "nothing but the owner's word" in next(line for line in lines if line.startswith("identity"))
    place = next(line for line in lines if line.startswith("place") and "documented" in line)
    assert all(part in place for part in ("0 %", "100 %", "a-eve", "electricity bill of May [e-paper]"))
    assert "nearest anchor: 7 ms [e-trip] (a verdict came after it)" in text
    assert "nobody else has checked it" in text
    assert "\x1b" not in text


def test_it_says_what_would_raise_each_and_nothing_where_all_is_attested(service, run):
    text = shown(service, run)
    assert "identity to documented: file the invoices of the GPUs" in text
    assert "place to metered: let anchors measure round-trip times" in text
    assert "age to" not in text


def test_verdicts_are_told_in_words_with_their_end(service, run):
    text = shown(service, run)
    assert "verdict v-1 on identity: in force, and may be appealed" in text
    assert "the GPU answered after 900 ms" in text
    assert "it may be appealed until" in text
    assert "verdict v-2 on identity: dismissed: it counts as never issued" in text
    assert "decided by a-eve: the log shows the update" in text


def test_for_machines_it_is_the_record(service, run):
    service.answers["GET /v1/sites/home/audit"] = answer(AUDIT)
    told = json.loads(run("audit", "home", "--json").stdout)
    assert (told["weakest"], told["dimensions"][1]["evidence"][0]["use"]) == ("declared", "counts")


def test_steps_rise_and_lead_to_the_top():
    for one, steps in STEPS.items():
        ranks = [step.level.rank for step in steps]
        assert ranks == sorted(set(ranks)), one
        assert steps[-1].level is Level.ATTESTED
        assert next_step(one, Level.ATTESTED) is None


EVIDENCE = "/v1/sites/home/evidence"


def test_evidence_is_filed_with_its_document_and_end(service, run, tmp_path):
    (tmp_path / "bill.pdf").write_bytes(b"%PDF")
    service.answers[f"POST {EVIDENCE}"] = answer(PLACE[2])
    words = ("--dimension", "place", "--says", "bill", "--until", "2026-12-31T00:00", "--covers", "97.5")
    done = run("evidence", "file", "home", *words, "--document", str(tmp_path / "bill.pdf"))
    assert done.stdout == "e-own of home is declared (nobody else has checked it)\n"
    sent = service.sent("POST", EVIDENCE)
    assert (sent["dimension"], sent["level"], sent["coverage_ppm"]) == ("place", "declared", 975_000)
    assert (sent["document"], sent["valid_until_ms"]) == ("JVBERg==", 1_798_675_200_000)
    assert service.requests[-1].headers["authorization"] == "Bearer provider-secret"


def test_it_is_checked_and_fetched_by_an_auditor(service, run, tmp_path):
    service.answers[f"POST {EVIDENCE}/e-paper/check"] = answer(PLACE[0])
    assert run("evidence", "check", "home", "e-paper", "--level", "documented").stdout.startswith("e-paper of home is")
    assert service.sent("POST", f"{EVIDENCE}/e-paper/check")["level"] == "documented"
    assert service.requests[-1].headers["authorization"] == "Bearer auditor-secret"
    service.answers[f"GET {EVIDENCE}/e-paper"] = answer(b"%PDF")
    done = run("evidence", "get", "home", "e-paper", "--output", str(tmp_path / "got.pdf"), "--json")
    assert json.loads(done.stdout)["bytes"] == len((tmp_path / "got.pdf").read_bytes())


def test_a_verdict_is_issued_appealed_read_and_decided(service, run):
    service.answers["POST /v1/sites/home/verdicts"] = answer(AUDIT.verdicts[0])
    words = ("--dimension", "place", "--fault", "not_there", "--says", "nobody knows it", "--slashable")
    assert "verdict v-1" in run("verdict", "issue", "home", *words).stdout
    assert service.sent("POST", "/v1/sites/home/verdicts")["slashable"] is True
    service.answers["POST /v1/verdicts/v-1/appeal"] = answer(AUDIT.verdicts[0])
    assert run("verdict", "appeal", "v-1", "--says", "we moved").exit_code == 0
    assert service.sent("POST", "/v1/verdicts/v-1/appeal")["text"] == "we moved"
    service.answers["GET /v1/verdicts/v-1/appeal"] = answer({"text": "we\nmoved", "document": ""})
    assert run("verdict", "read", "v-1").stdout == "we\nmoved\n"
    service.answers["POST /v1/verdicts/v-1/decision"] = answer(AUDIT.verdicts[1])
    assert "dismissed" in run("verdict", "decide", "v-1", "dismissed", "--reason", "they did").stdout
    assert service.sent("POST", "/v1/verdicts/v-1/decision") == {"upheld": False, "reason": "they did"}
    assert run("verdict", "decide", "v-1", "--reason", "they did").exit_code == 2


def test_it_says_in_which_zone_a_site_counts_and_why(service, run):
    assert "counts in" not in shown(service, run)
    asked = replace(AUDIT, place_asked=Level.ENDORSED, counted_zone="PL", zones_left=12)
    for found, text in (
        (asked, "PL: the dirtiest of 12 zones that are left, until its place is endorsed"),
        (replace(asked, counted_zone="DE"), "DE: its place is shown as asked (endorsed)"),
    ):
        service.answers["GET /v1/sites/home/audit"] = answer(found)
        assert text in run("audit", "home").stdout
