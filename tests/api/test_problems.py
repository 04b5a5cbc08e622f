import json

import pytest

from sunward.errors import ConflictError, InputError, InvariantError, NotFoundError, SourceError
from sunward.service.problems import PROBLEM_JSON, RequestError, problem, told


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("wrong"), 400),
        (NotFoundError("none"), 404),
        (ConflictError("late", code="SW-140"), 409),
        (SourceError("away"), 503),
        (InvariantError("us"), 500),
        (RequestError("who?", status=401, code="SW-401", headers={"WWW-Authenticate": "Bearer"}), 401),
    ],
)
def test_each_error_has_its_status_and_keeps_its_code(error, status: int) -> None:
    response = told(error)
    body = json.loads(response.body)
    assert (response.status_code, body["status"], body["code"]) == (status, status, error.code)
    assert body["detail"] == error.message
    assert response.media_type == PROBLEM_JSON


def test_only_what_may_pass_is_to_be_tried_again() -> None:
    assert told(SourceError("away")).headers["retry-after"] == "1"
    assert "retry-after" not in told(SourceError("gone", transient=False)).headers


def test_a_detail_is_one_short_line() -> None:
    body = json.loads(problem(400, "a\n\tb " + "x" * 10_000, "SW-100", expected=3).body)
    assert body["detail"].startswith("a b x")
    assert len(body["detail"]) <= 600
    assert body["expected"] == 3
