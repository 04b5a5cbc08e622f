"""`site status|drain|ask` and `leave`: what they ask, tell and leave behind."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import httpx
import pytest

from sunward.adapters.exclusive import holder
from sunward.agent import config, identity, unit
from sunward.agent.folder import take_folder
from sunward.cli import keeper
from sunward.model.challenge import BeaconValue, ChallengeFault, ChallengeRules, ChallengeView
from sunward.model.codec import encode
from sunward.model.place import Anchor, PlaceRules
from sunward.model.site import Ceiling
from sunward.model.site_views import Left, PoolStatus, SiteAccount, SiteLease, SiteStatus
from sunward.model.trust import Level
from sunward.model.wire import ClockMapping
from tests.unit.cli.conftest import DAY, HEAD, HOUR_MS, answer, problem

LEASE = SiteLease(
    lease="j-1.1",
    pool="home/RTX4090",
    gpus=1,
    state="running",
    started_ms=DAY,
    units_done=40,
    units=100,
    can_pause=True,
)
ACCOUNT = SiteAccount(
    leases=(LEASE,),
    unsealed=(),
    earned_wei=str(3 * 10**18),
    owed_usd_micro=1_250_000,
    settles_ms=DAY + 24 * HOUR_MS,
    payout="",
)
STATUS = SiteStatus(
    site="home",
    zone="DE",
    country="DE",
    owner="p-1",
    reachable=True,
    draining=False,
    left_ms=0,
    closed=False,
    closed_hours_utc=(22, 23),
    silent_ms=2_000,
    ask_usd_micro_per_gpu_h=400_000,
    sleep="gpu_idle",
    wake_s=90,
    gpu_year=2023,
    pools=(PoolStatus(pool="home/RTX4090", gpu_model="RTX4090", count=2, awake=2, busy=1, withheld=1),),
    leased_today_j=7_200_000,
    idle_today_j=360_000,
    account=ACCOUNT,
)
EMPTY = replace(STATUS, draining=True, account=replace(ACCOUNT, leases=()))
LEFT = Left(site="home", owed_usd_micro=1_250_000, settles_ms=DAY + 24 * HOUR_MS, journal=HEAD)


@pytest.fixture
def folder(home):
    """The folder of an agent that joined."""
    made = home / "agent"
    made.mkdir()
    (made / "membership.json").write_text(json.dumps({"site": "home", "token": "agent-secret"}))
    (made / "agent.toml").write_text('server = "http://service.test"\n')
    (made / "key").write_bytes(b"k" * 32)
    return made


@pytest.fixture
def asked(service):
    service.answers |= {
        "GET /v1/sites/home": answer(STATUS),
        "POST /v1/sites/home/drain": answer(EMPTY),
        "POST /v1/sites/home/ask": answer(STATUS),
        "POST /v1/sites/home/leave": answer(LEFT),
    }
    return service


def test_the_files_are_named_as_the_agent_names_them():
    assert (keeper.MEMBERSHIP_FILE, keeper.CONFIG_FILE) == (identity.MEMBERSHIP_FILE, config.CONFIG_FILE)


def test_status_tells_how_the_folders_site_stands(run, asked, folder):
    told = run("site", "status").stdout
    for text in ("takes work", "22, 23", "only its GPUs idle", "2.000 kWh for jobs", "1.2500 USD", "j-1.1", "40/100"):
        assert text in told, text
    assert asked.requests[-1].headers["authorization"] == "Bearer agent-secret"
    assert json.loads(run("site", "status", "--json").stdout)["site"] == "home"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"left_ms": DAY}, "has left"),
        ({"reachable": False}, "not reachable"),
        ({"draining": True}, "drains"),
        ({"closed": True}, "closed in this hour"),
        ({"account": None}, "takes work"),
    ],
)
def test_a_named_site_is_asked_for_with_the_providers_token(run, asked, changes, text):
    asked.answers["GET /v1/sites/home"] = answer(replace(STATUS, **changes))
    told = run("site", "status", "home").stdout
    assert text in told
    assert ("owed" in told) == ("account" not in changes)
    assert asked.requests[-1].headers["authorization"] == "Bearer provider-secret"


def test_without_a_name_the_only_own_site_is_meant(run, asked):
    other = replace(STATUS, site="no-hydro", account=None)
    view = json.loads(asked.answers["GET /v1/sites"].content)[0]
    asked.answers["GET /v1/sites"] = answer([view | {"site": "home"}, view | {"site": "no-hydro"}])
    asked.answers["GET /v1/sites/no-hydro"] = answer(other)
    assert "home" in run("site", "status").stdout
    asked.answers["GET /v1/sites/no-hydro"] = answer(replace(other, account=ACCOUNT))
    assert "SW-638" in run("site", "status").stderr


def test_drain_and_its_undoing(run, asked, folder):
    assert "leases still there: 0" in run("site", "drain").stdout
    assert asked.sent("POST", "/v1/sites/home/drain") == {"draining": True}
    assert "takes work again" in run("site", "drain", "home", "--undo").stdout
    assert asked.sent("POST", "/v1/sites/home/drain") == {"draining": False}


def test_ask_sends_what_is_named(run, asked, folder):
    assert "0.4000 USD" in run("site", "ask", "0.4").stdout
    assert asked.sent("POST", "/v1/sites/home/ask") == {"ask_usd_micro_per_gpu_h": 400_000, "payout": None}
    run("site", "ask", "--payout", "0x" + "ab" * 20)
    assert asked.sent("POST", "/v1/sites/home/ask")["payout"] == "0x" + "ab" * 20


def test_leave_waits_for_leases_and_readings_and_keeps_the_key(run, asked, folder):
    asked.answers["POST /v1/sites/home/drain"] = answer(replace(STATUS, draining=True))
    asked.answers["GET /v1/sites/home"] = [answer(replace(STATUS, draining=True)), answer(EMPTY)]
    asked.answers["POST /v1/sites/home/leave"] = [problem(409, "SW-191", "not all sealed"), answer(LEFT)]
    told = run("leave").stdout
    assert told.count("waiting for j-1.1 (40/100)") == 1
    assert "about 1.2500 USD is owed" in told
    assert sorted(path.name for path in folder.iterdir()) == ["agent.toml", "key"]


def test_what_keeps_a_site_is_told_in_the_end(run, asked, folder):
    asked.answers["POST /v1/sites/home/leave"] = problem(409, "SW-191", "readings of j-1.1 are not all sealed")
    result = run("leave")
    assert (result.exit_code, "SW-191" in result.stderr) == (2, True)
    assert (folder / "membership.json").exists()
    asked.answers["POST /v1/sites/home/leave"] = problem(409, "SW-192", "has left")
    assert "SW-192" in run("leave").stderr


def test_purge_deletes_what_the_agent_made_and_nothing_else(run, asked, folder):
    (folder / "attempts" / "j-1.1").mkdir(parents=True)
    (folder / "mine.txt").write_text("the owner's")
    run("leave", "--purge")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_an_empty_folder_goes_too(run, asked, folder):
    assert json.loads(run("leave", "--purge", "--json").stdout)["site"] == "home"
    assert not folder.exists()


def test_the_agent_of_the_folder_is_ended_by_its_number(run, asked, folder, monkeypatch):
    lock = take_folder(folder)
    ended = []
    monkeypatch.setattr(os, "kill", lambda process, number: (ended.append((process, number)), lock.close()))
    assert holder(folder) == os.getpid()
    assert run("leave").exit_code == 0
    assert ended == [(os.getpid(), signal.SIGTERM)]
    assert holder(folder) is None


def test_an_agent_that_does_not_end_is_named(run, asked, folder, monkeypatch):
    monkeypatch.setattr(os, "kill", lambda *_words: None)
    with take_folder(folder):
        result = run("leave")
    assert (result.exit_code, "SW-639" in result.stderr) == (3, True)
    assert not any(request.url.path.endswith("/leave") for request in asked.requests)


@pytest.mark.parametrize("mine", [True, False])
def test_the_unit_goes_when_it_starts_this_folder(folder, tmp_path, monkeypatch, mine):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", "")
    file = unit.unit_path(os.environ)
    file.parent.mkdir(parents=True)
    file.write_text(unit.unit_text(folder if mine else tmp_path / "elsewhere", tmp_path))
    assert unit.remove(folder) == mine
    assert file.exists() != mine


def test_damaged_settings_are_named(run, asked, folder):
    (folder / "agent.toml").write_text("server = ")
    assert "SW-510" in run("site", "status").stderr


LIMIT = Ceiling(ceiling="g-1", start_ms=DAY + HOUR_MS, end_ms=DAY + 3 * HOUR_MS, ceiling_w=40_500, source="operator")
LIMITS = "/v1/sites/home/ceilings"


@pytest.fixture
def limited(asked):
    asked.answers |= {
        f"GET {LIMITS}": answer([LIMIT]),
        f"POST {LIMITS}": answer(LIMIT),
        f"DELETE {LIMITS}/g-1": httpx.Response(204),
        "GET /v1/clock": answer(ClockMapping(machine_ms=0, grid_ms=DAY, speed=0)),
    }
    return asked


def test_curtail_sends_times_as_written_and_lists_what_holds(run, limited):
    words = (
        "site",
        "curtail",
        "home",
        "--kw",
        "40.5",
        "--from",
        "2023-06-12T01:00",
        "--until",
        "2023-06-12T03:00+00:00",
    )
    told = run(*words).stdout
    assert limited.sent("POST", LIMITS) == {"kw": 40.5, "until_ms": DAY + 3 * HOUR_MS, "start_ms": DAY + HOUR_MS}
    for text in ("g-1", "2023-06-12 01:00Z", "2023-06-12 03:00Z", "40.5", "operator"):
        assert text in told, text
    assert json.loads(run(*words, "--json").stdout)["ceiling"] == "g-1"


def test_curtail_counts_a_length_of_time_from_grid_time(run, limited, folder):
    run("site", "curtail", "--kw", "0", "--until", "90m", "--from", "1h")
    assert limited.sent("POST", LIMITS) == {"kw": 0.0, "until_ms": DAY + 90 * 60_000, "start_ms": DAY + HOUR_MS}
    run("site", "curtail", "--kw", "0", "--until", "1d")
    assert limited.sent("POST", LIMITS)["start_ms"] == 0


def test_curtail_lifts_and_lists(run, limited, folder):
    assert "g-1" in run("site", "curtail", "home").stdout
    limited.answers[f"GET {LIMITS}"] = answer([])
    assert "nothing limits what home draws" in run("site", "curtail", "--cancel", "g-1").stdout
    assert any(request.method == "DELETE" for request in limited.requests)
    assert json.loads(run("site", "curtail", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--kw", "1"), "SW-703"),
        (("--until", "1h"), "SW-703"),
        (("--from", "1h"), "SW-703"),
        (("--cancel", "g-1", "--kw", "1", "--until", "1h"), "SW-703"),
        (("--kw", "1", "--until", "soon"), "SW-621"),
        (("--kw", "1", "--until", "1"), "SW-621"),
    ],
)
def test_curtail_says_what_it_needs(run, limited, words, code):
    result = run("site", "curtail", "home", *words)
    assert (result.exit_code, code in result.stderr) == (2, True)
    assert not [request for request in limited.requests if request.method != "GET"]


def test_status_shows_the_limits_of_its_own_site(run, asked, folder):
    asked.answers["GET /v1/sites/home"] = answer(replace(STATUS, power_ceiling_w=90_000, ceilings=(LIMIT,)))
    told = run("site", "status").stdout
    assert "90 kW" in told
    assert "40.5" in told


CHALLENGE = ChallengeView(
    challenge="c-1",
    site="home",
    pool="home/L40S",
    gpu_model="L40S",
    containers=2,
    bytes=40 << 30,
    drawn_ms=DAY,
    until_ms=DAY + HOUR_MS,
    state="failed",
    beacon=BeaconValue(source="local", round=0, value="ab" * 32, label="local beacon"),
    elapsed_ms=9_100,
    allowed_ms=6_500,
    faults=(ChallengeFault(key="challenge_late", sentence="it took {took} ms", figures={"took": 9_100}),),
)


def test_challenge_asks_a_site_and_shows_how_it_ended(run, asked):
    asked.answers |= {
        "POST /v1/sites/home/challenge": answer([replace(CHALLENGE, state="open", allowed_ms=0, faults=())], 201),
        "GET /v1/challenges": answer([CHALLENGE, replace(CHALLENGE, site="away", challenge="c-2")]),
    }
    told = run("site", "challenge", "home").stdout
    for text in ("c-1", "2 L40S", "40", "not answered yet", "local beacon"):
        assert text in told, text
    told = run("site", "challenge", "home", "--results").stdout
    for text in ("failed", "9.1/6.5", "c-1: it took 9100 ms"):
        assert text in told, text
    assert "c-2" not in told
    assert json.loads(run("site", "challenge", "home", "--results", "--json").stdout)[0]["challenge"] == "c-1"
    assert "never challenged" in run("site", "challenge", "other", "--results").stdout


def test_the_rules_of_challenges_are_shown_and_changed(run, asked):
    path = "/v1/challenges/rules"
    asked.answers |= {f"GET {path}": answer(ChallengeRules()), f"POST {path}": answer(ChallengeRules(fill_ppm=500_000))}
    told = run("network", "challenges").stdout
    for text in ("85 %", "30"):
        assert text in told, text
    words = ("network", "challenges", "--awake", "1.5", "--asleep", "0.1", "--fill", "50", "--valid", "7")
    assert "50 %" in run(*words).stdout
    wanted = ChallengeRules(
        awake_milli_per_epoch=1_500, asleep_milli_per_epoch=100, fill_ppm=500_000, valid_ms=7 * 24 * HOUR_MS
    )
    assert asked.sent("POST", path) == json.loads(encode(wanted))
    assert json.loads(run("network", "challenges", "--json").stdout)["fill_ppm"] == 850_000


def test_what_is_asked_of_places_is_shown_and_changed(run, asked):
    path = "/v1/places/rules"
    oslo = Anchor(name="oslo", key="ab" * 32, lat_udeg=59_910_000, lon_udeg=10_750_000, address="anchor.example:8475")
    asked.answers |= {
        f"GET {path}": answer(PlaceRules(anchors=(replace(oslo, name="old"),))),
        f"POST {path}": answer(PlaceRules(level=Level.ENDORSED, anchors=(oslo,))),
    }
    assert "declared" in run("network", "place").stdout
    told = f"oslo={oslo.key}@59.91,10.75@{oslo.address}"
    shown = run("network", "place", "--asks", "endorsed", "--anchor", told, "--drop", "old", "--valid", "7").stdout
    for text in ("endorsed", "anchor oslo", "59.91,10.75 anchor.example:8475"):
        assert text in shown, text
    wanted = PlaceRules(level=Level.ENDORSED, anchors=(oslo,), valid_ms=7 * 24 * HOUR_MS)
    assert asked.sent("POST", path) == json.loads(encode(wanted))
    assert json.loads(run("network", "place", "--json").stdout)["level"] == "declared"
    assert run("network", "place", "--anchor", "oslo").exit_code == 2
