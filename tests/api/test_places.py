"""Anchors over the API: named by the operator, told whom to measure, believed only when both keys signed."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.agent.identity import public_key
from sunward.model.identity import SiteId
from sunward.model.place import Anchor, PlaceRules, RoundTrip, answer_bytes, round_trip_bytes
from sunward.model.trust import Level
from tests.api.harness import Agent, Service

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
    assert line["evidence"]["statement"].startswith("round trips from 1 anchors leave ")
    assert place["level"] == "declared"
