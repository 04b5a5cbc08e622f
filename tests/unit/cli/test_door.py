"""Where `up` may listen, and where a client may send its token."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from sunward.agent.client import Backoff, ControlPlane
from sunward.cli.door import Door
from sunward.client import ApiClient
from sunward.errors import InputError, SourceError
from tests.unit.cli.test_serving import is_refused

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested
BACKOFF = Backoff(sleep=lambda _s: True, jitter=lambda: 0.0)


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


def test_an_address_for_clients():
    cert, key = Path("cert.pem"), Path("key.pem")
    with Door().listen() as listener:
        port = listener.getsockname()[1]
        assert Door().url(listener) == f"http://127.0.0.1:{port}"
        assert Door(host=EVERYWHERE, tls_cert=cert, tls_key=key).url(listener) == f"https://127.0.0.1:{port}"
        assert Door(host="::1").url(listener) == f"http://[::1]:{port}"
        assert Door(public_url="https://sun.example/").url(listener) == "https://sun.example"
    assert Door(host="localhost").entrance().tls_cert == ""
    assert Door(host=EVERYWHERE, behind_proxy=True).entrance().proxy_address == "127.0.0.1"


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
    client = ApiClient(url, "secret")
    assert client.url == url
    client.close()


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
