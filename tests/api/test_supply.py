"""Granular certificates over the API and the command line: from a meter and another registry to a verified receipt."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sunward.cli.main import cli
from sunward.cli.shell import Shell
from sunward.engine.trust import verdict
from sunward.model.codec import decode
from sunward.model.receipt import PARTLY_MATCHED, Receipt
from sunward.model.trust import Consequence, Dimension
from sunward.service.judging import judge
from sunward.units import HOUR_MS, MINUTE_MS
from sunward.verification.bundle import read_bundle
from sunward.verification.receipt import verify
from sunward.verification.verdict import Finding
from tests.api.harness import START_MS, URL, Agent, Bridge, Service, finish, start

HOURS = "hour,wh,exported_wh\n2025-06-13T00:00Z,60,\n2025-06-13T01:00Z,900,200\n"
GO = (
    "Production Device Name,Energy Source,Production Start,Production End,Certificate Number From,"
    "Certificate Number To,Volume,Status,Country of Production\n"
    "Windpark,Wind,{start},{end},6430001,6430002,2,Cancelled,NO\n"
)
PANELS = {
    "device": "roof",
    "site": "no-hydro",
    "source": "hydro",
    "nameplate_kw": 5,
    "latitude": 58.1,
    "longitude": 8,
}


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def owner(service: Service, agent: Agent) -> str:
    """A token of the account that owns the agent's site, and a tenant's of the same name."""
    return service.token(service.control.state.world.sites["no-hydro"].spec.owner, "provider", "tenant")


def believed(service: Service) -> None:
    """The site's renewables are metered, by an auditor's word."""
    told = {
        "dimension": "renewables",
        "statement": "meter of the turbine, sealed",
        "level": "metered",
        "valid_until_ms": service.control.clock.grid_ms() + 90 * 24 * HOUR_MS,
    }
    service.ok("POST", "/v1/sites/no-hydro/evidence", token=service.token("a-eve", "auditor"), json=told)


def post(service: Service, what: str, token: str, **told: Any) -> Any:
    return service.ask("POST", f"/v1/certificates/{what}", token=token, json=told)


def taken_over(service: Service, start: str = "2025-06-13T00:00Z", end: str = "2025-06-13T01:00Z", **more: Any) -> Any:
    file = packed(GO.format(start=start, end=end))
    told = {"registry": "go", "owner": "t-buyer", "file": file, "zone": "NO-NO2"}
    return service.ask("POST", "/v1/certificates/import", "operator", json=told | more)


def listed(service: Service, token: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.ok("GET", "/v1/certificates", token=token, params=query)["bundles"]
    return found


def test_a_receipt_under_certificates_of_the_hour_verifies(service: Service, agent: Agent, owner: str) -> None:
    job, lease = start(service, agent)
    finish(service, agent, lease)
    believed(service)
    assert post(service, "devices", owner, **PANELS).json()["nameplate_w"] == 5_000
    service.pass_grid(2 * HOUR_MS)
    done = post(service, "issue", owner, device="roof", file=packed(HOURS), cancel=True)
    assert done.status_code == 200, done.text
    assert (done.json()["wh"], done.json()["first"]) == (960, 1)
    service.ok("POST", "/v1/epochs/close", "operator")
    raw = service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content
    receipt = decode(read_bundle(raw).receipt, Receipt)
    matched = {line.hour_ms - START_MS: line.matched_wh for line in receipt.lines}
    assert matched[0] == 60 or sum(matched.values()) > 0
    assert receipt.market_basis == PARTLY_MATCHED
    found = verify(read_bundle(raw), service.control.key.public_key().public_bytes_raw().hex())
    assert found.findings == ()
    (epoch,) = service.ok("GET", "/v1/epochs")
    (supply,) = epoch["supply"]
    assert (supply["site"], supply["market"]) == ("no-hydro", "NO-NO2")
    assert 0 < supply["renewable_ppm"] <= 1_000_000
    totals = service.ok("GET", "/v1/certificates", token=owner)["totals"]
    assert sum(totals.values()) == 960
    assert (totals["exported"], totals["active"]) == (200, 0)


def test_generation_is_nobodys_until_its_meter_is_believed(service: Service, agent: Agent, owner: str) -> None:
    assert post(service, "issue", owner, device="roof", file=packed(HOURS)).json()["code"] == "SW-760"
    post(service, "devices", owner, **PANELS)
    service.pass_grid(2 * HOUR_MS)
    assert post(service, "issue", owner, device="roof", file=packed(HOURS)).json()["code"] == "SW-765"
    believed(service)
    stranger = service.token("p-other", "provider")
    assert post(service, "issue", stranger, device="roof", file=packed(HOURS)).json()["code"] == "SW-760"
    assert post(service, "devices", stranger, **PANELS).status_code == 404
    assert post(service, "issue", owner, device="roof", file=packed(HOURS)).status_code == 200
    assert post(service, "issue", owner, device="roof", file=packed(HOURS)).json()["code"] == "SW-762"
    assert agent.site == "no-hydro"


def test_an_export_is_taken_whole_once_or_not_at_all(service: Service, agent: Agent) -> None:
    service.pass_grid(3 * HOUR_MS)
    head = service.head
    bad = taken_over(service, file=packed(GO.format(start="x", end="y")))
    assert (bad.status_code, bad.json()["code"]) == (400, "SW-768")
    assert "row 2, column Production Start" in bad.json()["detail"]
    assert service.head == head
    assert taken_over(service).json()["wh"] == 2_000_000
    again = taken_over(service, registry="go")
    assert (again.status_code, again.json()["code"]) == (409, "SW-762")
    assert agent.site == "no-hydro"


def test_an_owner_sees_moves_and_cancels_only_its_own(service: Service, agent: Agent) -> None:
    service.pass_grid(3 * HOUR_MS)
    taken_over(service)
    buyer, friend = (service.token(name, "tenant") for name in ("t-buyer", "t-friend"))
    (bundle,) = listed(service, buyer)
    assert listed(service, friend) == []
    take = {"bundles": [bundle["bundle"]], "wh": 300}
    assert post(service, "move", friend, to="t-thief", **take).json()["code"] == "SW-763"
    assert post(service, "move", buyer, to="t-friend", **take).json()["wh"] == 300
    assert post(service, "move", buyer, to="t-friend", **take).json()["code"] == "SW-763"
    (gift,) = listed(service, friend)
    assert (gift["first"], gift["last"], gift["parent"]) == (1, 300, bundle["bundle"])
    used = {"bundles": [gift["bundle"]], "beneficiary": "tenant:t-friend"}
    assert post(service, "cancel", friend, **used, wh=301).json()["code"] == "SW-761"
    assert post(service, "cancel", friend, **used).json()["wh"] == 300
    assert post(service, "cancel", friend, **used).json()["code"] == "SW-763"
    auditor = service.token("a-eve", "auditor")
    assert [one["wh"] if "wh" in one else one["last"] for one in listed(service, auditor)] == [300, 2_000_000]
    assert [one["state"] for one in listed(service, auditor, state="cancelled")] == ["cancelled"]
    assert listed(service, auditor, limit=1, after=1)[0]["first"] == 301
    assert service.ask("GET", "/v1/certificates?state=lost", token=auditor).json()["code"] == "SW-761"
    assert agent.site == "no-hydro"


def test_a_verdict_takes_certificates_back(service: Service, agent: Agent, owner: str) -> None:
    believed(service)
    post(service, "devices", owner, **PANELS)
    service.pass_grid(2 * HOUR_MS)
    post(service, "issue", owner, device="roof", file=packed(HOURS))
    auditor = service.token("a-eve", "auditor")
    span = {"device": "roof", "start_ms": START_MS, "end_ms": START_MS + 2 * HOUR_MS}
    assert post(service, "withdraw", auditor, **span, verdict="v-none").status_code == 404
    record = verdict(
        Finding(key="dry", sentence="the river was dry"),
        dimension=Dimension.RENEWABLES,
        consequence=Consequence.LEVEL_LOWERED,
        at_ms=service.control.clock.grid_ms(),
        site="no-hydro",
    )
    judge(service.control, [record])
    taken = post(service, "withdraw", auditor, **span, verdict=record.verdict).json()
    assert taken["wh"] == 760
    assert {one["state"] for one in listed(service, owner)} == {"withdrawn", "exported"}
    assert agent.site == "no-hydro"


def test_sun_at_night_and_more_than_the_sky_gives_is_refused(service: Service, agent: Agent, owner: str) -> None:
    believed(service)
    post(service, "devices", owner, **PANELS | {"device": "panels", "source": "solar"})
    service.pass_grid(14 * HOUR_MS)
    head = service.head
    for hour, wh in (("00", 60), ("23", 60), ("03", 4_500)):
        day = 12 if hour == "23" else 13
        file = packed(f"hour,wh\n2025-06-{day}T{hour}:00Z,{wh}\n")
        refused = post(service, "issue", owner, device="panels", file=file)
        assert refused.json()["code"] == "SW-769", refused.text
    assert service.head == head
    noon = packed("hour,wh\n2025-06-13T11:00Z,4100\n")
    assert post(service, "issue", owner, device="panels", file=noon).json()["wh"] == 4_100
    assert agent.site == "no-hydro"


def test_figures_that_are_none_are_refused(service: Service, agent: Agent, owner: str) -> None:
    for figures in ({"nameplate_kw": 10**12}, {"nameplate_kw": 0}, {"latitude": 91}, {"source": "coal"}):
        assert post(service, "devices", owner, **PANELS | figures).json()["code"] == "SW-760", figures
    assert agent.site == "no-hydro"


@pytest.fixture
def run(service: Service, agent: Agent) -> Callable[..., Any]:
    """One command line against the service, with a token."""
    assert agent.site == "no-hydro"

    def invoke(token: str, *words: str, status: int = 0) -> Any:
        shell = Shell(transport=Bridge(service))
        found = CliRunner().invoke(cli, ["--url", URL, "--token", token, "certificates", *words], obj=shell)
        assert found.exit_code == status, found.output
        return found.output

    return invoke


def test_the_command_line_goes_the_whole_way(
    service: Service, owner: str, run: Callable[..., Any], tmp_path: Path
) -> None:
    believed(service)
    service.pass_grid(3 * HOUR_MS)
    meter, export = tmp_path / "meter.csv", tmp_path / "go.csv"
    meter.write_text(HOURS)
    export.write_text(GO.format(start="2025-05-01", end="2025-05-31"))
    place = ("--site", "no-hydro", "--lat", "58.1", "--lon", "8")
    assert "roof is declared" in run(owner, "device", "roof", *place, "--source", "hydro", "--kw", "5")
    assert "960 certificates" in run(owner, "issue", "roof", str(meter))
    operator = service.credentials["operator_token"]
    assert "2000000" in run(operator, "import", "go", str(export), "--owner", "t-buyer", "--zone", "NO-NO2")
    buyer = service.token("t-buyer", "tenant")
    assert "volumetric" in run(buyer, "list")
    (bundle,) = json.loads(run(buyer, "list", "--json"))
    assert "5 certificates" in run(buyer, "give", "t-friend", bundle["bundle"][:12], "--wh", "5")
    names = [one["bundle"] for one in json.loads(run(owner, "list", "--json")) if one["state"] == "active"]
    assert "760 certificates" in run(owner, "cancel", *names, "--for", "site:no-hydro")
    assert "site:no-hydro" in run(owner, "list", "--state", "cancelled")
    assert "SW-763" in run(owner, "cancel", names[0], "--for", "site:no-hydro", status=2)
    assert "no certificates" in run(service.token("t-none", "tenant"), "list")
    hours = ("--from", "2025-06-13T00:00", "--until", "2025-06-13T02:00")
    auditor = service.token("a-eve", "auditor")
    assert "SW-743" in run(auditor, "withdraw", "roof", *hours, "--verdict", "v-none", status=2)
    assert service.control.clock.grid_ms() >= START_MS + MINUTE_MS
