"""The job that a command line describes: its flags over its job file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from sunward.cli.text import _
from sunward.client.jobfile import JobFile, Place, job_of
from sunward.client.prepare import SCHEME
from sunward.client.yamlfile import YamlFile, read_yaml
from sunward.errors import InputError

JOB_FILE = "job.yaml"
FLAGS = {
    "secrets": "--secret",
    "inputs": "--input",
    "outputs": "--output",
    "countries": "--country",
    "gpus.memory_gib": "--gpu-memory",
    "gpus.model": "--gpu-model",
}
"""Flags that are not spelled as the key they stand for."""
PLAIN = (
    *("name", "folder", "setup", "hours", "length", "family", "promise", "wait_max", "min_run", "stop_cost"),
    *("finish_within", "start_by", "timeout", "units", "unit", "checkpoint"),
    *(
        "retries",
        "class",
        "policy",
        "countries",
        "latency_max",
        "max_slowdown",
        "max_cost",
        "array",
        "webhook",
        "zone",
        "outputs",
        "secrets",
    ),
)
"""Keys whose flag gives their value as it is."""
MERGED = ("env", "sweep", "gpus", "evidence")
"""Keys of which a flag replaces a part."""
DIGEST = "#sha256="


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A job, the folder its relative paths count from, and where each of its values stands."""

    job: JobFile
    base: Path
    place: Place


def described(asked: dict[str, Any]) -> Described:
    """Read the job file, if one is meant, and lay the flags over it.

    Raises: InputError naming the line or the flag that is wrong, or when nothing says what to run.
    """
    file = _file(asked)
    read = read_yaml(file) if file is not None else None
    flags = _flags(asked, anchored=file is not None)
    values = {**(read.values if read else {}), **flags}
    if "hours" in flags and "length" not in flags:
        values.pop("length", None)
    for key in MERGED:
        below = read.values.get(key) if read else None
        if key == "gpus" and isinstance(below, str):
            below = {"count": below}
        if key in flags and isinstance(below, dict):
            values[key] = {**below, **flags[key]}

    def place(path: str) -> str:
        top = re.split(r"[.\[]", path, maxsplit=1)[0]
        if read is None or top in flags:
            return FLAGS.get(path) or FLAGS.get(top) or ("--" + top.replace("_", "-"))
        return _line(file, read, path)

    return _complete(job_of(values, place), file, place)


def of_file(file: Path) -> Described:
    """The job of a job file alone. Raises: InputError naming the line that is wrong."""
    read = read_yaml(file)
    place = partial(_line, file, read)
    return _complete(job_of(read.values, place), file, place)


def _line(file: Path | None, read: YamlFile, path: str) -> str:
    """Where a value stands in a job file; else what it belongs to."""
    while path not in read.lines and re.search(r"[.\[]", path):
        path = re.sub(r"[.\[][^.\[]*$", "", path)
    return f"{file}:{read.lines.get(path, 1)}"


def _complete(job: JobFile, file: Path | None, place: Place) -> Described:
    if not job.words:
        line = _("no command to run; write it after --, as in: sunward submit -- python train.py; or `submit --init`")
        raise InputError(line, code="SW-601")
    return Described(job=job, base=file.parent if file is not None else Path(), place=place)


def _file(asked: dict[str, Any]) -> Path | None:
    """The job file named, else, when no command is given, the one in the working folder."""
    named: Path | None = asked["file"]
    if named is not None or asked["words"]:
        return named
    usual = Path(asked["folder"] or ".") / JOB_FILE
    return usual if usual.is_file() else None


def _flags(asked: dict[str, Any], *, anchored: bool) -> dict[str, Any]:
    """The flags that were given, as values of a job file."""
    values = {key: asked[key] for key in PLAIN if asked[key] not in (None, ())}
    if asked["words"]:
        values["command"] = asked["words"]
    gpus = {**_counts(asked["gpus"]), "memory_gib": asked["gpu_memory"], "model": asked["gpu_model"] or None}
    parts: dict[str, Any] = {"gpus": {part: value for part, value in gpus.items() if value is not None}}
    parts |= {key: asked[key] for key in ("env", "sweep", "evidence")}
    values |= {key: value for key, value in parts.items() if value}
    if asked["speedup"] is not None:
        values["speedup"] = asked["speedup"].split(",")
    elif anchored and gpus.get("max") == "0":
        # One number of GPUs: what the file says of several no longer holds.
        values["speedup"] = []
    if asked["inputs"]:
        values["inputs"] = [_input(text) for text in asked["inputs"]]
    return _anchored(values) if anchored else values


def _counts(text: str | None) -> dict[str, str]:
    """`N`, or `MIN-MAX` for an elastic job; it replaces all that a job file says of the number."""
    if text is None:
        return {}
    least, dash, most = text.partition("-")
    if dash and least:
        return {"count": "1", "min": least, "max": most}
    return {"count": text, "min": "0", "max": "0"}


def _input(text: str) -> dict[str, str]:
    """`SOURCE` or `PATH=SOURCE`, and `#sha256=…` behind it."""
    rest, mark, digest = text.rpartition(DIGEST)
    rest = rest if mark else text
    path, equals, source = rest.partition("=")
    if not equals or SCHEME.match(rest):
        path, source = "", rest
    made = {"source": source, "path": path, "sha256": digest if mark else ""}
    return {name: value for name, value in made.items() if value or name == "source"}


def _anchored(values: dict[str, Any]) -> dict[str, Any]:
    """Paths of flags count from here, those of a job file from its own folder."""
    made = values | {key: _here(values[key]) for key in ("folder", "setup") if key in values}
    if "secrets" in values:
        parts = [secret.partition("@") for secret in values["secrets"]]
        made["secrets"] = [name + at + (_here(file) if at else "") for name, at, file in parts]
    if "inputs" in values:
        made["inputs"] = [
            each if SCHEME.match(each["source"]) else {**each, "source": _here(each["source"])}
            for each in values["inputs"]
        ]
    return made


def _here(path: str) -> str:
    return str(Path.cwd() / Path(path).expanduser())


def pairs(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` flags."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(_("'{value}' is not NAME=VALUE").format(value=value))
    return dict(value.split("=", 1) for value in values)


def choices(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, list[str]]:
    """`NAME=V1,V2` flags."""
    return {name: text.split(",") for name, text in pairs(ctx, param, values).items()}
