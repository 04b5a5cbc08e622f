"""A job in a program's own words: keyword arguments, with what the command line would fill in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from gettext import gettext as _
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from sunward.client.place import origin_zone
from sunward.errors import InputError
from sunward.model.hardware import WorkClass
from sunward.model.job import LengthKind
from sunward.model.request import JobRequest, JobView, Submitted
from sunward.model.trust import Dimension, Level
from sunward.model.wire import InputFile
from sunward.units import DAY_MS, HOUR_S, SECOND_MS

LENGTH_S = HOUR_S
DEADLINE_S = DAY_MS // SECOND_MS
Job: TypeAlias = str | Submitted | JobView
"""A job by its id, or as the service told of it."""
Wanted: TypeAlias = Sequence[str] | JobRequest
"""The words of a command, or a whole request."""


class JobFields(TypedDict, total=False):
    """The fields of JobRequest, each of which may be left out; times are grid time."""

    name: str
    """Else the program's."""
    env: Mapping[str, str]
    bundle: str
    origin_zone: str
    """Else SUNWARD_ZONE, else the only grid zone in this machine's time zone."""
    work_class: WorkClass
    gpus: int
    gpu_memory_gib: int
    gpu_models: Sequence[str]
    length_s: int
    """Else an hour; 0 where `length_kind` is `unknown`."""
    units: int
    interruptible: bool
    deadline_s: int
    """Else a day, unless `start_by_s` or `wait_max_s` is given."""
    start_by_s: int
    timeout_s: int
    countries: Sequence[str]
    budget_usd: float
    policy: str
    functional_unit: str
    retries: int
    data_bytes: int
    setup: str
    """Text of a requirements or lock file."""
    secrets: Mapping[str, str]
    inputs: Sequence[InputFile]
    outputs: Sequence[str]
    webhook: str
    gpus_max: int
    """Most GPUs of an elastic job; `gpus` is then the least."""
    speedup: Sequence[float]
    """Rate with each number of GPUs from `gpus` to `gpus_max` over the rate with `gpus`; the first is 1."""
    length_kind: LengthKind
    """`estimated` or `unknown`; else the length is known."""
    promise: float
    """Probability with which a job whose length is not known is to end in time; else 0.95."""
    family: str
    """A name for jobs that are like this one."""
    wait_max_s: int
    min_run_s: int
    stop_s: int
    max_slowdown: float
    """Share by which a power limit may lengthen its run; 0 = no limit; else what the deadline leaves."""
    latency_max_ms: int
    """Most round-trip time from `origin_zone`, as modelled from distance; else any."""
    evidence: dict[Dimension, Level]
    """Least level of what must be believed of a site; else any."""


def requested(wanted: Wanted, fields: JobFields) -> JobRequest:
    """A whole request.

    Raises: InputError for a command that is no list of words, or fields beside a whole request.
    """
    if isinstance(wanted, JobRequest):
        if fields:
            line = _("a JobRequest holds every field; change it with dataclasses.replace instead of naming {names}")
            raise InputError(line.format(names=", ".join(fields)), code="SW-651")
        return wanted
    if isinstance(wanted, str) or not wanted:
        line = _('the command must be a list of words, such as ["python", "train.py"]')
        raise InputError(line, code="SW-651")
    command = tuple(wanted)
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    given.setdefault("name", Path(command[0]).name)
    given.setdefault("length_s", 0 if given.get("length_kind") == LengthKind.UNKNOWN else LENGTH_S)
    if "start_by_s" not in given and "wait_max_s" not in given:
        given.setdefault("deadline_s", DEADLINE_S)
    if "origin_zone" not in given:
        given["origin_zone"] = origin_zone(os.environ)
    return JobRequest(command=command, **given)


def job_id(job: Job) -> str:
    """The id of a job."""
    return job if isinstance(job, str) else job.job
