"""The word of others on a site's key, and a key that others hold."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.endorsers import Endorser, read_endorsers
from sunward.cli.main import cli
from sunward.cli.shell import Shell
from sunward.errors import InputError
from sunward.model.datum import Quality
from sunward.model.events import SiteEnrolled
from sunward.model.trust import Dimension, Level
from sunward.units import DAY_MS, MINUTE_MS
from sunward.verification.endorsement import Endorsement, endorsement_bytes, read_endorsement
from tests.api.harness import UNLIMITED, URL, Agent, Bridge, Machine, Service
from tests.api.test_requests import is_problem

MAKER = Ed25519PrivateKey.from_private_bytes(bytes([9] * 32))
PUBLIC = MAKER.public_key().public_bytes_raw().hex()
ENDORSERS = (
    Endorser(
        name="Meter Works", public_key=PUBLIC, level=Level.ATTESTED, dimensions=(Dimension.ENERGY, Dimension.IDENTITY)
    ),
)


@pytest.fixture
def service(tmp_path: Path):
    made = Service(tmp_path / "home", Machine(), replace(UNLIMITED, endorsers=ENDORSERS))
    yield made
    made.close()


@pytest.fixture
def agent(service: Service) -> Agent:
    made = Agent(service)
    made.join()
    return made


def word(service: Service, signer: Ed25519PrivateKey = MAKER, **changes) -> bytes:
    now_ms = service.control.clock.grid_ms()
    one = Endorsement(
        site="no-hydro",
        key=service.control.state.world.sites["no-hydro"].spec.public_key,
        dimension=Dimension.ENERGY,
        what="meter 1234 of class 1 holds the key",
        coverage_ppm=900_000,
        valid_from_ms=now_ms,
        valid_until_ms=now_ms + 300 * DAY_MS,
        endorser=signer.public_key().public_bytes_raw().hex(),
    )
    told = endorsement_bytes(replace(one, **changes))
    return told + signer.sign(told).hex().encode() + b"\n"


def file(service: Service, document: bytes):
    wanted = {
        "dimension": "energy",
        "statement": "as the document says",
        "document": base64.b64encode(document).decode(),
        "valid_until_ms": service.control.clock.grid_ms() + DAY_MS,
    }
    return service.ask("POST", "/v1/sites/no-hydro/evidence", "provider", json=wanted)


def refused_with(response) -> str:
    assert is_problem(response, 400)
    return response.json()["code"]


def believed(service: Service, dimension: Dimension = Dimension.ENERGY):
    world = service.control.state.world
    return world.trust.believed(world.sites["no-hydro"].spec, dimension, service.control.clock.grid_ms())


def metered_days(service: Service, agent: Agent, days: int) -> None:
    for _ in range(days):
        service.pass_grid(DAY_MS)
        batch = agent.batch("", agent.metered_to_ms + DAY_MS, quality=Quality.MEASURED)
        assert agent.send([batch]).is_success
        service.control.seal_now()


def test_a_word_on_the_key_lifts_what_readings_cover_and_nothing_by_itself(service: Service, agent: Agent) -> None:
    told = file(service, word(service)).json()["evidence"]
    assert (told["level"], told["checked_by"]) == ("declared", "network")
    assert told["statement"] == "meter 1234 of class 1 holds the key (the word of Meter Works)"
    assert believed(service).cap_ppm == 0
    metered_days(service, agent, 3)
    assert believed(service).resting_on.level is Level.ATTESTED
    assert (believed(service).resting_on.coverage_ppm, believed(service).cap_ppm) == (900_000, 900_000)


def test_a_word_on_identity_counts_at_once_and_ends_with_the_key(service: Service, agent: Agent) -> None:
    assert file(service, word(service, dimension=Dimension.IDENTITY, coverage_ppm=1_000_000)).status_code == 201
    assert believed(service, Dimension.IDENTITY).level is Level.ATTESTED
    spec = service.control.state.world.sites["no-hydro"].spec
    service.control.commit_one(SiteEnrolled(spec=replace(spec, public_key="cd" * 32)))
    assert believed(service, Dimension.IDENTITY).level is Level.DECLARED


def test_words_that_do_not_fit_are_refused(service: Service, agent: Agent) -> None:
    stranger = Ed25519PrivateKey.generate()
    good = word(service)
    for document, code in (
        (good[:-3] + b"00\n", "SW-786"),
        (good + b"\n", "SW-786"),
        (good.replace(b"900000", b"+90000"), "SW-786"),
        (word(service, valid_until_ms=0), "SW-786"),
        (word(service, what="two\nlines"), "SW-786"),
        (word(service, site="es-solar"), "SW-788"),
        (word(service, key="ab" * 32), "SW-788"),
        (word(service, stranger), "SW-789"),
        (word(service, dimension=Dimension.OVERHEAD), "SW-789"),
    ):
        assert refused_with(file(service, document)) == code
    assert read_endorsement(good).coverage_ppm == 900_000
    with pytest.raises(InputError, match="vouches for itself"):
        read_endorsement(word(service, key=PUBLIC))


def test_a_stolen_key_signs_nothing_more_and_receipts_wait(service: Service, agent: Agent) -> None:
    agent.sync()
    service.pass_grid(10 * MINUTE_MS)
    first, second, third = (agent.batch("", agent.metered_to_ms + MINUTE_MS) for _ in range(3))
    assert agent.send([first, second]).is_success
    report = {"from_counter": 2}
    assert service.ask("POST", "/v1/sites/no-hydro/stolen-key", "tenant", json=report).status_code == 403
    for _ in range(2):
        shown = service.ok("POST", "/v1/sites/no-hydro/stolen-key", "provider", json=report)
        assert (shown["record"]["fault"], shown["standing"]) == ("key_stolen", "open")
    assert refused_with(agent.send([third])) == "SW-790"
    spec = service.control.state.world.sites["no-hydro"].spec
    trust = service.control.state.world.trust
    assert trust.holds(spec, "j-any", service.control.clock.grid_ms())
    assert len(trust.verdicts) == 2
    service.control.commit_one(SiteEnrolled(spec=replace(spec, public_key="cd" * 32)))
    assert service.control.intake.refused["stolen_key"] >= 1


def test_the_owner_reports_it_from_the_command_line(service: Service, agent: Agent, tmp_path: Path) -> None:
    shell = Shell(home=tmp_path / "none", transport=Bridge(service))
    environment = {
        "SUNWARD_URL": URL,
        "SUNWARD_TOKEN": service.credentials["provider_token"],
        "SUNWARD_LANG": "en",
        "COLUMNS": "300",
    }
    words = ["key", "stolen", "no-hydro", "--from", "4"]
    told = CliRunner().invoke(cli, words, obj=shell, env=environment, catch_exceptions=False)
    assert "from batch 4 on: what it signed from there on is disputed" in told.stdout
    assert "sunward site token --for no-hydro" in told.stdout
    told = CliRunner().invoke(cli, ["--json", *words], obj=shell, env=environment, catch_exceptions=False)
    assert json.loads(told.stdout)["record"]["figures"]["counter"] == 4


def test_the_file_of_endorsers(tmp_path: Path) -> None:
    path = tmp_path / "endorsers.toml"
    entry = (
        f'[[endorsers]]\nname = "Meter Works"\npublic_key = "{PUBLIC}"\nlevel = "attested"\ndimensions = ["energy"]\n'
    )
    path.write_text(entry)
    (one,) = read_endorsers(path)
    assert (one.name, one.level, one.dimensions) == ("Meter Works", Level.ATTESTED, (Dimension.ENERGY,))
    for wrong in (
        "[[endorsers",
        entry + entry,
        entry.replace("attested", "declared"),
        entry.replace(PUBLIC, "ab"),
        entry.replace('["energy"]', "[]"),
        entry.replace("Meter Works", ""),
        "endorsers = " + "[" * 5_000,
        "x = 1979-05-27",
    ):
        path.write_text(wrong)
        with pytest.raises(InputError) as refused:
            read_endorsers(path)
        assert refused.value.code == "SW-787"
    with pytest.raises(InputError, match="cannot read"):
        read_endorsers(tmp_path / "none.toml")
