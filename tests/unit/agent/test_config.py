from __future__ import annotations

import stat
import tomllib
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest
from tools import build_agent_schema

from sunward.adapters.gvisor import GVisor
from sunward.adapters.sandbox import Sandbox
from sunward.agent.config import AgentConfig, PoolConfig, load_config, site_spec
from sunward.agent.identity import Membership, load_key, load_membership, new_boot, public_key, save_membership
from sunward.agent.sleep import Proof, save_proof
from sunward.errors import InputError, NotFoundError
from sunward.model.site import Sleep

GOOD = """
server = "http://127.0.0.1:8080"
site = "no-hydro"
owner = "nordic"
zone = "NO-NO2"
country = "NO"
cooling = "air"
overhead_ppm = 1_080_000
ask_usd_micro_per_gpu_h = 1_200_000

[[pools]]
gpu_model = "NVIDIA H100 80GB HBM3"
count = 2
"""


def written(folder: Path, text: str) -> Path:
    (folder / "agent.toml").write_text(text, "utf-8")
    return folder


def test_a_configuration_becomes_what_the_site_declares(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD), {"grace_s": 2.5, "poll_s": None})
    assert (config.home, config.grace_s, config.poll_s) == (tmp_path, 2.5, 5.0)
    spec = site_spec(config, config.site, "ab" * 32, None)
    (pool,) = spec.pools
    assert (pool.pool, pool.gpu_model, pool.count) == (f"no-hydro/{pool.gpu_model}", "H100-SXM", 2)
    assert pool.devices == ("H100-SXM-0", "H100-SXM-1")
    assert (spec.admission, spec.water_ml_per_kwh, spec.public_key) == ("own", 0, "ab" * 32)


def test_overrides_suffice_without_a_file(tmp_path: Path) -> None:
    settings = {
        "server": "https://control.example",
        "site": "s",
        "owner": "o",
        "zone": "KR",
        "country": "KR",
        "cooling": "evaporative",
        "overhead_ppm": 1_200_000,
        "ask_usd_micro_per_gpu_h": 0,
        "pools": [{"gpu_model": "L40S", "devices": ["GPU-1", "GPU-2"]}],
    }
    spec = site_spec(load_config(tmp_path, settings), "given", "ab" * 32, CAGES["bubblewrap"])
    assert (spec.site, spec.pools[0].devices, spec.water_ml_per_kwh) == ("given", ("GPU-1", "GPU-2"), 1_800)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('site = "no-hydro"', 'site = "no/hydro"', "site: lower-case"),
        ('site = "no-hydro"', "", "site"),
        ('country = "NO"', 'country = "Norway"', "country: two capital letters"),
        ("1_080_000", "900_000", "overhead_ppm: at least 1000000"),
        ("1_080_000", '"much"', "overhead_ppm"),
        ("http://", "ftp://", "server: an http or https address"),
        ("count = 2", "count = 0", "pools: at least one"),
        ("count = 2", 'count = 2\ndevices = ["a"]', "pools: at least one"),
        ("count = 2", "counts = 2", "unknown setting `counts`"),
        ("[[pools]]", "colour = 3\n[[pools]]", "unknown setting `colour`"),
        ("[[pools]]", 'meter = "guess"\n[[pools]]', "meter: one of modelled, nvml"),
        ("[[pools]]", "[[pools", "agent.toml"),
        ("[[pools]]", "tick_s = 0\n[[pools]]", "poll_s, tick_s: above 0"),
        ("[[pools]]", "closed_hours_utc = [24]\n[[pools]]", "closed_hours_utc: some of the hours"),
        ("[[pools]]", "asleep_w = -1\n[[pools]]", "asleep_w: not negative"),
        ("[[pools]]", 'payout = "0x1"\n[[pools]]', "payout: empty, or 0x"),
        ("[[pools]]", 'sleep = "deep"\n[[pools]]', "sleep"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in GOOD
    with pytest.raises(InputError) as caught:
        load_config(written(tmp_path, GOOD.replace(before, after)))
    assert message in caught.value.message
    assert "\n" not in caught.value.message


CAGES = {"none": None, "bubblewrap": Sandbox("bwrap"), "gVisor": GVisor("runsc", "ptrace")}


@pytest.mark.parametrize(
    ("admission", "cage", "allowed"),
    [
        ("own", "none", True),
        ("own", "bubblewrap", True),
        ("known", "bubblewrap", True),
        ("known", "none", False),
        ("anyone", "none", False),
        ("anyone", "bubblewrap", False),
        ("anyone", "gVisor", True),
    ],
)
def test_no_more_isolation_is_promised_than_there_is(
    tmp_path: Path,
    admission: str,
    cage: str,
    allowed: bool,  # noqa: FBT001
) -> None:
    config = load_config(written(tmp_path, GOOD), {"admission": admission})
    if allowed:
        assert site_spec(config, "s", "ab" * 32, CAGES[cage]).admission == admission
    else:
        with pytest.raises(InputError, match="admi"):
            site_spec(config, "s", "ab" * 32, CAGES[cage])


def test_only_a_proved_sleep_is_declared(tmp_path: Path) -> None:
    def declared(**more: object) -> tuple[str, int, int]:
        spec = site_spec(load_config(written(tmp_path, GOOD), more), "s", "ab" * 32, CAGES["bubblewrap"])
        return spec.sleep.value, spec.wake_s, spec.asleep_w

    assert declared() == ("suspend", 90, 0)
    assert declared(meter="nvml") == ("gpu_idle", 90, 0)
    assert declared(meter="nvml", sleep="none") == ("none", 90, 0)
    assert declared(sleep="off", wake_s=45, asleep_w=6) == ("off", 45, 6)
    with pytest.raises(InputError, match="doctor --prove-sleep") as caught:
        declared(meter="nvml", sleep="suspend")
    assert caught.value.code == "SW-540"
    save_proof(tmp_path, Proof(sleep=Sleep.SUSPEND, wake_s=12, proved_at="2026-01-01", by="rtcwake -m mem -s 60"))
    assert declared(meter="nvml", asleep_w=6) == ("suspend", 12, 6)
    assert declared(meter="nvml", sleep="gpu_idle")[0] == "gpu_idle"
    with pytest.raises(InputError, match="suspend is what was proved"):
        declared(meter="nvml", sleep="off")
    (tmp_path / "sleep.json").write_text("{}")
    with pytest.raises(InputError, match="delete it"):
        declared(meter="nvml")


def test_limits_are_declared_as_the_owner_says_and_the_drivers_permit(tmp_path: Path, monkeypatch) -> None:
    def declared(text: str) -> bool:
        return site_spec(load_config(written(tmp_path, text)), "no-hydro", "00" * 32, Sandbox("bwrap")).power_caps

    real = 'meter = "nvml"\nsleep = "gpu_idle"\n' + GOOD.replace("count = 2", 'devices = ["GPU-a", "GPU-b"]')
    refusals = {"GPU-a": "", "GPU-b": ""}
    monkeypatch.setattr("sunward.agent.config.cap_refused", refusals.__getitem__)
    assert [declared(GOOD), declared("power_caps = true" + GOOD)] == [False, True]
    assert [declared(real), declared("power_caps = false\n" + real)] == [True, False]
    refusals["GPU-b"] = "power limit not permitted"
    assert not declared(real)
    with pytest.raises(InputError, match="the driver says: power limit not permitted") as caught:
        declared("power_caps = true\n" + real)
    assert caught.value.code == "SW-730"


def test_a_card_is_declared_on_the_network_it_was_proved_on(tmp_path: Path) -> None:
    proof = Proof(sleep=Sleep.SUSPEND, wake_s=12, proved_at="", by="", wake_mac="02:00:00:00:00:01", lan="home")
    save_proof(tmp_path, proof)

    def declared(**more: object) -> tuple[str, str]:
        spec = site_spec(load_config(written(tmp_path, GOOD), more), "s", "ab" * 32, CAGES["bubblewrap"])
        return spec.lan, spec.wake_mac

    assert declared(meter="nvml", lan="home") == ("home", "02:00:00:00:00:01")
    assert declared(meter="nvml", lan="office") == ("office", "")
    assert declared(meter="nvml", lan="home", sleep="gpu_idle") == ("home", "")
    assert declared(lan="home") == ("home", "")
    assert declared() == ("", "")
    with pytest.raises(InputError, match="lan: at most"):
        declared(lan="my home")


def test_a_gpu_model_or_device_named_twice_is_refused(tmp_path: Path) -> None:
    double = GOOD + '[[pools]]\ngpu_model = "H100-SXM"\ncount = 1\n'
    with pytest.raises(InputError, match="once"):
        site_spec(load_config(written(tmp_path, double)), "s", "ab" * 32, CAGES["bubblewrap"])


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    made = load_key(folder)
    assert public_key(load_key(folder)) == public_key(made)
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "key").write_bytes(b"short")
    with pytest.raises(InputError, match="32 bytes"):
        load_key(folder)


def test_membership_is_kept_secret_and_missed_when_absent(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="sunward join"):
        load_membership(tmp_path)
    save_membership(tmp_path, Membership(site="s", token="t"))
    assert load_membership(tmp_path) == Membership(site="s", token="t")
    assert stat.S_IMODE((tmp_path / "membership.json").stat().st_mode) == 0o600


def test_boots_are_never_the_same() -> None:
    assert len({new_boot() for _ in range(50)}) == 50


def test_the_schema_and_the_page_of_settings_are_those_of_the_record() -> None:
    docs = Path(__file__).parents[3] / "docs"
    assert (docs / "agent.schema.json").read_text("utf-8") == build_agent_schema.text()
    assert (docs / "agent-settings.md").read_text("utf-8") == build_agent_schema.page()


def test_the_schema_accepts_what_the_reader_does_and_refuses_a_slip() -> None:
    validator = jsonschema.Draft202012Validator(build_agent_schema.schema())
    good = tomllib.loads(GOOD)
    assert list(validator.iter_errors(good)) == []
    for slip in ({"colour": 3}, {"ask_usd_micro_per_gpu_h": "much"}, {"pools": [{"gpu_model": "T4", "counts": 1}]}):
        assert list(validator.iter_errors(good | slip))


def test_every_setting_says_what_it_means() -> None:
    for kind in (AgentConfig, PoolConfig):
        assert set(build_agent_schema._meanings(kind)) == {field.name for field in fields(kind)}
