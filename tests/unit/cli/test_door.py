"""Where `up` may listen, over a real socket with a real certificate, and where a client may send its token."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import threading

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI, Request

from sunward.agent.client import Backoff, ControlPlane
from sunward.cli.door import Door
from sunward.client import ApiClient, AsyncApiClient
from sunward.errors import InputError, SourceError
from tests.unit.cli.test_serving import is_refused

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested
NOW = dt.datetime.now(dt.UTC)
BACKOFF = Backoff(sleep=lambda _s: True, jitter=lambda: 0.0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate of this machine, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sunward test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=1))
        .not_valid_after(NOW + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@contextlib.contextmanager
def served(door: Door):
    """A service that tells who asks, behind a door."""
    app = FastAPI()
    app.get("/v1/clock")(lambda: {"machine_ms": 1, "grid_ms": 2, "speed": 3})

    async def who(request: Request) -> str:
        return f"{request.client.host} {request.url.scheme}"

    app.get("/who")(who)
    entrance = door.entrance()
    settings = uvicorn.Config(
        app,
        log_level="critical",
        ssl_certfile=entrance.tls_cert or None,
        ssl_keyfile=entrance.tls_key or None,
        proxy_headers=bool(entrance.proxy_address),
        forwarded_allow_ips=entrance.proxy_address or [],
    )
    server = uvicorn.Server(settings)
    with door.listen() as listener:
        listener.listen()  # Who comes before the server is up waits.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield door.url(listener)
        finally:
            server.should_exit = True
            thread.join(60)


REFUSED = {
    ("--host", EVERYWHERE): "SW-680",
    ("--host", "192.0.2.1"): "SW-680",
    ("--host", "::"): "SW-680",
    ("--host", "example.invalid"): "SW-680",
    ("--tls-cert", "/etc/hostname"): "SW-681",
    ("--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"): "SW-681",
    ("--tls-cert", "/etc/hostname", "--tls-key", "/etc/hostname"): "SW-681",
    ("--behind-proxy", "--proxy-address", "proxy"): "SW-682",
    ("--host", "192.0.2.1", "--behind-proxy"): "SW-682",
    ("--public-url", "ftp://x"): "SW-611",
    ("--read-rate", "-1"): "SW-600",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_would_be_unsafe_is_refused_in_one_line(run, tmp_path, words):
    is_refused(run("--home", str(tmp_path / "new"), "up", "--port", "0", *words), REFUSED[words])
    assert not (tmp_path / "new" / "sunward.db").exists()


def test_an_address_for_clients(certificate):
    cert, key = certificate
    with Door().listen() as listener:
        port = listener.getsockname()[1]
        assert Door().url(listener) == f"http://127.0.0.1:{port}"
        assert Door(host=EVERYWHERE, tls_cert=cert, tls_key=key).url(listener) == f"https://127.0.0.1:{port}"
        assert Door(host="::1").url(listener) == f"http://[::1]:{port}"
        assert Door(public_url="https://sun.example/").url(listener) == "https://sun.example"
    assert Door(host="localhost").entrance().tls_cert == ""
    assert Door(host=EVERYWHERE, behind_proxy=True).entrance().proxy_address == "127.0.0.1"


def test_clients_and_agents_speak_tls_with_a_certificate_of_ones_own(certificate):
    cert, key = certificate
    with served(Door(tls_cert=cert, tls_key=key)) as url:
        with ApiClient(url, "secret", ca=cert) as client:
            assert client.clock().speed == 3

        async def ask() -> int:
            async with AsyncApiClient(url, "secret", ca=cert) as client:
                return (await client.clock()).speed

        assert asyncio.run(ask()) == 3
        with ApiClient(url, "secret") as stranger, pytest.raises(SourceError, match="is not believed"):
            stranger.clock()
        with ApiClient(url.replace("https", "http"), "secret") as plain, pytest.raises(SourceError):
            plain.clock()
        agent = ControlPlane(url, "secret", BACKOFF, ca=str(cert))
        with pytest.raises(InputError, match="Not Found"):
            agent.fetch_content("j-a.1")
        agent.close()
        blind = ControlPlane(url, "secret", BACKOFF)
        with pytest.raises(SourceError, match="cannot be reached"):
            blind.fetch_content("j-a.1")
        blind.close()


def test_only_the_proxy_named_is_believed_about_who_asks():
    said = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    cases = (
        (Door(), False),
        (Door(behind_proxy=True, proxy_address="192.0.2.7"), False),
        (Door(behind_proxy=True), True),
    )
    for door, believed in cases:
        with served(door) as url:
            answer = httpx.get(f"{url}/who", headers=said).json()
        assert answer == ("203.0.113.9 https" if believed else "127.0.0.1 http")


@pytest.mark.parametrize("url", ["http://192.0.2.1:8600", "http://sun.example", "http://[2001:db8::1]"])
def test_no_token_crosses_a_network_in_the_clear(url):
    with pytest.raises(InputError) as refused:
        ApiClient(url, "secret")
    assert refused.value.code == "SW-683"
    with pytest.raises(InputError) as refused:
        ControlPlane(url, "", BACKOFF)
    assert refused.value.code == "SW-683"
    ApiClient(url, "secret", insecure=True).close()
    ApiClient(url, "").close()
    ControlPlane(url, "secret", BACKOFF, insecure=True).close()
    ApiClient("https://sun.example", "secret").close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost", "http://[::1]:8600"])
def test_this_machine_needs_no_tls(url):
    ApiClient(url, "secret").close()


def test_the_command_line_says_so_too(run, tmp_path, monkeypatch):
    refused = run("--ca", "/etc/hostname", "account", "--json")
    assert refused.exit_code == 2
    assert "SW-684" in refused.stderr


def test_a_client_comes_back_when_it_is_told_to(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("sunward.client._sync.http.pause", waits.append)
    answers = [(429, "2"), (503, "1"), (200, "")]

    def answer(_request: httpx.Request) -> httpx.Response:
        status, wait = answers.pop(0)
        body = {"machine_ms": 1, "grid_ms": 2, "speed": 3} if status == 200 else {}
        return httpx.Response(status, json=body, headers={"Retry-After": wait} if wait else {})

    with ApiClient("http://s", "t", transport=httpx.MockTransport(answer)) as client:
        assert client.clock().speed == 3
        assert waits == [2.0, 1.0]
        answers[:] = [(429, "3600")]
        with pytest.raises((InputError, SourceError)):
            client.clock()
        answers[:] = [(503, "")]
        with pytest.raises(SourceError):
            client.clock()
    assert waits == [2.0, 1.0]
