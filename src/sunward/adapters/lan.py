"""The local network of a machine: its card, a name for the network, and the packet that wakes a neighbour."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sunward.errors import InputError

ROUTES = Path("/proc/net/route")
NEIGHBOURS = Path("/proc/net/arp")
CARDS = Path("/sys/class/net")
EVERYWHERE = "00000000"
DISCARD_PORT = 9
BROADCAST = "255.255.255.255"
SYNCHRONISATION = b"\xff" * 6
REPEATS = 16
MAC_BYTES = 6
NAME_DIGITS = 16
ANSWER_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The network card of the default route."""

    interface: str
    mac: str
    listens: bool
    """Whether it is set to wake the machine; that it does is not proved by this."""


def card() -> Card | None:
    """The card that this machine reaches the world by; None where there is none, or it has no address."""
    route = _default_route()
    if route is None:
        return None
    folder = CARDS / route[0]
    mac = _text(folder / "address").lower()
    if not mac or set(mac) <= {"0", ":"}:
        return None
    listens = _text(folder / "device" / "power" / "wakeup") == "enabled" and _armed(route[0])
    return Card(interface=route[0], mac=mac, listens=listens)


def lan_name() -> str:
    """An opaque name of the local network, the same for all machines behind one gateway; empty where none is known."""
    route = _default_route()
    if route is None:
        return ""
    for line in _text(NEIGHBOURS).splitlines()[1:]:
        words = line.split()
        if words[:1] == [route[1]] and words[5:6] == [route[0]]:
            return hashlib.sha256(f"sunward-lan/1 {words[3].lower()}".encode()).hexdigest()[:NAME_DIGITS]
    return ""


def magic_packet(mac: str) -> bytes:
    """Six bytes FF and sixteen times the address: what a sleeping card listens for.

    Raises: InputError for what is no address.
    """
    try:
        address = bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        address = b""
    if len(address) != MAC_BYTES:
        raise InputError(f"{mac!r} is no address of a network card", code="SW-548")
    return SYNCHRONISATION + address * REPEATS


def call(mac: str, address: str = BROADCAST, port: int = DISCARD_PORT) -> None:
    """Send the packet to everybody on the local network once.

    Raises: InputError for what is no address, OSError when it cannot be sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(magic_packet(mac), (address, port))


def _default_route() -> tuple[str, str] | None:
    """Interface and gateway."""
    for line in _text(ROUTES).splitlines()[1:]:
        words = line.split()
        if words[1:2] == [EVERYWHERE]:
            # The kernel prints the address as one little-endian number.
            return words[0], socket.inet_ntoa(bytes.fromhex(words[2])[::-1])
    return None


def _armed(interface: str) -> bool:
    """Whether the driver waits for the packet; believed where nobody can be asked."""
    program = shutil.which("ethtool")
    if program is None:
        return True
    try:
        done = subprocess.run([program, interface], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    told = [line.partition(":")[2] for line in done.stdout.splitlines() if line.strip().startswith("Wake-on:")]
    return not told or "g" in told[0]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
