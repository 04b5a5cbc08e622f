"""The folder in which a mirror of a journal lies: records and signed heads, one a line, only ever added to.

Records are safe on the disk before the head that covers them is written. A line that a crash cut off is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sunward.cli.text import _
from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.follow import Followed

T = TypeVar("T")
ABOUT, RECORDS, HEADS = "mirror.json", "journal.jsonl", "heads.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a mirror follows."""

    url: str
    public_key: str
    """A key of the control plane: the one given, else the one it named when the mirror began."""


class MirrorStore:
    """One folder; one process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def about(self) -> About | None:
        """What is followed here; None in a new folder.

        Raises: InputError when it cannot be read.
        """
        try:
            return decode((self._folder / ABOUT).read_bytes(), About)
        except FileNotFoundError:
            return None
        except InputError as reason:
            raise self._damaged(reason.message) from None

    def begin(self, about: About) -> None:
        """Make a new mirror."""
        partial = self._folder / f"{ABOUT}.new"
        partial.write_bytes(encode(about))
        partial.replace(self._folder / ABOUT)

    def load(self, about: About) -> Followed:
        """All that is held, checked anew record by record.

        Raises: InputError when what was kept no longer holds together.
        """
        held = Followed(known=about.public_key, name=str(self._folder))
        wrong = held.take(self._read())
        if wrong:
            raise self._damaged(wrong.text)
        for line in self._lines(HEADS):
            head = self._decoded(line, JournalHead)
            if head.sequence <= held.sequence:
                if held.hash_at(head.sequence) != head.hash:
                    raise self._damaged(_("record {sequence} is not the signed one").format(sequence=head.sequence))
                held.head = head
        return held

    def keep(self, records: Iterable[RecordedEvent]) -> None:
        """Add records."""
        self._append(RECORDS, records)

    def keep_head(self, head: JournalHead) -> None:
        """Add a signed head whose record is kept."""
        self._append(HEADS, [head])

    def cut(self, sequence: int) -> None:
        """Drop all records after one: no signed head covers them."""
        size = sum(len(line) + 1 for line in islice(self._lines(RECORDS), sequence))
        if (self._folder / RECORDS).exists():
            os.truncate(self._folder / RECORDS, size)

    def records(self, first: int, last: int) -> tuple[RecordedEvent, ...]:
        """Records held, both ends with them."""
        return tuple(islice(self._read(), first - 1, last))

    def write(self, name: str, raw: bytes) -> Path:
        """Put a file beside the mirror."""
        file = self._folder / name
        file.write_bytes(raw)
        return file

    def _read(self) -> Iterator[RecordedEvent]:
        return (self._decoded(line, RecordedEvent) for line in self._lines(RECORDS))

    def _decoded(self, line: bytes, kind: type[T]) -> T:
        try:
            return decode(line, kind)
        except InputError as reason:
            raise self._damaged(reason.message) from None

    def _lines(self, name: str) -> Iterator[bytes]:
        """Whole lines without their ends; one that a crash cut off is dropped from the file."""
        file = self._folder / name
        if not file.exists():
            return
        whole = 0
        with file.open("rb") as source:
            for line in source:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                yield line[:-1]
        if whole < file.stat().st_size:
            os.truncate(file, whole)

    def _append(self, name: str, many: Iterable[object]) -> None:
        with (self._folder / name).open("ab") as target:
            target.writelines(encode(one) + b"\n" for one in many)
            target.flush()
            os.fsync(target.fileno())

    def _damaged(self, why: str) -> InputError:
        line = _("the mirror in {folder} does not hold together ({why}); begin another in a new folder")
        return InputError(line.format(folder=self._folder, why=why), code="SW-782")
