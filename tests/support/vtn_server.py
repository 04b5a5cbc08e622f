"""An OpenADR 3 server (a VTN) on this machine: a real socket, the documented REST, and its bad days.

Tokens by the OAuth client credentials grant, programs, and events that its owner publishes, changes and takes back.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLIENT, SECRET = "ven-no-hydro", "sesame-open-9"
PROGRAM = "flex-no1"


class Vtn:
    """What the server knows."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        self.programs = [
            {"objectType": "PROGRAM", "id": "prog-1", "programName": PROGRAM},
            {"objectType": "PROGRAM", "id": "prog-2", "programName": "other"},
        ]
        self.tokens: set[str] = set()
        self.issued = itertools.count(1)
        self.down = 0
        """A status to answer everything with."""
        self.garbage = b""
        """What it answers for events instead."""
        self.asked: list[str] = []
        self.url = ""

    def publish(self, name: str, *, start: datetime | str, lasts: str = "PT1H", kw: float = 40, **more: Any) -> None:
        """Publish an event of one interval, or change it."""
        told = start if isinstance(start, str) else start.isoformat().replace("+00:00", "Z")
        interval = {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}
        self.events[name] = {
            "objectType": "EVENT",
            "id": name,
            "createdDateTime": "2026-06-01T00:00:00Z",
            "modificationDateTime": "2026-06-01T00:00:00Z",
            "programID": "prog-1",
            "eventName": name,
            "intervalPeriod": {"start": told, "duration": lasts},
            "intervals": [interval],
        } | more

    def forget_tokens(self) -> None:
        """Every token given so far has expired."""
        self.tokens.clear()


class Handler(BaseHTTPRequestHandler):
    """Answers for one server."""

    vtn: Vtn

    def log_message(self, *_: object) -> None:
        return

    def send(self, status: int, record: object) -> None:
        body = record if isinstance(record, bytes) else json.dumps(record).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        words = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = {"grant_type": ["client_credentials"], "client_id": [CLIENT], "client_secret": [SECRET]}
        if self.path != "/api/auth/token" or not good.items() <= words.items():
            self.send(401, {"error": "invalid_client"})
            return
        token = f"token-{next(self.vtn.issued)}"
        self.vtn.tokens.add(token)
        self.send(200, {"access_token": token, "token_type": "bearer", "expires_in": 3600})

    def do_GET(self) -> None:
        vtn, parts = self.vtn, urlsplit(self.path)
        vtn.asked.append(parts.path)
        if vtn.down:
            self.send(vtn.down, {"title": "down"})
        elif parts.path == "/api/auth/server":
            self.send(200, {"tokenURL": f"{vtn.url}/auth/token"})
        elif self.headers.get("Authorization", "").removeprefix("Bearer ") not in vtn.tokens:
            self.send(403, {"title": "forbidden", "status": 403})
        elif parts.path == "/api/programs":
            self.send(200, vtn.programs)
        elif parts.path == "/api/events":
            self.send(200, vtn.garbage or self.page(parse_qs(parts.query)))
        else:
            self.send(404, {"title": "not found"})

    def page(self, query: dict[str, list[str]]) -> list[Any]:
        program = query.get("programID", [""])[0]
        found = [one for one in self.vtn.events.values() if program in ("", one["programID"])]
        first, most = (int(query.get(word, [plain])[0]) for word, plain in (("skip", "0"), ("limit", "50")))
        return found[first : first + most]


@contextmanager
def serving() -> Iterator[Vtn]:
    """A server until the block ends."""
    vtn = Vtn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"vtn": vtn}))
    vtn.url = f"http://127.0.0.1:{server.server_address[1]}/api"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield vtn
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def moment(at_ms: int) -> datetime:
    """A moment as the server tells it."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
