"""`sunward anchor`: measure from here how far away the keys of sites can be."""

from __future__ import annotations

import queue
import signal
import socket
import threading
import time
from pathlib import Path

import click

from sunward.adapters.anchor import AnchorPost
from sunward.agent.identity import load_key, public_key
from sunward.cli import show
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.errors import InputError, SourceError, SunwardError
from sunward.model.place import AnchorWish, RoundTrip
from sunward.units import MICRO, NS_PER_MS

PORT = 8475
KEY_FILE = "anchor.key"
CANNOT_LISTEN = "SW-729"
LAT_MAX, LON_MAX = 90.0, 180.0
ASK_EVERY_S = 5.0
"""Machine time between two looks whom to measure."""
STEP_S = 0.5


@command()
@option("--at", "at", required=True, metavar="LAT,LON", help="Where this machine stands, in degrees.")
@option("--listen", default=f"0.0.0.0:{PORT}", show_default=True, metavar="HOST:PORT", help="Where sites call (UDP).")
@option("--folder", type=click.Path(path_type=Path), help="Where its key is kept; else the home folder.")
@pass_shell
def anchor(shell: Shell, at: str, listen: str, folder: Path | None) -> None:
    """Measure how long sites take to answer, from this place, until stopped."""
    key = load_key(folder.expanduser() if folder else shell.home, KEY_FILE)
    place_udeg = _place(at)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_args: stop.set())
    with _listener(listen) as listener:
        port = listener.getsockname()[1]
        _say(shell, {"event": "ready", "key": public_key(key), "at": at, "port": port})
        post = AnchorPost(listener, key, place_udeg, lambda: time.time_ns() // NS_PER_MS)
        _Measuring(shell, post, public_key(key)).run(stop)


class _Measuring:
    """One thread answers sites and reads the clock; the other one talks to the service."""

    def __init__(self, shell: Shell, post: AnchorPost, key: str) -> None:
        self._shell = shell
        self._post = post
        self._key = key
        self._wishes: queue.SimpleQueue[tuple[AnchorWish, ...]] = queue.SimpleQueue()
        self._trips: queue.SimpleQueue[RoundTrip] = queue.SimpleQueue()
        self._told = ""

    def run(self, stop: threading.Event) -> None:
        """Measure until asked to stop."""
        talker = threading.Thread(target=self._talk, args=(stop,), daemon=True)
        talker.start()
        while not stop.is_set():
            while not self._wishes.empty():
                self._post.want(self._wishes.get_nowait())
            trip = self._post.step(STEP_S)
            if trip is not None:
                self._trips.put(trip)

    def _talk(self, stop: threading.Event) -> None:
        """Thread: deliver what was measured, and ask whom to measure."""
        with self._shell.client("operator") as client:
            asked_s = -ASK_EVERY_S
            while not stop.wait(STEP_S):
                try:
                    while not self._trips.empty():
                        trip = self._trips.get_nowait()
                        done = client.send_round_trip(trip)
                        left = len(done.countries)
                        _say(
                            self._shell,
                            {"event": "measured", "site": trip.site, "rtt_us": trip.rtt_us, "countries": left},
                        )
                    if time.monotonic() - asked_s >= ASK_EVERY_S:
                        asked_s = time.monotonic()
                        self._wishes.put(client.anchor_wishes(self._key))
                    self._told = ""
                except SunwardError as reason:
                    # What was not delivered is measured again; the service goes on asking for it.
                    if reason.message != self._told:
                        _say(self._shell, {"event": "problem", "reason": reason.message})
                    self._told = reason.message


def _say(shell: Shell, facts: dict[str, str | int]) -> None:
    if shell.json:
        show.json_line(facts)
    else:
        show.line(" ".join(f"{name}={value}" for name, value in facts.items()))


def _place(at: str) -> tuple[int, int]:
    """Millionths of a degree. Raises: InputError."""
    try:
        lat, lon = (float(part) for part in at.split(","))
    except ValueError:
        raise click.BadParameter(_("{value} is not LAT,LON in degrees").format(value=at)) from None
    if not (abs(lat) <= LAT_MAX and abs(lon) <= LON_MAX):
        raise click.BadParameter(_("{value} is not LAT,LON in degrees").format(value=at))
    return round(lat * MICRO), round(lon * MICRO)


def _listener(listen: str) -> socket.socket:
    """The bound socket. Raises: InputError, SourceError."""
    host, _colon, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(found[0], found[1], found[2])
        made.bind(found[4])
    except ValueError:
        raise InputError(f"{listen} is no HOST:PORT to listen on", code=CANNOT_LISTEN) from None
    except OSError as reason:
        raise SourceError(f"cannot listen on {listen}: {reason.strerror}", code=CANNOT_LISTEN) from None
    return made
