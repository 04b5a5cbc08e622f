"""Events of an OpenADR 3 server, over a real socket: what they mean, and what becomes of bad answers."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import pytest

from sunward.adapters.grid import Limit, read_grid
from sunward.adapters.openadr import Vtn
from sunward.cli.watching import watches
from sunward.errors import InputError, SourceError
from tests.support.vtn_server import CLIENT, PROGRAM, SECRET, serving

NOON = datetime(2026, 6, 11, 12, tzinfo=UTC)
NOON_MS = 1_781_179_200_000
HOUR_MS = 3_600_000
PAYLOAD = {"type": "IMPORT_CAPACITY_LIMIT", "values": [1]}


@pytest.fixture
def server():
    with serving() as vtn:
        yield vtn


def asking(server, **more) -> Vtn:
    return Vtn(server.url, **({"client": (CLIENT, SECRET)} | more))


def test_a_limit_is_read_with_its_time_and_its_watts(server):
    server.publish("evening", start=NOON, lasts="PT90M", kw=40.5)
    assert asking(server).ask().limits == (
        Limit(name="evening.0", start_ms=NOON_MS, end_ms=NOON_MS + HOUR_MS * 3 // 2, watts=40_500),
    )


def test_intervals_follow_one_another_and_other_payloads_say_nothing(server):
    limits = [
        {"id": number, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}
        for number, kw in enumerate((30, 20))
    ]
    server.publish("steps", start=NOON, intervals=[*limits, {"id": 2, "payloads": [{"type": "PRICE", "values": [1]}]}])
    found = asking(server).ask()
    assert [(one.name, one.start_ms - NOON_MS, one.watts) for one in found.limits] == [
        ("steps.0", 0, 30_000),
        ("steps.1", HOUR_MS, 20_000),
    ]
    assert found.unread == ()


def test_now_and_for_ever_have_their_words(server):
    server.publish("open", start="0000-00-00", lasts="P9999Y", kw=5)
    (one,) = asking(server).ask().limits
    assert one.start_ms == int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1_000)
    assert one.end_ms > NOON_MS + 50 * 365 * 24 * HOUR_MS


def test_units_are_as_told_and_kilowatts_otherwise(server):
    unit = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT"}
    server.publish("watts", start=NOON, kw=7_000, payloadDescriptors=[unit | {"units": "W"}])
    server.publish("miles", start=NOON, payloadDescriptors=[unit | {"units": "MILES"}])
    found = asking(server).ask()
    assert [(one.name, one.watts) for one in found.limits] == [("watts.0", 7_000)]
    assert "miles" in found.unread[0]
    assert "MILES" in found.unread[0]


def test_only_the_program_and_the_target_named_count(server):
    server.publish("mine", start=NOON, targets=[{"type": "VEN_NAME", "values": ["no-hydro"]}])
    server.publish("flat", start=NOON, targets=["no-hydro"])
    server.publish("theirs", start=NOON, targets=["es-solar"])
    server.publish("all", start=NOON)
    server.publish("elsewhere", start=NOON, programID="prog-2")
    names = [one.name for one in asking(server, program=PROGRAM, target="no-hydro").ask().limits]
    assert names == ["mine.0", "flat.0", "all.0"]
    assert len(asking(server, program="prog-2").ask().limits) == 1
    with pytest.raises(SourceError, match="no program nothing"):
        asking(server, program="nothing").ask()


def test_many_events_come_in_pages(server):
    for number in range(120):
        server.publish(f"e-{number}", start=NOON)
    assert len({one.name for one in asking(server).ask().limits}) == 120


def test_a_token_that_has_expired_is_fetched_anew(server):
    server.publish("evening", start=NOON)
    vtn = asking(server)
    assert vtn.ask().limits
    server.forget_tokens()
    assert vtn.ask().limits
    assert asking(server, token_url=f"{server.url}/auth/token").ask().limits


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"down": 503}, "SW-226"),
        ({"down": 403}, "SW-223"),
        ({"garbage": b"<html>"}, "SW-227"),
        ({"garbage": b"{}"}, "SW-227"),
    ],
    ids=str,
)
def test_a_bad_day_is_told_as_such(server, broken, code):
    for name, value in broken.items():
        setattr(server, name, value)
    with pytest.raises(SourceError) as told:
        asking(server).ask()
    assert told.value.code == code


def test_nobody_there_and_a_wrong_secret_are_told(server):
    with pytest.raises(SourceError) as told:
        Vtn("http://127.0.0.1:9/api").ask()
    assert told.value.code == "SW-226"
    with pytest.raises(SourceError) as told:
        asking(server, client=(CLIENT, "wrong")).ask()
    assert told.value.code == "SW-223"
    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    "event",
    [
        [],
        7,
        {},
        {"objectType": "EVENT", "id": "x"},
        {
            "id": "x",
            "programID": "p",
            "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [1]}]}],
        },
        {"id": "x", "programID": "p", "intervalPeriod": {"start": "soon", "duration": "PT1H"}, "intervals": []},
        {"id": "x", "programID": "p", "intervalPeriod": {"start": "2026-06-11T12:00:00Z", "duration": "long"}},
        {"id": "x", "programID": "p", "targets": [{"type": "VEN"}]},
    ],
    ids=repr,
)
def test_an_event_that_means_nothing_never_hides_the_others(server, event):
    server.publish("good", start=NOON)
    server.events["bad"] = event
    server.garbage = json.dumps(list(server.events.values())).encode()
    found = asking(server).ask()
    assert [one.name for one in found.limits] == ["good.0"]
    assert len(found.unread) == 1


ENTRY = '[[grid]]\nsite = "no-hydro"\nurl = "https://vtn.example/api"\n'


def test_settings_are_read_with_the_secret_where_it_is_kept(tmp_path):
    path = tmp_path / "grid.toml"
    other = ENTRY.replace("no-hydro", "es-solar")
    path.write_text(ENTRY + 'client_id = "c"\n' + other + 'client_id = "d"\nsecret_file = "key"\n')
    key = tmp_path / "key"
    key.write_text("shh\n")
    key.chmod(0o600)
    first, second = read_grid(path, {"OPENADR_SECRET": "sesame"})
    assert (first.entry.site, first.secret, first.entry.every_seconds) == ("no-hydro", "sesame", 30)
    assert (second.entry.site, second.secret) == ("es-solar", "shh")
    assert "sesame" not in repr(first)
    key.chmod(0o644)
    with pytest.raises(InputError, match="others may read"):
        read_grid(path, {"OPENADR_SECRET": "sesame"})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("grid = 1", "grid"),
        ("[[grid", "TOML"),
        ("[[grid]]\nsite = 'a'", "url"),
        (ENTRY + "every_seconds = 0", "every_seconds"),
        (ENTRY + "colour = 'red'", "colour"),
        (ENTRY + "client_id = 'c'", "OPENADR_SECRET"),
        (ENTRY.replace("https", "http"), "https"),
        (ENTRY.replace("https://vtn.example/api", "vtn"), "address"),
        (ENTRY + "token_url = 'http://vtn.example'", "https"),
        (ENTRY + "client_id = 'c'\nsecret_file = 'nowhere'", "secret"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, text, word):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=word) as told:
        read_grid(path, {})
    assert told.value.code == "SW-704"
    with pytest.raises(InputError):
        read_grid(tmp_path / "none.toml", {})


def test_what_up_listens_to_is_made_from_the_settings(tmp_path, server, monkeypatch):
    path = tmp_path / "grid.toml"
    lines = ENTRY.replace("https://vtn.example/api", server.url)
    path.write_text(lines + f'program = "{PROGRAM}"\nclient_id = "{CLIENT}"\nevery_seconds = 5\n')
    monkeypatch.setenv("OPENADR_SECRET", SECRET)
    server.publish("evening", start=NOON)
    (watch,) = watches(path)
    assert (watch.site, watch.every_s) == ("no-hydro", 5)
    assert [one.name for one in watch.ask().limits] == ["evening.0"]
    assert watches(None) == ()


def test_without_the_library_one_line_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "grid.toml"
    path.write_text(ENTRY)
    monkeypatch.setitem(sys.modules, "openadr3.api", None)
    monkeypatch.delitem(sys.modules, "sunward.adapters.openadr", raising=False)
    with pytest.raises(InputError, match=r"sunward\[grid\]") as told:
        watches(path)
    assert told.value.code == "SW-705"
