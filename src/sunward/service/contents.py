"""The private part of a request, checked: what the job runs and needs, and what is kept only until it ends."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import PurePosixPath

from sunward.adapters.private_sql import Private
from sunward.adapters.requirements import check_requirements
from sunward.adapters.web import check_address
from sunward.errors import InputError
from sunward.model.address import parts_of
from sunward.model.request import JobRequest
from sunward.model.wire import InputFile, JobContent
from sunward.service.control import ControlPlane
from sunward.service.secrecy import seal

COMMAND_CHARS = 100_000
SETUP_CHARS = 500_000
SECRETS_CHARS = 64_000
INPUTS_MAX = 1_000
OUTPUTS_MAX = 100
PATH_CHARS = 1_000
SHA256 = re.compile(r"[0-9a-f]{64}")
INPUT_SCHEMES = ("https", "s3")
BAD_TEXT, BAD_INPUT, NO_INPUT, BAD_OUTPUT = "SW-151", "SW-172", "SW-173", "SW-174"
BAD_SETUP, BAD_SECRET = "SW-175", "SW-176"


def content_of(control: ControlPlane, tenant: str, request: JobRequest) -> JobContent:
    """What the provider of a lease will be given, without the secrets.

    Raises: InputError naming the field and the remedy; what was written as a secret is never repeated.
    """
    _check_words(request)
    _check_secrets(request)
    if len(request.setup) > SETUP_CHARS or "\0" in request.setup:
        raise InputError(f"setup takes {SETUP_CHARS} characters and no NUL; put more in the bundle", code=BAD_SETUP)
    check_requirements(request.setup, BAD_SETUP)
    _check_inputs(control, tenant, request.inputs)
    _check_outputs(request.outputs)
    return JobContent(
        name=request.name,
        command=request.command,
        env=dict(request.env),
        setup=request.setup,
        inputs=request.inputs,
        outputs=request.outputs,
    )


def private_of(control: ControlPlane, tenant: str, job: str, request: JobRequest) -> Private | None:
    """What is kept until the job ends; None when there is nothing."""
    if not request.secrets and not request.webhook:
        return None
    sealed = seal(control.secrets, job, request.secrets) if request.secrets else b""
    return Private(job=job, tenant=tenant, secrets=sealed, webhook=request.webhook)


def _check_words(request: JobRequest) -> None:
    words = (*request.command, *request.env, *request.env.values())
    if not request.command or not request.command[0]:
        raise InputError("command must name a program", code=BAD_TEXT)
    if any("\0" in word for word in words) or any(not name or "=" in name for name in request.env):
        raise InputError("command and env take no NUL, and names in env no '='", code=BAD_TEXT)
    if sum(map(len, words)) > COMMAND_CHARS:
        raise InputError(f"command and env may have {COMMAND_CHARS} characters; put more in the bundle", code=BAD_TEXT)


def _check_secrets(request: JobRequest) -> None:
    words = (*request.secrets, *request.secrets.values())
    if any("\0" in word for word in words) or any(not name or "=" in name for name in request.secrets):
        raise InputError("secrets take no NUL, and their names no '='", code=BAD_SECRET)
    if not request.env.keys().isdisjoint(request.secrets):
        raise InputError("a name stands both in env and in secrets; keep one of them", code=BAD_SECRET)
    if sum(map(len, words)) > SECRETS_CHARS:
        raise InputError(f"secrets may have {SECRETS_CHARS} characters together; shorten them", code=BAD_SECRET)


def _check_inputs(control: ControlPlane, tenant: str, inputs: tuple[InputFile, ...]) -> None:
    if len(inputs) > INPUTS_MAX:
        raise InputError(f"a job takes {INPUTS_MAX} inputs; pack more into one archive", code=BAD_INPUT)
    for one in inputs:
        check_path(one.path, BAD_INPUT)
        if not SHA256.fullmatch(one.sha256):
            raise InputError(f"input {one.path}: sha256 must be 64 lower-case hex digits", code=BAD_INPUT)
        if one.url:
            _check_source(one)
        elif control.store.contents.held(tenant, one.sha256) is None:
            raise InputError(f"input {one.path}: no such object of yours is stored; PUT it first", code=NO_INPUT)
    parts = sorted(PurePosixPath(one.path).parts for one in inputs)
    if any(after[: len(before)] == before for before, after in pairwise(parts)):
        raise InputError("two inputs share a path, or one lies below another; name each once", code=BAD_INPUT)


def _check_source(one: InputFile) -> None:
    if parts_of(one.url).scheme not in INPUT_SCHEMES:
        raise InputError(f"input {one.path}: the address must begin with https:// or s3://", code=BAD_INPUT)
    # Whether a private address may be asked is for the provider to say: it is the provider's network.
    check_address(one.url.replace("s3://", "https://", 1), allow_private=True, code=BAD_INPUT)


def _check_outputs(outputs: tuple[str, ...]) -> None:
    if len(outputs) > OUTPUTS_MAX:
        raise InputError(f"a job takes {OUTPUTS_MAX} output patterns; use wider ones", code=BAD_OUTPUT)
    for pattern in outputs:
        check_path(pattern, BAD_OUTPUT)


def check_path(path: str, code: str) -> None:
    """Refuse what is no plain path below the working folder. Raises: InputError."""
    pure = PurePosixPath(path)
    if (
        not path.isprintable()
        or "\\" in path
        or len(path) > PATH_CHARS
        or pure.is_absolute()
        or ".." in pure.parts
        or str(pure) != path
        or path == "."
    ):
        shown = path[:60] if path.isprintable() else ""
        raise InputError(f"{shown!r} is no plain path below the working folder, like data/train.csv", code=code)
