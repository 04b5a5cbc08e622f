"""A site changes its key: its readings go on, each batch under the key of its number; a lost key is replaced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.agent.client import Backoff, ControlPlane
from sunward.agent.folder import take_folder
from sunward.agent.identity import KEY_FILE, NEXT_FILE, Membership, load_key, public_key, save_membership
from sunward.agent.outbox import Outbox
from sunward.agent.rotation import rotate
from sunward.cli.main import cli
from sunward.cli.shell import Shell
from sunward.model.codec import decode
from sunward.model.site import RetiredKey, SiteSpec, key_bytes
from sunward.model.site_views import KeyRequest
from sunward.verification.bundle import Bundle
from sunward.verification.evidence import check_site_keys
from sunward.verification.receipt import verify
from tests.api.harness import GPU, Agent, Bridge, Service, finish, start
from tests.api.test_requests import is_problem

MINUTE_MS = 60_000


def wanted(agent: Agent, new: Ed25519PrivateKey, first: int, signer: Ed25519PrivateKey | None = None) -> KeyRequest:
    told = key_bytes(agent.site, public_key(agent.key), public_key(new), first)
    return KeyRequest(public_key=public_key(new), from_counter=first, signature=(signer or agent.key).sign(told).hex())


def ask(agent: Agent, request: KeyRequest):
    return agent.service.ask("POST", "/v1/agents/key", token=agent.token, json=request)


def declared(service: Service) -> SiteSpec:
    return service.control.state.world.sites["no-hydro"].spec


def checked(service: Service, job: str) -> None:
    service.ok("POST", "/v1/epochs/close", "operator")
    bundle = decode(service.ask("GET", f"/v1/jobs/{job}/bundle", "auditor").content, Bundle)
    assert verify(bundle).findings == ()


def test_readings_go_on_under_a_new_key_and_late_ones_of_the_old_are_taken(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    service.pass_grid(60_000)
    agent.meter(lease)
    service.pass_grid(300_000)
    late = [agent.batch(lease, agent.metered_to_ms + MINUTE_MS) for _ in range(2)]
    new = Ed25519PrivateKey.generate()
    first = agent.counter + 1
    request = wanted(agent, new, first)
    for _ in range(2):
        assert ask(agent, request).json() == {"public_key": public_key(new), "from_counter": first}
    old, agent.key = agent.key, new
    assert agent.send(late).json() == {"accepted": first - 1}
    agent.meter(lease)
    assert agent.counter > first
    assert declared(service).public_key == public_key(new)
    assert [one.public_key for one in declared(service).retired_keys] == [public_key(old)]
    agent.service = again = Service(service.home, service.machine)
    finish(again, agent, lease)
    checked(again, job)
    again.close()


def test_each_key_signs_its_own_numbers_only(service: Service, agent: Agent) -> None:
    agent.sync()
    service.pass_grid(300_000)
    held = agent.batch("", agent.metered_to_ms + MINUTE_MS)
    new = Ed25519PrivateKey.generate()
    assert ask(agent, wanted(agent, new, agent.counter + 1)).is_success
    assert agent.send([held]).json() == {"accepted": 1}
    before = (agent.counter, agent.previous, agent.metered_to_ms, dict(agent.joules))
    of_old = agent.batch("", agent.metered_to_ms + MINUTE_MS)
    assert agent.send([of_old]).json()["code"] == "SW-302"
    agent.counter, agent.previous, agent.metered_to_ms, agent.joules = before
    agent.key = new
    assert agent.send([agent.batch("", agent.metered_to_ms + MINUTE_MS)]).json() == {"accepted": 2}


def test_a_new_key_that_does_not_follow_is_refused(service: Service, agent: Agent) -> None:
    agent.sync()
    service.pass_grid(60_000)
    agent.meter()
    new, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    first = agent.counter + 1
    for refused, status in (
        (wanted(agent, new, first, signer=stranger), 400),
        (replace(wanted(agent, new, first), from_counter=first + 1), 400),
        (wanted(agent, new, agent.counter), 409),
        (wanted(agent, new, 2**60), 409),
        (replace(wanted(agent, new, first), public_key="A" * 64), 400),
    ):
        assert is_problem(ask(agent, refused), status), refused
    other = Agent(service, site="es-solar", zone="ES")
    other.join()
    assert is_problem(ask(agent, wanted(agent, other.key, first)), 409)
    assert ask(agent, wanted(agent, new, first)).is_success
    old, agent.key = agent.key, new
    assert is_problem(ask(agent, wanted(agent, old, first + 1)), 409), "a key that signed once stays its site's past"
    assert declared(service).public_key == public_key(new)


def test_a_lost_key_is_replaced_with_a_token_for_the_site(service: Service, agent: Agent) -> None:
    job, lease = start(service, agent)
    service.pass_grid(60_000)
    agent.meter(lease)
    service.pass_grid(60_000)
    never_sent = agent.batch(lease, agent.metered_to_ms + MINUTE_MS)
    token = service.ok("POST", "/v1/enrolments", "operator", json={"site": agent.site})["token"]
    fresh = Agent(service, joules=agent.joules)
    plain = service.ok("POST", "/v1/enrolments", "operator", json={"note": "any"})["token"]
    path = "/v1/agents/enroll"
    assert is_problem(service.ask("POST", path, token="", json={"token": plain, "spec": fresh.spec}), 409)
    elsewhere = {"token": token, "spec": Agent(service, site="es-solar", zone="ES").spec}
    assert is_problem(service.ask("POST", path, token="", json=elsewhere), 403)
    for _ in range(2):
        joined = service.ok("POST", path, token="", json={"token": token, "spec": fresh.spec})
    lost = declared(service).retired_keys
    assert lost == (RetiredKey(public_key=public_key(agent.key), last_counter=agent.counter - 1, signature=""),)
    assert is_problem(agent.send([never_sent]), 401)
    fresh.token, fresh.counter = joined["token"], joined["readings"]["counter"]
    fresh.previous, fresh.metered_to_ms = joined["readings"]["hash"], joined["readings"]["t1_ms"]
    assert service.ask("POST", "/v1/agents/readings", token=fresh.token, content=b"\x80").is_success
    assert fresh.send([never_sent]).json()["code"] == "SW-302"
    fresh.sync()
    fresh.reports = agent.reports
    fresh.meter(lease)
    finish(service, fresh, lease)
    checked(service, job)


def test_a_token_for_a_site_is_made_by_its_owner_or_the_operator(service: Service, agent: Agent) -> None:
    stranger = service.token("p-2", "provider")
    assert is_problem(service.ask("POST", "/v1/enrolments", token=stranger, json={"site": agent.site}), 404)
    assert is_problem(service.ask("POST", "/v1/enrolments", "operator", json={"site": "nowhere"}), 404)
    assert service.ask("POST", "/v1/enrolments", "provider", json={"site": agent.site}).is_success


def test_an_agents_folder_changes_its_key_once_however_often_it_is_cut_short(
    service: Service, agent: Agent, tmp_path: Path
) -> None:
    folder = tmp_path / "agent"
    load_key(folder)
    (folder / KEY_FILE).write_bytes(agent.key.private_bytes_raw())
    Outbox(folder / "outbox.db").close()
    backoff = Backoff(sleep=lambda _s: None, jitter=lambda: 0.0)
    plane = ControlPlane("http://service", agent.token, backoff, Bridge(service))
    taken = rotate(folder, agent.site, plane)
    new = load_key(folder)
    assert (taken.public_key, taken.from_counter) == (public_key(new), 1)
    assert not (folder / NEXT_FILE).exists()
    (folder / KEY_FILE).replace(folder / NEXT_FILE)
    (folder / KEY_FILE).write_bytes(agent.key.private_bytes_raw())
    assert rotate(folder, agent.site, plane) == taken
    assert public_key(load_key(folder)) == public_key(new)
    assert len(declared(service).retired_keys) == 1
    plane.close()


def test_the_command(service: Service, agent: Agent, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    save_membership(folder, Membership(site=agent.site, token=agent.token))
    (folder / KEY_FILE).write_bytes(agent.key.private_bytes_raw())
    (folder / "agent.toml").write_text(
        'server = "http://service"\ninsecure = true\nsite = "no-hydro"\nzone = "NO-NO2"\ncountry = "NO"\n'
        'owner = "p-1"\ncooling = "air"\noverhead_ppm = 1_080_000\nask_usd_micro_per_gpu_h = 1\n'
        f'[[pools]]\ngpu_model = "{GPU}"\ncount = 2\n'
    )

    def run(*words: str):
        shell = Shell(transport=Bridge(service))
        return CliRunner().invoke(cli, ["key", "rotate", "agent", "--folder", str(folder), *words], obj=shell)

    with take_folder(folder):
        held = run()
    assert "another agent" in held.stderr, held.stderr
    assert (held.exit_code, "SW-516" in held.stderr) == (2, True)
    made = run("--json")
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout) == {"public_key": declared(service).public_key, "from_counter": 1}
    assert "from batch 1 on" in run().stdout
    assert len(declared(service).retired_keys) == 2


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, False),
        ({"last_counter": 8}, True),
        ({"signature": "00" * 64}, True),
        ({"signature": ""}, False),
    ],
)
def test_the_verifier_looks_at_each_change_of_a_sites_key(agent: Agent, change: dict, *, refused: bool) -> None:
    new = Ed25519PrivateKey.generate()
    retired = RetiredKey(public_key=public_key(agent.key), last_counter=7, signature=wanted(agent, new, 8).signature)
    spec = replace(agent.spec, public_key=public_key(new), retired_keys=(replace(retired, **change),))
    assert bool(list(check_site_keys([spec]))) is refused
