"""An object is put once, and known to the tenant that put it alone."""

from __future__ import annotations

from pathlib import Path

from sunward.client import ApiClient
from tests.api.harness import URL, Bridge, Service


def test_an_object_is_known_to_its_tenant_alone(service: Service) -> None:
    digest = service.ok("PUT", "/v1/objects", content=b"folder")["digest"]
    assert service.ask("HEAD", f"/v1/objects/{digest}").status_code == 200
    assert service.ask("HEAD", f"/v1/objects/{'0' * 64}").status_code == 404
    other = service.token("t-other", "tenant")
    assert service.ask("HEAD", f"/v1/objects/{digest}", token=other).status_code == 404
    assert service.ask("HEAD", f"/v1/objects/{digest}", "operator").status_code == 403


def test_a_client_stores_equal_content_once(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "folder.tar"
    file.write_bytes(b"folder")
    asked = []

    class Counting(Bridge):
        def handle_request(self, request):
            asked.append(request.method)
            return super().handle_request(request)

    with ApiClient(URL, service.credentials["tenant_token"], transport=Counting(service)) as client:
        digest = client.keep_object(file)
        assert client.keep_object(file) == digest
        assert client.read_object(digest) == b"folder"
    assert asked == ["HEAD", "PUT", "HEAD", "GET"]
