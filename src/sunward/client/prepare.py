"""From a job as described to the requests that the service takes: files and secrets gathered, sweeps spread out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from gettext import gettext as _
from pathlib import Path, PurePath, PurePosixPath

from sunward.client.jobfile import ABOUT, JOBS_MAX, InputSource, JobFile, Place, seconds
from sunward.client.pack import digest_of
from sunward.errors import InputError
from sunward.model.job import LengthKind
from sunward.model.request import JobRequest
from sunward.model.wire import InputFile
from sunward.units import HOUR_S

NO_SECRET, NO_FILE, TOO_MANY = "SW-663", "SW-664", "SW-665"
DEADLINE = "24h"
"""Finish within this when neither a deadline nor a latest start is given."""
REMOTE = ("s3://", "https://")
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
HOLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
TEXT_BYTES_MAX = 1 << 20
INDEX, COUNT = "SUNWARD_ARRAY_INDEX", "SUNWARD_ARRAY_COUNT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a job takes along from this machine."""

    setup: str
    secrets: dict[str, str]
    inputs: tuple[InputFile, ...]
    uploads: dict[str, Path]
    """Files to store before the job is sent, by digest."""
    data_bytes: int
    """Bytes of the files found here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One job of an array or a sweep."""

    index: int
    count: int
    values: dict[str, str]


def gather(job: JobFile, base: Path, environ: Mapping[str, str], place: Place) -> Gathered:
    """Read what a job takes along; relative paths count from `base`.

    Raises: InputError naming what is missing, never a secret's value.
    """
    uploads: dict[str, Path] = {}
    inputs: list[InputFile] = []
    for index, source in enumerate(job.inputs):
        inputs += _input(source, base, uploads, place(f"inputs[{index}].source"))
    paths = [each.path for each in inputs]
    twice = next((path for path in paths if paths.count(path) > 1), "")
    if twice:
        line = _("{place}: two inputs would become {path}; give one another path")
        raise InputError(line.format(place=place("inputs"), path=twice), code=NO_FILE)
    return Gathered(
        setup=_setup(job, base, place("setup")),
        secrets=_secrets(job, base, environ, place),
        inputs=tuple(inputs),
        uploads=uploads,
        data_bytes=sum(file.stat().st_size for file in uploads.values()),
    )


def _setup(job: JobFile, base: Path, place: str) -> str:
    if not isinstance(job.setup, str):
        return "".join(f"{package}\n" for package in job.setup)
    return _text(base, job.setup, place) if job.setup else ""


def _secrets(job: JobFile, base: Path, environ: Mapping[str, str], place: Place) -> dict[str, str]:
    found = {}
    for index, secret in enumerate(job.secrets):
        name, _at, file = secret.partition("@")
        at = place(f"secrets[{index}]")
        if file:
            found[name] = _text(base, file, at).rstrip("\r\n")
        elif name in environ:
            found[name] = environ[name]
        else:
            line = _("{place}: secret {name} is not in the environment; export it, or write {name}@FILE")
            raise InputError(line.format(place=at, name=name), code=NO_SECRET)
    return found


def keep_apart(job: JobFile, base: Path, packed: Collection[str], place: Place) -> None:
    """Refuse to send the file of a secret along with the folder, where it would lie open.

    Raises: InputError naming the file.
    """
    folder = (base / Path(job.folder).expanduser()).resolve()
    for index, secret in enumerate(job.secrets):
        _name, at, name = secret.partition("@")
        file = (base / Path(name).expanduser()).resolve()
        if at and file.is_relative_to(folder) and file.relative_to(folder).as_posix() in packed:
            line = _("{place}: {file} would be sent with the folder; name it in .sunwardignore, or move it")
            raise InputError(line.format(place=place(f"secrets[{index}]"), file=file), code=NO_SECRET)


def _text(base: Path, name: str, place: str) -> str:
    file = base / Path(name).expanduser()
    try:
        if file.stat().st_size > TEXT_BYTES_MAX:
            raise InputError(_("{place}: {file} is larger than 1 MiB").format(place=place, file=file), code=NO_FILE)
        return file.read_text(encoding="utf-8")
    except OSError as reason:
        raise _missing(place, file, reason) from None
    except UnicodeDecodeError:
        raise InputError(_("{place}: {file} is not UTF-8 text").format(place=place, file=file), code=NO_FILE) from None


def _input(source: InputSource, base: Path, uploads: dict[str, Path], place: str) -> list[InputFile]:
    if not SCHEME.match(source.source):
        return _local(source, base, uploads, place)
    if not source.source.startswith(REMOTE):
        line = _("{place}: inputs come from a path here, s3:// or https://, not from {source}")
        raise InputError(line.format(place=place, source=source.source), code=NO_FILE)
    if not source.sha256:
        line = _("{place}: {source} needs its sha256, so that nobody can change what the job reads")
        raise InputError(line.format(place=place, source=source.source), code=NO_FILE)
    path = source.path or PurePosixPath(source.source.partition("?")[0]).name
    return [InputFile(path=path, sha256=source.sha256, url=source.source)]


def _local(source: InputSource, base: Path, uploads: dict[str, Path], place: str) -> list[InputFile]:
    """A file, or each file of a folder, to be stored before the job is sent."""
    top = base / Path(source.source).expanduser()
    try:
        files = sorted(each for each in top.rglob("*") if each.is_file()) if top.is_dir() else [top]
        found = [(digest_of(file), file) for file in files]
    except OSError as reason:
        raise _missing(place, top, reason) from None
    if source.sha256 and [source.sha256] != [digest for digest, _file in found]:
        line = _("{place}: {file} has another sha256 than the one given; one of them is wrong")
        raise InputError(line.format(place=place, file=top), code=NO_FILE)
    uploads.update(found)
    path = PurePosixPath(source.path or top.resolve().name)
    return [InputFile(path=str(path / file.relative_to(top).as_posix()), sha256=digest) for digest, file in found]


def _missing(place: str, file: PurePath, reason: OSError) -> InputError:
    line = _("{place}: cannot read {file}: {reason}")
    return InputError(line.format(place=place, file=file, reason=reason.strerror or reason), code=NO_FILE)


def request_of(job: JobFile, gathered: Gathered, zone: str, bundle: str = "", bundle_bytes: int = 0) -> JobRequest:
    """The job as the service takes it, not yet spread over an array."""
    unhurried = not (job.finish_within or job.start_by or job.wait_max)
    return JobRequest(
        name=job.name or PurePath(job.words[0]).name,
        command=job.words,
        env=dict(job.env),
        bundle=bundle,
        origin_zone=job.zone or zone,
        work_class=job.work_class,
        gpus=job.least,
        gpu_memory_gib=job.needs.memory_gib,
        gpu_models=job.models,
        length_s=_length_s(job),
        units=job.units,
        interruptible=job.checkpoint,
        deadline_s=seconds(DEADLINE if unhurried else job.finish_within),
        start_by_s=seconds(job.start_by),
        timeout_s=seconds(job.timeout),
        countries=tuple(country.upper() for country in job.countries),
        budget_usd=job.max_cost,
        policy=job.policy,
        functional_unit=job.unit,
        retries=job.retries,
        data_bytes=bundle_bytes + gathered.data_bytes,
        setup=gathered.setup,
        secrets=gathered.secrets,
        inputs=gathered.inputs,
        outputs=job.outputs,
        webhook=job.webhook,
        gpus_max=job.needs.max,
        speedup=job.speedup,
        length_kind=job.length_kind,
        promise=job.promise,
        family=job.family,
        wait_max_s=seconds(job.wait_max),
        min_run_s=seconds(job.min_run),
        stop_s=seconds(job.stop_cost),
        max_slowdown=job.max_slowdown,
        latency_max_ms=job.latency_max,
        evidence=job.evidence,
    )


def _length_s(job: JobFile) -> int:
    if job.length_kind is LengthKind.UNKNOWN:
        return 0
    return seconds(job.length.removeprefix(ABOUT)) or max(1, round(job.hours * HOUR_S))


def for_quote(request: JobRequest) -> JobRequest:
    """The same job without what is private or not stored yet: none of it changes the quote."""
    remote = tuple(each for each in request.inputs if each.url)
    return replace(request, bundle="", secrets={}, inputs=remote)


def members(job: JobFile, place: Place) -> tuple[Member, ...]:
    """The jobs of an array or a sweep, in order; nothing for a single job.

    Raises: InputError when there are more than an array may have.
    """
    names = list(job.sweep)
    count = job.array
    if names:
        count = 1
        for name in names:
            count *= len(job.sweep[name])
    if count > JOBS_MAX:
        line = _("{place}: {count} jobs asked, at most {most} at once; split the sweep")
        raise InputError(line.format(place=place("sweep"), count=count, most=JOBS_MAX), code=TOO_MANY)
    rows: Sequence[tuple[str, ...]] = list(itertools.product(*job.sweep.values())) if names else [()] * count
    return tuple(
        Member(index=index, count=count, values=dict(zip(names, row, strict=True))) for index, row in enumerate(rows)
    )


def for_member(request: JobRequest, member: Member) -> JobRequest:
    """The request of one job of an array: its own name, variables, and `{name}` in the command filled in."""
    filled = {**member.values, "index": str(member.index)}
    return replace(
        request,
        name=f"{request.name}[{member.index}]",
        command=tuple(HOLE.sub(lambda hole: filled.get(hole[1], hole[0]), word) for word in request.command),
        env={**request.env, **member.values, INDEX: str(member.index), COUNT: str(member.count)},
    )
