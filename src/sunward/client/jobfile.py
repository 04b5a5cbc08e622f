"""The record behind `job.yaml` and the flags of `sunward submit`: what may be said of a job, and what is wrong with it.

One record says it all: its annotations give the checks, the JSON schema (docs/job.schema.json), the commented file that
`sunward submit --init` writes, and the help of the flags. Nothing here reads a file or the environment.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from gettext import gettext as _
from typing import Annotated, Any, get_type_hints

from sunward.errors import InputError
from sunward.model.codec import Meta, convert, json_schema
from sunward.model.hardware import WorkClass
from sunward.model.job import LengthKind
from sunward.model.request import SLOWDOWN_MAX
from sunward.model.trust import Dimension, Level
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

UNKNOWN_KEY, MISFIT = "SW-661", "SW-662"
PERIODS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
JOBS_MAX = 1_000
"""Most jobs of one array or sweep."""
NAME = "[A-Za-z_][A-Za-z0-9_]*"
SHOWN_CHARS = 40
ABOUT = "~"
"""Before a length that is an estimate."""
SHELL_SIGNS = frozenset("();<>|&")


def N_(message: str) -> str:  # noqa: N802 - the gettext word for "extract this, translate it later"
    """Mark a message for the catalogue; it is translated where it is shown."""
    return message


def _told(about: str, example: object, **limits: Any) -> Meta:  # noqa: ANN401 - whatever limits a field may have
    return Meta(description=about, examples=[example], **limits)


MAY_PAUSE = N_("It may pause and move: it saves and restores its checkpoint; needs units, or a length not known.")
Period = Annotated[str, Meta(pattern=r"^(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,6})?[mhd]$")]
Variable = Annotated[str, Meta(pattern=f"^(?!SUNWARD_){NAME}$")]
SecretName = Annotated[str, Meta(pattern=f"^(?!SUNWARD_){NAME}(@.+)?$")]
Country = Annotated[str, Meta(pattern="^[A-Za-z]{2}$")]
Inside = Annotated[str, Meta(pattern=r"^(?![/\\])(?!(.*[/\\])?\.\.([/\\]|$))[^\u0000-\u001f]*$")]
"""A path or glob below the working folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What GPUs a job needs, all at one site."""

    count: Annotated[int, _told(N_("GPUs, all at one site; MIN-MAX for an elastic job."), 2, ge=1, le=100_000)] = 1
    min: Annotated[int, _told(N_("Least GPUs of an elastic job."), 1, ge=0, le=100_000)] = 0
    max: Annotated[int, _told(N_("Most GPUs of an elastic job; needs speedup."), 4, ge=0, le=100_000)] = 0
    memory_gib: Annotated[int, _told(N_("Least memory of each GPU, in GiB."), 40, ge=0, le=100_000)] = 0
    model: Annotated[
        str | tuple[str, ...], _told(N_("Accepted GPU model, or a list of them; any if left out."), "A100-SXM-80GB")
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSource:
    """A file, or all files of a folder here, that the job finds in its working folder."""

    source: Annotated[str, _told(N_("A path here, s3://… or https://…."), "https://example.org/a.csv", min_length=1)]
    path: Annotated[Inside, _told(N_("Where in the working folder; the source's name if left out."), "data/a.csv")] = ""
    sha256: Annotated[
        str, _told(N_("SHA-256 of the file; needed for s3:// and https://."), "0" * 64, pattern="^([0-9a-f]{64})?$")
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A job as job.yaml and the flags of `sunward submit` describe it."""

    name: Annotated[str, _told(N_("A name for your lists; the program's if left out."), "finetune", max_length=200)] = (
        ""
    )
    command: Annotated[
        str | tuple[str, ...],
        _told(N_("What to run: one line, split into words as a shell would, or a list of words."), "python train.py"),
    ] = ()
    folder: Annotated[str, _told(N_("Working folder to send along; .sunwardignore names what stays."), ".")] = ""
    setup: Annotated[
        str | tuple[str, ...],
        _told(N_("Requirements or lock file to install before the start, or a list of packages."), "requirements.txt"),
    ] = ()
    env: Annotated[
        dict[Variable, str], _told(N_("Variables for the job; the provider can read them."), {"EPOCHS": 3})
    ] = field(default_factory=dict)
    secrets: Annotated[
        tuple[SecretName, ...],
        _told(
            N_("Secret variables: NAME is taken from the environment here, NAME@FILE from a file; never a value."),
            ["HF_TOKEN", "API_KEY@~/api.key"],
        ),
    ] = ()
    inputs: Annotated[
        tuple[InputSource, ...],
        _told(N_("Files to bring: a path here, or s3:// or https:// with its sha256."), [{"source": "data.csv"}]),
    ] = ()
    outputs: Annotated[
        tuple[Inside, ...], _told(N_("Files to keep besides the output folder, as globs."), ["logs/*.txt"])
    ] = ()
    gpus: Annotated[
        int | Gpus,
        _told(N_("GPUs: a number, or count (or min and max), memory_gib and model."), {"count": 1, "memory_gib": 40}),
    ] = 1
    speedup: Annotated[
        tuple[float, ...],
        _told(N_("Of an elastic job: rate with each number of GPUs from min to max, over that of min."), [1, 1.9, 2.7]),
    ] = ()
    length: Annotated[
        str,
        _told(
            N_("Length on an A100: 3h; about 3h: ~3h; or unknown, which past jobs like it tell. Goes before hours."),
            "~3h",
            pattern=rf"^(|unknown|{ABOUT}?(?=.*[1-9])[0-9]{{1,6}}(\.[0-9]{{1,6}})?[mhd])$",
        ),
    ] = ""
    family: Annotated[
        str,
        _told(
            N_("A name for jobs like this one, whose lengths tell of its own; not shown to others."),
            "nightly-eval",
            max_length=200,
        ),
    ] = ""
    promise: Annotated[
        float,
        _told(
            N_("With a length not known: probability to end in time, from 0.5 to 0.99; 0.95 if left out."),
            0.9,
            ge=0.5,
            le=0.99,
        ),
    ] = 0.95
    hours: Annotated[float, _told(N_("Length on an A100, in hours; 1 if left out."), 2, gt=0, le=720)] = 1.0
    finish_within: Annotated[
        Period, _told(N_("Finish by: 90m, 12h or 2d from now; 24h if neither this nor start_by is given."), "24h")
    ] = ""
    start_by: Annotated[Period, _told(N_("Start within 90m, 12h or 2d from now."), "2h")] = ""
    wait_max: Annotated[
        Period, _told(N_("Most time it may stand still until it ends, pauses included: 90m, 12h or 2d."), "6h")
    ] = ""
    timeout: Annotated[Period, _told(N_("Most run time over all attempts: 90m, 12h or 2d."), "6h")] = ""
    units: Annotated[
        int, _told(N_("Units of work that its progress counts; 1 if left out."), 1000, ge=1, le=10**12)
    ] = 1
    unit: Annotated[str, _told(N_("What one unit is, such as image; gives an SCI."), "image", max_length=200)] = ""
    checkpoint: Annotated[bool, _told(MAY_PAUSE, True)] = False
    min_run: Annotated[Period, _told(N_("Least stretch between two pauses: 30m or 2h."), "1h")] = ""
    stop_cost: Annotated[Period, _told(N_("Time that a stop and a start cost it: 5m."), "5m")] = ""
    max_slowdown: Annotated[float, _told(N_("Slowdown a power limit may bring: 0.1."), 0.1, ge=0, le=10)] = SLOWDOWN_MAX
    retries: Annotated[int, _told(N_("Attempts after a failure; 3 if left out."), 3, ge=0, le=1_000)] = 3
    work_class: Annotated[WorkClass, _told(N_("Kind of work; generic if left out."), "training")] = WorkClass.GENERIC
    policy: Annotated[
        str,
        _told(
            N_("cheapest, balanced, greenest, or whole USD per tonne of CO2e; balanced if left out."),
            "balanced",
            pattern="^(cheapest|balanced|greenest|[0-9]{1,6}|1000000)$",
        ),
    ] = "balanced"
    countries: Annotated[tuple[Country, ...], _told(N_("Allowed countries; any if left out."), ["NO", "SE"])] = ()
    latency_max: Annotated[
        int, _told(N_("Most round trip from your zone in ms, modelled from distance; any if 0."), 60, ge=0, le=10_000)
    ] = 0
    evidence: Annotated[
        dict[Dimension, Level], _told(N_("Least that must be believed of a site."), {"identity": "metered"})
    ] = field(default_factory=dict)
    max_cost: Annotated[
        float, _told(N_("Most to pay in USD, for each job of an array; what the quote says if 0."), 20, ge=0, le=10**9)
    ] = 0.0
    array: Annotated[
        int, _told(N_("Run the job so many times; {index} and SUNWARD_ARRAY_INDEX count from 0."), 8, ge=0, le=JOBS_MAX)
    ] = 0
    sweep: Annotated[
        dict[Variable, Annotated[tuple[str, ...], Meta(min_length=1)]],
        _told(
            N_("One job for every combination of values: each is a variable, and {name} in the command."),
            {"lr": [0.1, 0.01], "seed": [1, 2, 3]},
        ),
    ] = field(default_factory=dict)
    webhook: Annotated[
        str, _told(N_("Told by POST when the job has ended."), "https://example.org/done", pattern="^(https?://.+)?$")
    ] = ""
    zone: Annotated[str, _told(N_("Grid zone it would otherwise run in; else from the time zone here."), "DE")] = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The command as words."""
        return tuple(shlex.split(self.command)) if isinstance(self.command, str) else self.command

    @property
    def length_kind(self) -> LengthKind:
        """What is known of its length."""
        if self.length == LengthKind.UNKNOWN:
            return LengthKind.UNKNOWN
        return LengthKind.ESTIMATED if self.length.startswith(ABOUT) else LengthKind.KNOWN

    @property
    def needs(self) -> Gpus:
        """The GPUs asked for."""
        return self.gpus if isinstance(self.gpus, Gpus) else Gpus(count=self.gpus)

    @property
    def least(self) -> int:
        """GPUs asked for; of an elastic job the least."""
        return self.needs.min or self.needs.count

    @property
    def models(self) -> tuple[str, ...]:
        """The GPU models accepted; empty for any."""
        model = self.needs.model
        return (model,) if isinstance(model, str) else model


FILLED = frozenset({"name", "command", "folder", "hours", "finish_within"})
"""Keys that `template` sets."""
Place = Callable[[str], str]
"""Where a value stands, by its path: a line of a file, or a flag."""
RECORDS: dict[str, type] = {"": JobFile, "gpus": Gpus, "inputs[]": InputSource}
SPELLED = {"work_class": "class"}
"""Keys that are no names in Python."""
MEANT = {
    "budget": "max_cost",
    "budget_usd": "max_cost",
    "carbon_price": "policy",
    "cmd": "command",
    "deadline": "finish_within",
    "environment": "env",
    "gpu": "gpus",
    "interruptible": "checkpoint",
    "duration": "length",
    "estimate": "length",
    "matrix": "sweep",
    "pausable": "checkpoint",
    "requirements": "setup",
    "run": "command",
    "script": "command",
    "url": "source",
    "work_class": "class",
}
"""Other words for a key that people reach for."""


def period_ms(text: str) -> int:
    """A length of time such as 90m, 12h or 2d, in ms."""
    return round(float(text[:-1]) * PERIODS[text[-1]])


def seconds(text: str) -> int:
    """A length of time in whole seconds, at least one; 0 when none is given."""
    return max(1, period_ms(text) // SECOND_MS) if text else 0


def key_of(name: str) -> str:
    """A field's key in the file."""
    return SPELLED.get(name, name)


def told(name: str) -> Meta:
    """What is said of a field, of `gpus.` fields too."""
    record, _dot, last = name.rpartition(".")
    hint = get_type_hints(RECORDS[record], include_extras=True)[last]
    meta: Meta = hint.__metadata__[-1]
    return meta


def about(name: str) -> str:
    """The sentence on a field, not yet translated."""
    return str(told(name).description)


def job_of(values: Mapping[str, Any], place: Place) -> JobFile:
    """The job that plain values describe.

    Raises: InputError with the place, the field, what is wrong and what would do.
    """
    _check_keys(values, "", place)
    named = {next((name for name, key in SPELLED.items() if key == key_), key_): at for key_, at in values.items()}
    try:
        job = convert(named, JobFile)
    except InputError as reason:
        raise _misfit(values, reason.message, place) from None
    _check_together(job, place)
    return job


def _check_keys(values: Any, path: str, place: Place) -> None:  # noqa: ANN401 - whatever a file holds
    """Refuse keys that no record has; a value that is no record at all is left to the conversion."""
    if not isinstance(values, Mapping):
        return
    known = [key_of(each.name) for each in fields(RECORDS[re.sub(r"\d+", "", path)])]
    for key, value in values.items():
        inner = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise _unknown(str(key), inner, known, place)
        if inner == "gpus":
            _check_keys(value, inner, place)
        elif inner == "inputs" and isinstance(value, list | tuple):
            for index, item in enumerate(value):
                _check_keys(item, f"{inner}[{index}]", place)


def _unknown(key: str, path: str, known: list[str], place: Place) -> InputError:
    near = [MEANT[key]] if MEANT.get(key) in known else difflib.get_close_matches(key, known, n=1)
    tail = _("did you mean {key}?").format(key=near[0]) if near else _("known are {keys}").format(keys=", ".join(known))
    line = _("{place}: unknown key {key}; {tail}")
    return InputError(line.format(place=place(path), key=_shown(key), tail=tail), code=UNKNOWN_KEY)


KINDS = {
    "int": N_("a whole number"),
    "float": N_("a number"),
    "bool": N_("true or false"),
    "str": N_("text"),
    "array": N_("a list"),
    "object": N_("names with values"),
}
FOUND = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key)` in `\$(?P<of>.*)`| - at `\$(?P<at>.*)`)?$", re.DOTALL)
EXPECTED = re.compile(r"Expected `(?P<kinds>[^`]+)`(?: (?P<limit>(?:of length )?[<>]=? [-+.\de]+))?")


def _field_at(place: Place, path: str) -> str:
    """Where a field stands; a flag is named like its field already."""
    where = place(path)
    return where if where.startswith("--") else f"{where}: {path}"


MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")
NAMED = frozenset({"env", "sweep"})
"""Fields whose keys are the user's own."""


def _misfit(values: Mapping[str, Any], reason: str, place: Place) -> InputError:
    found = FOUND.match(reason)
    path = ((found["of"] or found["at"] or "") if found else "").removeprefix(".").replace("[...]", "")
    path = ".".join(SPELLED.get(part, part) for part in path.split("."))
    top = re.split(r"[.\[]", path, maxsplit=1)[0]
    line = _("{place} {wrong}; for example {example}")
    wrong = _wrong(values, path, found["what"] if found else reason)
    where = _field_at(place, path)
    return InputError(line.format(place=where, wrong=wrong, example=_shown_example(where, path, top)), code=MISFIT)


def _shown_example(where: str, path: str, top: str) -> str:
    """An example as a reader would write it where the mistake stands; a flag takes one word."""
    example = _example(top)
    if where.startswith("--"):
        word = example.get(path.rpartition(".")[2], example.get("count")) if isinstance(example, dict) else example
        word = word[0] if isinstance(word, list | tuple) else word
        if isinstance(word, str | int | float):
            return f"{where} {word}"
    return f"{top}: {flow(example)}"


def _wrong(values: Mapping[str, Any], path: str, what: str) -> str:
    """What is wrong with a value; it is not repeated where it could be a secret put into the wrong place."""
    value = _at(values, path)
    expected = EXPECTED.match(what)
    missing = MISSING.match(what)
    if path.startswith("secrets"):
        return _("takes NAME or NAME@FILE, and never a value: export it in the environment and name it")
    if missing:
        return _("needs {name}").format(name=missing["name"])
    if path in NAMED and isinstance(value, Mapping) and "regex" in what:
        return _("takes names of letters, digits and _ that do not begin with SUNWARD_")
    if what.startswith("Invalid enum"):
        return _("must be one of {words}").format(words=", ".join(WorkClass))
    if expected is None or "regex" in what:
        return _("does not take {value}").format(value=_shown(str(value)))
    wanted = _wanted(expected)
    if isinstance(value, str | int | float):
        return _("must be {wanted}, not {value}").format(wanted=wanted, value=_shown(str(value)))
    return _("must be {wanted}").format(wanted=wanted)


def _wanted(expected: re.Match[str]) -> str:
    kinds = _(" or ").join(_(KINDS.get(kind, kind)) for kind in expected["kinds"].split(" | "))
    limit = (expected["limit"] or "").replace("of length", _("of length"))
    return f"{kinds} {limit}".strip()


def _at(values: Any, path: str) -> Any:  # noqa: ANN401 - whatever a file holds
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(values, Mapping):
            values = values.get(part)
        elif isinstance(values, list | tuple) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
    return values


def _example(top: str) -> object:
    name = next((name for name, key in SPELLED.items() if key == top), top)
    examples = told(name).examples
    return examples[0] if examples else ""


def flow(value: object) -> str:
    """A value as YAML writes it on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def template() -> str:
    """A job.yaml with every key and what it means; what most jobs need is set, the rest is commented out."""
    lines = [_("# A job for `sunward submit`; docs/job-file.md tells more. Flags override what stands here."), ""]
    for each in fields(JobFile):
        key = key_of(each.name)
        lines += [f"# {_(about(each.name))}", f"{'' if key in FILLED else '# '}{key}: {flow(_example(key))}", ""]
    return "\n".join(lines)


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…")


def _check_together(job: JobFile, place: Place) -> None:
    """What no single value shows."""
    _check_command(job, place)
    if job.finish_within and job.start_by and period_ms(job.start_by) > period_ms(job.finish_within):
        raise _contradiction(place, "start_by", _("start_by must not be later than finish_within"))
    if job.array and job.sweep:
        raise _contradiction(place, "array", _("array and sweep exclude one another; put the numbers into the sweep"))
    if job.checkpoint and job.units == 1 and job.length_kind is LengthKind.KNOWN:
        line = _("checkpoint needs units: how many units of work the job's progress counts; or length: unknown")
        raise _contradiction(place, "checkpoint", line)
    _check_elastic(job, place)
    hidden = [secret.partition("@")[0] for secret in job.secrets]
    twice = sorted({name for name in hidden if hidden.count(name) > 1 or name in job.env or name in job.sweep})
    if twice:
        raise _contradiction(place, "secrets", _("{name} is given twice; name it once").format(name=twice[0]))
    both = sorted(set(job.env) & set(job.sweep))
    if both:
        raise _contradiction(place, "sweep", _("{name} is given twice; name it once").format(name=both[0]))


def _check_elastic(job: JobFile, place: Place) -> None:
    needs = job.needs
    counts = needs.max - job.least + 1
    if (needs.min and needs.count > 1) or bool(needs.min) != bool(needs.max) or (needs.max and counts < 1):
        raise _contradiction(place, "gpus", _("an elastic job has gpus.min and gpus.max, not below it, and no count"))
    if len(job.speedup) != (counts if needs.max else 0):
        line = _("speedup and gpus.max belong together: one rate for each number of GPUs from min to max, the first 1")
        raise _contradiction(place, "speedup", line)
    if counts > 1 and not job.checkpoint:
        line = _("a job that changes its number of GPUs needs checkpoint: true, and units")
        raise _contradiction(place, "checkpoint", line)


def _check_command(job: JobFile, place: Place) -> None:
    if not isinstance(job.command, str):
        return
    try:
        words = list(shlex.shlex(job.command, posix=True, punctuation_chars=True))
        shlex.split(job.command)
    except ValueError:
        raise _contradiction(place, "command", _("command has an open quote; close it, or give a list")) from None
    if "\n" in job.command.strip() or any(set(word) <= SHELL_SIGNS for word in words):
        line = _("command is run without a shell; for |, > or several lines write [sh, -c, '…']")
        raise _contradiction(place, "command", line)


def _contradiction(place: Place, path: str, what: str) -> InputError:
    return InputError(f"{place(path)}: {what}", code=MISFIT)


def schema() -> dict[str, Any]:
    """The JSON schema of job.yaml."""
    made = json_schema(JobFile)
    records = made["$defs"]
    for record in records.values():
        if "properties" in record:
            record["additionalProperties"] = False
            record["properties"] = {key_of(name): about for name, about in record["properties"].items()}
    _take_numbers(records)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "job.yaml of Sunward", **made}


def _take_numbers(node: Any) -> None:  # noqa: ANN401 - any part of a schema
    """Where text is wanted, a number or a truth value is taken as the text it is written with."""
    if isinstance(node, dict):
        if node.get("type") == "string":
            node["type"] = ["string", "number", "boolean"]
        for inner in node.values():
            _take_numbers(inner)
    elif isinstance(node, list):
        for inner in node:
            _take_numbers(inner)
