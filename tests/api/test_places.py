"""Anchors over the API: named by the operator, told whom to measure, believed only when both keys signed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.agent.identity import public_key
from sunward.model.codec import decode
from sunward.model.identity import SiteId, ZoneId
from sunward.model.place import Anchor, PlaceRules, RoundTrip, answer_bytes, round_trip_bytes
from sunward.model.receipt import Receipt
from sunward.model.trust import Level
from sunward.service.keys import public_of
from sunward.verification import sunward_verify
from sunward.verification.bundle import read_bundle
from sunward.verification.counted import Places, check_zones
from sunward.verification.evidence import open_evidence
from sunward.verification.receipt import verify
from sunward.world.places import dirtiest
from tests.api.harness import Agent, Service, submit
from tests.api.test_keys import paid

KEY = Ed25519PrivateKey.generate()
ANCHOR = Anchor(name="oslo", key=public_key(KEY), lat_udeg=59_910_000, lon_udeg=10_750_000, address="127.0.0.1:8475")
RULES = PlaceRules(level=Level.ENDORSED, anchors=(ANCHOR,))
WISHES = f"/v1/places/wishes?anchor={ANCHOR.key}"


def trip(service: Service, agent: Agent, rtt_us: int = 4_000) -> RoundTrip:
    nonce = "5a" * 32
    told = RoundTrip(
        anchor_key=ANCHOR.key,
        lat_udeg=ANCHOR.lat_udeg,
        lon_udeg=ANCHOR.lon_udeg,
        site=SiteId(agent.site),
        site_key=public_key(agent.key),
        nonce=nonce,
        answer=agent.key.sign(answer_bytes(ANCHOR.key, agent.site, nonce)).hex(),
        rtt_us=rtt_us,
        at_ms=service.machine.ms,
    )
    return replace(told, signature=KEY.sign(round_trip_bytes(told)).hex())


def test_a_site_is_measured_once_and_the_word_of_both_keys_counts(service: Service, agent: Agent) -> None:
    service.ok("POST", "/v1/places/rules", "operator", json=RULES)
    assert service.ok("GET", "/v1/places/rules")["level"] == "endorsed"
    assert [one.address for one in agent.sync().orders.anchors] == [ANCHOR.address]
    token = service.token("oslo-anchor", "anchor")
    assert service.ok("GET", WISHES, token=token) == [{"site": agent.site, "key": public_key(agent.key)}]
    one = trip(service, agent)
    done = service.ok("POST", "/v1/places/round-trips", token=token, json=one)
    assert {"NO", "SE"} <= set(done["countries"])
    assert "DE" not in done["countries"]
    head = service.head
    assert service.ok("POST", "/v1/places/round-trips", token=token, json=one) == done
    assert service.head == head
    assert service.ok("GET", WISHES, token=token) == []
    assert agent.sync().orders.anchors == ()


def test_what_is_not_signed_not_fresh_or_not_an_anchors_is_refused(service: Service, agent: Agent) -> None:
    service.ok("POST", "/v1/places/rules", "operator", json=RULES)
    token = service.token("oslo-anchor", "anchor")

    def refused(one: RoundTrip) -> str:
        return str(service.ask("POST", "/v1/places/round-trips", token=token, json=one).json()["code"])

    one = trip(service, agent)
    assert refused(replace(one, rtt_us=1)) == "SW-727"
    assert refused(replace(one, answer=one.signature)) == "SW-727"
    service.machine.ms += 11 * 60_000
    assert refused(one) == "SW-728"
    service.ok("POST", "/v1/places/rules", "operator", json=PlaceRules())
    assert refused(trip(service, agent)) == "SW-726"
    assert service.ask("POST", "/v1/places/round-trips", json=one).status_code == 403
    assert service.ask("POST", "/v1/places/rules", token=token, json=RULES).status_code == 403
    assert service.ok("GET", WISHES, token=token) == []


def test_the_audit_says_what_round_trips_leave(service: Service, agent: Agent) -> None:
    service.ok("POST", "/v1/places/rules", "operator", json=RULES)
    service.ok("POST", "/v1/places/round-trips", "operator", json=trip(service, agent, 200_000))
    dimensions = service.ok("GET", f"/v1/sites/{agent.site}/audit", "auditor")["dimensions"]
    (place,) = [one for one in dimensions if one["dimension"] == "place"]
    (line,) = place["evidence"]
    assert line["evidence"]["statement"].startswith("round trips to anchors (1) leave ")
    assert place["level"] == "declared"


@pytest.fixture
def told(service: Service, agent: Agent) -> tuple[bytes, Receipt]:
    """The bundle of a job at a site whose place is not shown, and its receipt."""
    service.ok("POST", "/v1/places/rules", "operator", json=RULES)
    service.ok("POST", "/v1/places/round-trips", "operator", json=trip(service, agent))
    job = paid(service, agent)
    raw = service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content
    return raw, decode(read_bundle(raw).receipt, Receipt)


def test_a_receipt_counts_the_dirtiest_zone_that_is_left_and_both_verifiers_find_nothing_wrong(
    service: Service, agent: Agent, told: tuple[bytes, Receipt], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, receipt = told
    (zone,) = {line.zone for line in receipt.lines}
    audit = service.ok("GET", f"/v1/sites/{agent.site}/audit", "auditor")
    assert (audit["counted_zone"], audit["place_asked"]) == (zone, "endorsed")
    assert zone not in (agent.zone, dirtiest(ZoneId(agent.zone), ()))
    assert {"declared_zone", "place_declared"} <= set(receipt.not_proved)
    verdict = verify(read_bundle(raw), public_of(service.control.key))
    assert verdict.findings == ()
    assert "place_levels" in verdict.not_proved
    file = tmp_path / "bundle.json"
    file.write_bytes(raw)
    assert sunward_verify.main(str(file)) == 0
    assert "declared_zone" in capsys.readouterr().out


def test_a_receipt_that_counts_elsewhere_is_found(agent: Agent, told: tuple[bytes, Receipt]) -> None:
    raw, receipt = told
    evidence = open_evidence(read_bundle(raw).events, receipt.job)
    spec = evidence.declared(agent.site)
    assert spec is not None

    def found(told: Receipt, places: Places | None = None) -> set[str]:
        return {one.key for one in check_zones(told, {agent.site: spec}, places or evidence.places)}

    def at(zone: str, *not_proved: str) -> Receipt:
        return replace(receipt, lines=tuple(replace(line, zone=zone) for line in receipt.lines), not_proved=not_proved)

    (zone,) = {line.zone for line in receipt.lines}
    assert found(receipt) == set()
    assert found(at(agent.zone, "place_declared")) == {"zone"}
    assert found(at("SE-SE1", "place_declared", "declared_zone")) == {"zone"}
    assert found(at(zone, "place_declared")) == {"not_proved"}
    assert found(at(zone, "place_endorsed", "declared_zone")) == {"zone"}
    assert found(at(agent.zone, "place_endorsed")) == set()
    assert found(at(agent.zone, "place_endorsed", "declared_zone")) == {"not_proved"}
    ((at_ms, one),) = evidence.places.measured[agent.site].values()
    for changed in (replace(one, trip=replace(one.trip, rtt_us=1)), replace(one, countries=("NO",))):
        places = replace(evidence.places, measured={agent.site: {ANCHOR.key: (at_ms, changed)}})
        assert "place_measured" in found(receipt, places)
    late = replace(receipt, finished_ms=at_ms + RULES.valid_ms)
    assert found(late) == {"zone"}


def test_an_explanation_says_which_zone_is_costed(service: Service, agent: Agent) -> None:
    service.ok("POST", "/v1/places/rules", "operator", json=RULES)
    agent.sync()
    job = submit(service)
    service.plan()
    shown = service.ok("GET", f"/v1/jobs/{job}/explanation")
    counted = dirtiest(ZoneId(agent.zone), ())
    assert shown["elsewhere"] == [{"site": agent.site, "declared": agent.zone, "counted": counted}]
