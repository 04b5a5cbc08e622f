"""The proofs of sleep: a stand-in of `rtcwake`, and clocks that part as a real suspension would have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sunward.adapters import lan
from sunward.agent import prove
from sunward.agent.doctor import Level, examine
from sunward.agent.folder import take_folder
from sunward.agent.identity import Membership, save_membership
from sunward.agent.sleep import ALARM_S, CALL_AFTER_S, Clocks, Proof, load_proof, save_proof
from sunward.errors import InputError, SourceError
from sunward.model.site import Sleep
from sunward.model.wire import WakeTrial
from tests.support import rtcwake
from tests.unit.agent.test_config import GOOD

PROVED = Proof(sleep=Sleep.SUSPEND, wake_s=7, proved_at="2026-01-01T00:00:00+00:00", by="rtcwake -m mem -s 60")


@dataclass
class Suspended:
    """Clocks of a machine that sleeps whenever it is asked to; modelled."""

    folder: Path
    sleeps_s: float
    back_s: float = 0.0
    """From waking until the program goes on."""

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            boottime_s=lambda: 1_000 + len(rtcwake.asked(self.folder)) * (self.sleeps_s + self.back_s),
            monotonic_s=lambda: 1_000 + len(rtcwake.asked(self.folder)) * self.back_s,
        )


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = rtcwake.install(tmp_path / "bin", seconds="0")
    rtcwake.only(folder, monkeypatch)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    return folder


def test_a_machine_that_slept_and_woke_by_its_alarm_is_proved(bin_: Path, home: Path) -> None:
    proof = prove.prove_alarm(home, 60, Suspended(bin_, sleeps_s=58, back_s=9.3).clocks)
    assert (proof.sleep, proof.wake_s, proof.by) == (Sleep.SUSPEND, 8, "rtcwake -m mem -s 60")
    assert load_proof(home) == proof
    assert rtcwake.asked(bin_) == ["-m mem -s 60"]
    finding = next(one for one in examine(home, "") if one.name == "sleep")
    assert (finding.level, finding.what.startswith("suspends, and is ready 8 s")) == (Level.GOOD, True)


@pytest.mark.parametrize(("slept_s", "says"), [(0, "it slept 0 of 60 s"), (30, "it slept 30 of 60 s"), (300, "300 s")])
def test_another_sleep_than_asked_for_proves_nothing(bin_: Path, home: Path, slept_s: float, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        prove.prove_alarm(home, 60, Suspended(bin_, sleeps_s=slept_s).clocks)
    assert caught.value.code == "SW-543"
    assert load_proof(home) is None


def test_a_program_that_only_waits_proves_nothing(bin_: Path, home: Path) -> None:
    """The clocks of this very machine, which did not sleep."""
    with pytest.raises(SourceError, match="it slept 0 of 20 s"):
        prove.prove_alarm(home, 20)
    assert load_proof(home) is None


def test_no_proof_while_the_agent_runs_or_where_nothing_suspends(bin_: Path, home: Path) -> None:
    with take_folder(home), pytest.raises(InputError, match="another agent runs"):
        prove.prove_alarm(home, 60)
    (bin_ / "rtcwake").unlink()
    with pytest.raises(InputError, match="rtcwake is not installed") as caught:
        prove.prove_alarm(home, 60)
    assert caught.value.code == "SW-542"


@pytest.fixture
def neighbours(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[WakeTrial]:
    """A site with a proved sleep and one neighbour; what the control plane was asked for."""
    save_proof(home, PROVED)
    save_membership(home, Membership(site="no-hydro", token="t"))
    (home / "agent.toml").write_text('lan = "home"\n' + GOOD)
    monkeypatch.setattr(prove, "card", lambda: lan.Card(interface="eth0", mac="02:00:00:00:00:01", listens=True))
    told: list[WakeTrial] = []

    def try_wake(_plane: object, trial: WakeTrial) -> int:
        told.append(trial)
        return 1

    monkeypatch.setattr(prove.ControlPlane, "try_wake", try_wake)
    return told


def test_who_woke_long_before_its_alarm_was_woken(bin_: Path, home: Path, neighbours: list[WakeTrial]) -> None:
    proof = prove.prove_neighbour(home, Suspended(bin_, sleeps_s=CALL_AFTER_S + 5).clocks)
    assert (proof.wake_mac, proof.lan, proof.wake_s) == ("02:00:00:00:00:01", "home", 7)
    assert load_proof(home) == proof
    assert [(one.mac, one.lan, one.after_s) for one in neighbours] == [("02:00:00:00:00:01", "home", CALL_AFTER_S)]
    assert rtcwake.asked(bin_) == [f"-m mem -s {ALARM_S}"]
    # Another alarm keeps what the neighbour proved.
    (home / "agent.toml").unlink()
    again = prove.prove_alarm(home, 60, Suspended(bin_, sleeps_s=60).clocks)
    assert again.wake_mac == proof.wake_mac


@pytest.mark.parametrize(("slept_s", "says"), [(ALARM_S, "the alarm woke it"), (3, "too short"), (0, "it slept 0 s")])
@pytest.mark.usefixtures("neighbours")
def test_anything_else_that_woke_it_proves_nothing(bin_: Path, home: Path, slept_s: float, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        prove.prove_neighbour(home, Suspended(bin_, sleeps_s=slept_s).clocks)
    assert load_proof(home) == PROVED


@pytest.mark.usefixtures("neighbours", "bin_")
def test_without_neighbour_or_proved_sleep_nobody_falls_asleep(
    bin_: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prove.ControlPlane, "try_wake", lambda _plane, _trial: 0)
    with pytest.raises(SourceError, match="no other machine of yours"):
        prove.prove_neighbour(home)
    (home / "sleep.json").unlink()
    with pytest.raises(InputError, match="--prove-sleep"):
        prove.prove_neighbour(home)
    assert rtcwake.asked(bin_) == []
