"""Notices to tenants: signed, kept until taken, and never to private addresses unless the operator allows it."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from sunward.adapters import web
from sunward.adapters.web import PublicTransport, check_address, is_public, public_address
from sunward.errors import InputError
from sunward.service import notices
from sunward.service.secrecy import webhook_key
from sunward.units import SECOND_MS
from tests.api.harness import Service

TENANT = "t-1"


class Listener:
    """A tenant's address: it answers as it is told and keeps what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                owner.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(owner.status)
                self.send_header("location", owner.url)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


def deliver(service: Service, *, allow_private: bool = True) -> int:
    with httpx.Client(transport=PublicTransport(allow_private=allow_private), timeout=30) as client:
        return service.loop.run_until_complete(notices.deliver_due(service.control, client))


def waiting(service: Service) -> int:
    far = service.machine.ms + 10**12
    return len(service.control.store.privates.due(far, 100))


def test_a_notice_is_signed_and_sent_once(service: Service, listener: Listener) -> None:
    notices.enqueue(service.control, TENANT, listener.url, "budget", {"used_ppm": 800_000})
    assert (deliver(service), waiting(service), deliver(service)) == (1, 0, 0)
    ((headers, body),) = listener.got
    told = json.loads(body)
    assert (told.pop("kind"), told.pop("notice"), told) == ("budget", headers["sunward-notice"], {"used_ppm": 800_000})
    fields = dict(part.split("=", 1) for part in headers["sunward-signature"].split(","))
    key = webhook_key(service.control.secrets, TENANT)
    assert fields["v1"] == hmac.new(key, f"{fields['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert key != webhook_key(service.control.secrets, "t-2")


def test_what_is_not_taken_is_tried_again_later_and_survives_a_restart(service: Service, listener: Listener) -> None:
    listener.status = 500
    notices.enqueue(service.control, TENANT, listener.url, "budget", {})
    assert (deliver(service), deliver(service)) == (1, 0)
    service.close()
    again = Service(service.home, service.machine)
    try:
        again.machine.ms += notices.FIRST_PAUSE_MS
        listener.status = 302
        assert deliver(again) == 1
        again.machine.ms += notices.FIRST_PAUSE_MS
        assert deliver(again) == 0, "the pause doubles"
        again.machine.ms += notices.FIRST_PAUSE_MS
        listener.status = 200
        assert (deliver(again), waiting(again)) == (1, 0)
    finally:
        again.close()
        # The fixture closes what it made; what it made is closed already, so it gets one that is open.
        service.__dict__.update(Service(service.home, service.machine).__dict__)
    assert len({body for _, body in listener.got}) == 1
    assert len(listener.got) == 3


def test_a_notice_nobody_takes_is_given_up_in_the_end(service: Service, listener: Listener) -> None:
    listener.status = 503
    notices.enqueue(service.control, TENANT, listener.url, "budget", {})
    service.machine.ms += notices.KEPT_MS
    assert (deliver(service), waiting(service)) == (1, 0)


def test_pauses_double_up_to_an_hour() -> None:
    assert [notices.pause_ms(tries) // SECOND_MS for tries in (1, 2, 3, 30)] == [5, 10, 20, 3_600]


def test_a_private_address_is_never_asked(service: Service, listener: Listener) -> None:
    for url in (listener.url, listener.url.replace("http", "https"), "https://localhost/hook"):
        notices.enqueue(service.control, TENANT, url, "budget", {})
    assert deliver(service, allow_private=False) == 3
    assert (listener.got, waiting(service)) == ([], 3)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1", "::1"),
        *("fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::10.0.0.1", "nonsense"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_public_addresses() -> None:
    assert all(map(is_public, ("1.1.1.1", "2606:4700::1111", "64:ff9b::1.1.1.1")))


def test_a_name_is_public_only_if_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*addresses: str) -> None:
        found = [(0, 0, 0, "", (address, 443)) for address in addresses]
        monkeypatch.setattr(web.socket, "getaddrinfo", lambda *_args, **_more: found)

    answers("1.1.1.1", "10.0.0.1")
    with pytest.raises(InputError, match=r"private address \(10.0.0.1\)"):
        public_address("example.org", 443)
    answers("1.1.1.1", "1.0.0.1")
    assert public_address("example.org", 443) == "1.1.1.1"


def test_a_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", ("1.1.1.1", 443))]
    monkeypatch.setattr(web.socket, "getaddrinfo", lambda *_args, **_more: found)
    asked: list[httpx.Request] = []

    def answer(_self: object, request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(204)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    with httpx.Client(transport=PublicTransport()) as client:
        client.post("https://example.org/hook?a=1", content=b"{}")
        with pytest.raises(InputError, match="without https"):
            client.post("http://example.org/hook")
    (request,) = asked
    assert str(request.url) == "https://1.1.1.1/hook?a=1"
    assert (request.headers["host"], request.extensions["sni_hostname"]) == ("example.org", "example.org")


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "ftp://example.org/", "http://example.org/", "https://", "https://u:p@example.org/"),
        *("https://example.org/#here", "https://127.0.0.1/", "https://[::1]/", "https://localhost/", "https://[/"),
        *("https://example.org/ä", "https://example.org/" + "a" * 2_000, "https://example.org:port/", "https://a b/"),
    ],
)
def test_addresses_that_can_be_seen_to_be_unusable(url: str) -> None:
    with pytest.raises(InputError) as refused:
        check_address(url, allow_private=False, code="SW-171")
    assert refused.value.code == "SW-171"


def test_addresses_that_can_be_used() -> None:
    check_address("https://example.org:8443/hook?job=1", allow_private=False, code="SW-171")
    check_address("http://127.0.0.1:9/hook", allow_private=True, code="SW-171")
