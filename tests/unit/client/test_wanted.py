"""A job asked for in keyword arguments is the request that the command line would send."""

from dataclasses import fields

import pytest

from sunward.client.wanted import JobFields, requested
from sunward.errors import InputError
from sunward.model.request import JobRequest


def test_every_field_of_a_request_can_be_named():
    assert set(JobFields.__annotations__) == {field.name for field in fields(JobRequest)} - {"command"}


def test_what_is_left_out_is_what_the_command_line_fills_in(monkeypatch):
    monkeypatch.setenv("SUNWARD_ZONE", "DE")
    request = requested(["bin/train.sh", "--fast"], {"countries": ["NO"]})
    assert request == JobRequest(
        name="train.sh",
        command=("bin/train.sh", "--fast"),
        origin_zone="DE",
        length_s=3_600,
        deadline_s=86_400,
        countries=("NO",),
    )


def test_a_start_by_alone_sets_no_deadline():
    assert requested(["true"], {"start_by_s": 60, "origin_zone": "DE"}).deadline_s == 0


def test_a_whole_request_is_sent_as_it_is():
    request = JobRequest(name="n", command=("true",), origin_zone="DE", length_s=1, deadline_s=9)
    assert requested(request, {}) is request
    with pytest.raises(InputError, match="instead of naming gpus") as caught:
        requested(request, {"gpus": 2})
    assert caught.value.code == "SW-651"


@pytest.mark.parametrize("command", ["python train.py", [], ()])
def test_a_command_is_a_list_of_words(command):
    with pytest.raises(InputError, match="list of words"):
        requested(command, {"origin_zone": "DE"})


def test_without_a_zone_none_is_guessed(monkeypatch):
    monkeypatch.delenv("SUNWARD_ZONE", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    with pytest.raises(InputError) as caught:
        requested(["true"], {})
    assert caught.value.code == "SW-603"
