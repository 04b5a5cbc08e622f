"""The door of `up`, over a real socket with a real certificate."""

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
