"""What plans are made by: shown, changed by the operator alone, in the journal and in the trail."""

from __future__ import annotations

import pytest

from tests.api.harness import Service


def made(service: Service, name: str) -> str:
    tenant: str = service.ok("POST", "/v1/tenants", "operator", json={"name": name})["tenant"]
    return tenant


def test_weights_are_set_taken_back_and_told(service: Service) -> None:
    lab, shop = made(service, "Lab"), made(service, "Shop")
    assert service.ok("GET", "/v1/policy", "auditor")["tenant_shares"] == []
    service.ok("POST", "/v1/policy", "operator", json={"shares": {shop: 1}})
    both = service.ok("POST", "/v1/policy", "operator", json={"shares": {lab: 3}, "water_price_usd_micro_per_l": 3_000})
    assert dict(both["tenant_shares"]) == {lab: 3, shop: 1}
    assert both["water_price_usd_micro_per_l"] == 3_000
    left = service.ok("POST", "/v1/policy", "operator", json={"shares": {lab: 0}})
    assert (left["tenant_shares"], left["water_price_usd_micro_per_l"]) == ([[shop, 1]], 3_000)
    kinds = [line["kind"] for line in service.ok("GET", "/v1/journal?limit=1000", "auditor")["records"]]
    assert kinds.count("policy_set") == 3
    acts = [(act["action"], act["target"]) for act in service.ok("GET", "/v1/audit", "auditor")["acts"]]
    assert ("set_policy", f"{lab}=3 water_price_usd_micro_per_l=3000") in acts


def test_what_is_so_already_leaves_no_trace(service: Service) -> None:
    head = service.head
    policy = service.ok("GET", "/v1/policy", "operator")
    body = {"transfer_wh_per_gb": policy["transfer_wh_per_gb"], "shares": {}}
    assert service.ok("POST", "/v1/policy", "operator", json=body) == policy
    assert service.head == head


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "SW-711"),
        ({"shares": {"t-nobody": 3}}, 404, "SW-104"),
        ({"water_price_usd_micro_per_l": -1}, 400, "SW-710"),
        ({"transfer_usd_micro_per_gb": 10**12}, 400, "SW-710"),
        ({"shares": {"t-nobody": "3"}}, 422, "SW-422"),
        ({"shares": {"t-nobody": 1.5}}, 422, "SW-422"),
        ({"shares": []}, 422, "SW-422"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(
    service: Service, body: dict[str, object], status: int, code: str
) -> None:
    head = service.head
    refused = service.ask("POST", "/v1/policy", "operator", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert service.head == head


@pytest.mark.parametrize("weight", [-1, 1_000_001])
def test_a_weight_out_of_bounds_is_refused(service: Service, weight: int) -> None:
    body = {"shares": {made(service, "Lab"): weight}}
    refused = service.ask("POST", "/v1/policy", "operator", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "SW-710")
