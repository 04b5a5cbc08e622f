"""The local network: the packet that wakes a neighbour, sent and received for real, and what the kernel tells."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sunward.adapters import lan
from sunward.errors import InputError

MAC = "02:00:5e:10:00:af"
WAIT_S = 60.0


def test_the_packet_reaches_everybody_on_the_network() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", 0))
        listener.settimeout(WAIT_S)
        lan.call(MAC, address="127.255.255.255", port=listener.getsockname()[1])
        heard = listener.recv(1_024)
    assert heard == b"\xff" * 6 + bytes.fromhex("02005e1000af") * 16
    assert len(heard) == 102


@pytest.mark.parametrize("mac", ["", "02:00:5e:10:00", "02:00:5e:10:00:zz", MAC + ":00"])
def test_what_is_no_address_is_not_sent(mac: str) -> None:
    with pytest.raises(InputError, match="no address"):
        lan.call(mac)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one card on 192.168.1.0/24; its gateway is 192.168.1.1."""
    power = tmp_path / "net" / "eth0" / "device" / "power"
    power.mkdir(parents=True)
    (power / "wakeup").write_text("enabled\n")
    (tmp_path / "net" / "eth0" / "address").write_text(MAC.upper() + "\n")
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\neth0\t0001A8C0\t00000000\t0001\neth0\t00000000\t0101A8C0\t0003\n"
    )
    (tmp_path / "arp").write_text(
        "IP address HW type Flags HW address Mask Device\n"
        "192.168.1.7 0x1 0x2 02:00:00:00:00:07 * eth0\n"
        "192.168.1.1 0x1 0x2 02:00:00:00:00:01 * eth0\n"
    )
    monkeypatch.setattr(lan, "ROUTES", tmp_path / "route")
    monkeypatch.setattr(lan, "NEIGHBOURS", tmp_path / "arp")
    monkeypatch.setattr(lan, "CARDS", tmp_path / "net")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_network_is_named_after_its_gateway(kernel: Path) -> None:
    name = lan.lan_name()
    assert len(name) == 16
    arp = (kernel / "arp").read_text()
    (kernel / "arp").write_text(arp.replace("00:07", "00:08"))
    assert lan.lan_name() == name
    (kernel / "arp").write_text(arp.replace("00:01", "00:02"))
    assert lan.lan_name() not in ("", name)
    (kernel / "arp").write_text("")
    assert lan.lan_name() == ""


@pytest.mark.parametrize(
    ("wakeup", "wake_on", "listens"),
    [("enabled", "", True), ("disabled", "g", False), ("enabled", "g", True), ("enabled", "d", False)],
)
def test_a_card_listens_where_kernel_and_driver_say_so(
    kernel: Path,
    wakeup: str,
    wake_on: str,
    listens: bool,  # noqa: FBT001
) -> None:
    (kernel / "net" / "eth0" / "device" / "power" / "wakeup").write_text(wakeup)
    if wake_on:
        (kernel / "ethtool").write_text(f"#!/bin/sh\necho 'Supports Wake-on: pg'\necho '  Wake-on: {wake_on}'\n")
        (kernel / "ethtool").chmod(0o755)
    assert lan.card() == lan.Card(interface="eth0", mac=MAC, listens=listens)


def test_without_a_way_out_there_is_no_card(kernel: Path) -> None:
    (kernel / "net" / "eth0" / "address").write_text("00:00:00:00:00:00")
    assert lan.card() is None
    (kernel / "route").write_text("")
    assert (lan.card(), lan.lan_name()) == (None, "")
