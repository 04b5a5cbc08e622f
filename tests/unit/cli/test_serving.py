"""Starting `up` and `join`: what is refused before anything is written, and what help says without loading them."""

import json

import pytest

from sunward.adapters.nvml import NvmlDevice
from sunward.agent.config import CONFIG_FILE, load_config
from sunward.cli import join, up
from sunward.cli.door import Door
from sunward.cli.interview import price
from sunward.cli.main import SERVERS, cli
from sunward.cli.text import choose
from sunward.errors import InputError
from sunward.model.hardware import WorkClass
from sunward.world import catalogue
from sunward.world.power import relative_rate

FIRST = ("join", "--join-token", "t", "--server", "http://127.0.0.1:1", "--site", "home", "--gpu", "RTX4090:1")
JOIN_BAD = {
    ("join",): "SW-626",
    ("join", "--site", "home", "--zone", "DE"): "SW-626",
    (*FIRST, "--ask", "0.1"): "SW-626",
    (*FIRST, "--ask", "0.1", "--zone", "ZZ"): "SW-100",
    (*FIRST, "--ask", "0.1", "--zone", "DE", "--gpu", "H1000:1"): "SW-100",
    (*FIRST, "--ask", "0.1", "--zone", "DE", "--gpu", "none"): "SW-623",
    (*FIRST, "--ask", "0.1", "--zone", "DE", "--cooling", "steam"): "SW-100",
    (*FIRST, "--ask", "0.1", "--zone", "DE", "--server", "here"): "SW-510",
    (*FIRST, "--ask", "-1", "--zone", "DE"): "SW-600",
}
UP_BAD = {
    ("--start", "tomorrow"): "SW-621",
    ("--start", "0001-01-01"): "SW-621",
    ("--carbon", "missing.csv"): "SW-100",
    ("--price", "/etc/hostname"): "SW-100",
    ("--speed", "0"): "SW-600",
    ("--port", "70000"): "SW-600",
}


def is_refused(result, code):
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert result.stderr.startswith(f"error {code}: ")


@pytest.mark.parametrize("words", JOIN_BAD, ids=" ".join)
def test_a_site_described_wrongly_leaves_no_folder_behind(run, home, monkeypatch, words):
    monkeypatch.setattr("sunward.agent.parts.sandbox.find", lambda _nodes=None: "none here")
    is_refused(run(*words, "--trusted"), JOIN_BAD[words])
    assert not (home / "agent").exists()


@pytest.mark.parametrize("words", UP_BAD, ids=" ".join)
def test_a_start_refused_leaves_no_home_behind(run, tmp_path, words):
    is_refused(run("--home", str(tmp_path / "new"), "up", *words), UP_BAD[words])
    assert not (tmp_path / "new").exists()


def test_what_the_first_start_needs_is_named_at_once(run, tmp_path):
    told = run("--home", str(tmp_path), "join", "--site", "home").stderr
    assert all(name in told for name in ("--join-token", "--server", "--zone", "--gpu", "--ask"))
    assert "--site" not in told


def test_a_home_is_held_by_one_control_plane(run, tmp_path):
    other = tmp_path / "other"
    with up.take_home(other):
        is_refused(run("--home", str(other), "up", "--port", "0"), "SW-625")
    assert [file.name for file in other.iterdir()] == ["lock"]
    up.take_home(other).close()


def test_a_taken_port_is_named(tmp_path):
    with Door().listen() as taken:
        taken.listen()
        with pytest.raises(InputError) as refused:
            Door(port=taken.getsockname()[1]).listen()
    assert refused.value.code == "SW-620"


def test_damaged_credentials_and_databases_are_named_by_file(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "credentials.json").write_text("{")
    is_refused(run("--home", str(other), "up", "--port", "0"), "SW-166")
    assert sorted(file.name for file in other.iterdir()) == ["credentials.json", "lock"]
    (other / "credentials.json").unlink()
    (other / "sunward.db").write_text("no database")
    result = run("--home", str(other), "up", "--port", "0")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert result.stderr.startswith("error SW-210: ")


def test_what_the_machine_tells_is_taken_when_told_to(run, home, monkeypatch):
    monkeypatch.setattr("sunward.agent.daemon.join", lambda config, _token: config.home.mkdir(parents=True))
    monkeypatch.setattr("sunward.agent.daemon.run", lambda _config: None)
    monkeypatch.setenv("SUNWARD_ZONE", "KR")
    monkeypatch.setattr("sunward.cli.interview.socket.gethostname", lambda: "My Tower.local")
    cards = [NvmlDevice(uuid=f"GPU-{n}", name="NVIDIA GeForce RTX 4090", memory_bytes=1, node="") for n in (1, 2)]
    monkeypatch.setattr("sunward.cli.interview.nvml_devices", lambda: tuple(cards))
    words = ("join", "--join-token", "t", "--payout", "0x" + "aB" * 20, "--gpu-year", "2023")
    is_refused(run(*words), "SW-626")
    assert run(*words, "-y", "--trusted", "--admission", "known").exit_code == 0
    config = load_config(home / "agent")
    assert (config.site, config.zone, config.country, config.meter) == ("my-tower-local", "KR", "KR", "nvml")
    assert [(pool.gpu_model, pool.devices) for pool in config.pools] == [("RTX4090", ("GPU-1", "GPU-2"))]
    rate = relative_rate(catalogue.load().gpu("RTX4090"), WorkClass.GENERIC)
    assert config.ask_usd_micro_per_gpu_h == pytest.approx(rate * 900_000, abs=5_000)
    assert (config.payout, config.gpu_year, config.admission) == ("0x" + "aB" * 20, 2023, "known")


@pytest.mark.parametrize("text", ["much", "-1", "inf", "nan"])
def test_a_price_that_is_none_is_named(text):
    with pytest.raises(InputError, match="is no price"):
        price(text)


def test_a_service_unit_is_sound_and_started(run, home, tmp_path, monkeypatch):
    monkeypatch.setattr("sunward.agent.daemon.join", lambda config, _token: config.home.mkdir(parents=True))
    programs = tmp_path / "programs"
    programs.mkdir()
    said = tmp_path / "said"
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    words = ("join", "--join-token", "t", "--site", "home", "--zone", "DE", "--gpu", "RTX4090:2", "--ask", "1")
    done = run(*words, "--service")
    assert done.exit_code == 0, done.output
    assert said.read_text() == "--user daemon-reload\n--user enable --now sunward-agent.service\n"
    text = (tmp_path / "config" / "systemd" / "user" / "sunward-agent.service").read_text()
    assert f"--home {home} join --folder {home / 'agent'}\n" in text
    (programs / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    (home / "agent" / "membership.json").write_text(json.dumps({"site": "home", "token": "secret"}))
    failed = run("join", "--service")
    assert failed.exit_code == 3
    assert "Failed to connect to bus; when that is mended: systemctl --user daemon-reload" in failed.stderr


def test_an_overhead_not_told_is_modelled_from_the_cooling():
    assert join._overhead(1.2, "air") == {"overhead_ppm": 1_200_000, "overhead_quality": "estimated"}
    assert join._overhead(None, "room") == {"overhead_ppm": 1_000_000, "overhead_quality": "modelled"}
    air = catalogue.load().cooling("air")
    modelled = join._overhead(None, "air")["overhead_ppm"] / 1_000_000
    assert modelled == pytest.approx(1 + air.base_frac + air.fixed_frac)
    assert join._overhead(None, None) == {}, "a site that has joined keeps what it said"


def test_what_was_said_is_kept_for_the_next_start(run, home, monkeypatch):
    served = []
    monkeypatch.setattr("sunward.agent.daemon.join", lambda config, _token: config.home.mkdir(parents=True))
    monkeypatch.setattr("sunward.agent.daemon.run", served.append)
    first = run(
        "--json", "join", "--join-token", "t", "--site", "home", "--zone", "DE", "--gpu", "RTX4090:2", "--ask", "1"
    )
    assert json.loads(first.stdout) == {"site": "home", "folder": str(home / "agent")}
    (home / "agent" / "membership.json").write_text(json.dumps({"site": "home", "token": "secret"}))
    again = run("join")
    assert (again.exit_code, again.stdout) == (0, "goes on as home\n")
    assert served[0] == served[1]
    assert (served[0].server, served[0].cooling, served[0].country) == ("http://service.test", "room", "DE")
    assert (home / "agent" / CONFIG_FILE).exists()


@pytest.mark.parametrize("admission", ["own", "known", "anyone"])
def test_whose_jobs_are_accepted_is_said_in_the_words_of_the_settings(run, monkeypatch, admission):
    served = []
    monkeypatch.setattr("sunward.agent.daemon.join", lambda config, _token: config.home.mkdir(parents=True))
    monkeypatch.setattr("sunward.agent.daemon.run", served.append)
    told = run(*FIRST, "--zone", "DE", "--ask", "1", "--admission", admission)
    assert (told.exit_code, [config.admission for config in served]) == (0, [admission])


@pytest.mark.parametrize("name", SERVERS)
def test_the_list_of_commands_says_what_the_commands_say(name):
    choose("en")
    command = cli.get_command(None, name)
    assert SERVERS[name][1] == command.get_short_help_str()


def test_the_list_of_commands_names_every_command(run):
    shown = run("--help").output
    assert all(f"\n  {name} " in shown for name in cli.list_commands(None))


@pytest.mark.parametrize("words", [("--lang", "ko", "account"), ("account", "--lang", "ko"), ("account", "--lang=ko")])
def test_the_language_may_stand_before_or_after_the_command(run, words):
    assert "잔액" in run(*words).output
