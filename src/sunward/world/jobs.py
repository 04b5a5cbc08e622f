"""Open jobs as columns: numbers in arrays, words as codes, so that 100,000 jobs stay small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from sunward.model.hardware import WorkClass
from sunward.model.job import JobSpec, JobState, LengthKind
from sunward.units import PPM
from sunward.world.table import Table

NUMBERS = (
    "gpus",
    "gpu_memory_gib",
    "length_ms",
    "units",
    "interruptible",
    "deadline_ms",
    "budget_usd_micro",
    "carbon_price_usd_per_t",
    "retries",
    "data_bytes",
    "start_by_ms",
    "timeout_ms",
    "wait_max_ms",
    "min_run_ms",
    "stop_ms",
    "gpus_max",
    "promise_ppm",
    "latency_max_ms",
    "counterfactual",
    "max_slowdown_ppm",
)
WORDS = (
    "tenant",
    "origin_zone",
    "work_class",
    "gpu_models",
    "allowed_countries",
    "known_providers",
    "functional_unit",
    "speedup_ppm",
    "family",
    "evidence",
)
UNIQUE = ("commitment", "bundle", "escrow_wei")
"""A digest as a word would be kept for ever; escrow exceeds 64 bits, so it stays a Python integer."""

PROGRESS = (
    "state",
    "revision",
    "attempts",
    "failures",
    "units_done",
    "live_units",
    "submitted_ms",
    "updated_ms",
    "finished_ms",
    "cancelled",
    "given_first_end_ms",
    "given_last_end_ms",
    "plan_changes",
    "checkpoint_bytes",
)
OBJECTS = ("lease", "segments", "assignment", "refusal", "checkpoint", "output", "attempt_lines")
_EMPTY: tuple[tuple[str, Any], ...] = (
    ("lease", ""),
    ("segments", ()),
    ("checkpoint", ""),
    ("output", ""),
    ("attempt_lines", ()),
)
_CLASSES = {work_class.value: work_class for work_class in WorkClass}
_KINDS = tuple(LengthKind)
"""The column `length_kind` holds places in this: 0 = known."""

if {field.name for field in fields(JobSpec)} != {"job", "length_kind", *NUMBERS, *WORDS, *UNIQUE}:
    raise TypeError("the columns of JobTable do not cover JobSpec")


class JobTable(Table):
    """Open jobs, and closed ones until their receipt is final."""

    __slots__ = ("code_of", "words")

    def __init__(self) -> None:
        super().__init__((*NUMBERS, *WORDS, "length_kind", *PROGRESS), (*UNIQUE, *OBJECTS))
        self.words: list[Any] = []
        self.code_of: dict[Any, int] = {}

    def code(self, word: Any) -> int:  # noqa: ANN401
        """The number that stands for a string or tuple."""
        code = self.code_of.get(word)
        if code is None:
            plain = word.value if isinstance(word, WorkClass) else word
            code = self.code_of[plain] = len(self.words)
            self.words.append(plain)
        return code

    def insert(self, specs: Sequence[JobSpec], at_ms: int) -> None:
        """Add submitted jobs; a batch fills each column at once."""
        keys = [spec.job for spec in specs]
        rows = self.add_many(keys)
        for name in NUMBERS:
            self._fill(name, rows, list(map(attrgetter(name), specs)))
        for name in WORDS:
            self._fill(name, rows, [self.code(word) for word in map(attrgetter(name), specs)])
        self._fill("length_kind", rows, [_KINDS.index(spec.length_kind) for spec in specs])
        self.ints["submitted_ms"][rows] = at_ms
        self.ints["updated_ms"][rows] = at_ms
        for name in UNIQUE:
            cells = self.objects[name]
            for row, value in zip(rows, map(attrgetter(name), specs), strict=True):
                cells[row] = value
        for name, empty in _EMPTY:
            cells = self.objects[name]
            for row in rows:
                cells[row] = empty

    def _fill(self, name: str, rows: list[int], values: list[int]) -> None:
        column = self.ints[name]
        if len(rows) == 1:
            # An index array costs more than the value it would set.
            column[rows[0]] = values[0]
        else:
            column[rows] = values

    def spec(self, row: int) -> JobSpec:
        """The public part of a job, as submitted."""
        return self.specs([row])[0]

    def specs(self, rows: Sequence[int], *, margin_ms: int = 0) -> list[JobSpec]:
        """The public parts of jobs, as submitted, or due by a margin earlier; read column by column."""
        words = self.words
        columns: dict[str, Sequence[Any]] = {name: self.ints[name][rows].tolist() for name in NUMBERS}
        columns |= {name: [words[code] for code in self.ints[name][rows].tolist()] for name in WORDS}
        columns |= {name: [self.objects[name][row] for row in rows] for name in UNIQUE}
        columns["length_kind"] = [_KINDS[kind] for kind in self.ints["length_kind"][rows].tolist()]
        columns["job"] = [self.ids[row] for row in rows]
        columns["deadline_ms"] = [at_ms - margin_ms for at_ms in columns["deadline_ms"]]
        columns["interruptible"] = [bool(flag) for flag in columns["interruptible"]]
        columns["work_class"] = [_CLASSES[word] for word in columns["work_class"]]
        return [JobSpec(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]

    def speed_ppm(self, row: int, containers: int) -> int:
        """Rate of a job on so many containers over its rate on the least."""
        curve = self.words[self.ints["speedup_ppm"][row]]
        return int(curve[containers - int(self.ints["gpus"][row])]) if curve else PPM

    def state(self, row: int) -> JobState:
        """Where the job stands."""
        return JobState(int(self.ints["state"][row]))

    def is_fresh(self, row: int) -> bool:
        """Whether a job waits for a planner's first answer: it was neither placed nor refused, and never ran."""
        waits = self.ints["state"][row] == JobState.SUBMITTED and not self.ints["attempts"][row]
        return bool(waits) and self.objects["refusal"][row] is None

    def tenant(self, row: int) -> str:
        """The account that pays."""
        return str(self.words[self.ints["tenant"][row]])

    def dump(self) -> dict[str, Any]:
        """The table with its words."""
        return super().dump() | {"words": self.words}

    def load(self, record: Any) -> None:  # noqa: ANN401
        """Take the content of a dump; tuples come back as tuples."""
        super().load(record)
        self.words = [tuple(word) if isinstance(word, list) else word for word in record["words"]]
        self.code_of = {word: code for code, word in enumerate(self.words)}
