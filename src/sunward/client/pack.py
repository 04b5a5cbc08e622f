"""Folders to archives and back.

Packing is deterministic: the same files give the same bytes, so the same digest. What `.gitignore` and
`.sunwardignore` name stays behind, in the language of git and with its order: a file further down beats one further
up, and of two in one folder `.sunwardignore` beats `.gitignore`.

Unpacking trusts nothing: an archive that holds anything but plain files and folders below its own top is
refused whole, before a byte is written.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tarfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from sunward.errors import InputError

IGNORE_FILES = (".gitignore", ".sunwardignore")
PACK_LIMIT_BYTES = 256 << 20
UNPACK_LIMIT_BYTES = 64 << 30
UNPACK_LIMIT_FILES = 1_000_000
EXECUTABLE = 0o755
PLAIN = 0o644


@dataclass(frozen=True, slots=True)
class Rules:
    """The ignore files of one folder."""

    top: str
    """The folder, as names in the archive begin there."""
    patterns: GitIgnoreSpec


ALWAYS = Rules("", GitIgnoreSpec.from_lines([".git/"]))


def pack(folder: Path, target: IO[bytes], *, limit_bytes: int = PACK_LIMIT_BYTES) -> int:
    """Write a folder's files as a tar archive; the number of files.

    Raises: InputError when the folder holds links or special files, or more than `limit_bytes`.
    """
    if not folder.is_dir():
        raise InputError(_("{folder} is not a folder").format(folder=folder), code="SW-614")
    count = 0
    total = 0
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, file in _files(folder, (ALWAYS,)):
            total += file.stat().st_size
            if total > limit_bytes:
                raise _too_large(folder, limit_bytes)
            count += 1
            with file.open("rb") as source:
                archive.addfile(_entry(name, file), source)
    return count


def pack_file(folder: Path, archive: Path) -> int:
    """Write a folder's files as an archive; its size in bytes.

    Raises: InputError as `pack`.
    """
    with archive.open("wb") as target:
        pack(folder, target)
    return archive.stat().st_size


def names_in(archive: Path) -> frozenset[str]:
    """The names of the files in an archive of our own."""
    with tarfile.open(archive) as source:
        return frozenset(source.getnames())


def digest_of(file: Path) -> str:
    """SHA-256 of a file's content, hex: the name under which the service stores it."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def unpack(source: BinaryIO, folder: Path, *, limit_bytes: int = UNPACK_LIMIT_BYTES) -> tuple[str, ...]:
    """Write an archive's files into a new or empty folder; their names.

    Raises: InputError when the archive is unsafe, damaged or too large, or the folder is in use.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            _("{folder} exists and is not empty; name another with --to").format(folder=folder), code="SW-617"
        )
    try:
        with tarfile.open(fileobj=source, mode="r:") as archive:
            members = archive.getmembers()
            _check(members, limit_bytes)
            folder.mkdir(parents=True, exist_ok=True)
            return tuple(_write(archive, member, folder) for member in members if member.isreg())
    except (tarfile.TarError, EOFError) as reason:
        raise InputError(_("the archive is damaged: {reason}").format(reason=reason), code="SW-616") from None


def _files(folder: Path, above: Sequence[Rules], inside: str = "") -> Iterator[tuple[str, Path]]:
    """Files to pack below a folder, in order of name."""
    rules = (*above, *_rules(folder, inside))
    for entry in sorted(os.scandir(folder), key=lambda found: found.name):
        name = f"{inside}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if _ignored(f"{name}/" if is_folder else name, rules):
            continue
        if is_folder:
            yield from _files(Path(entry.path), rules, f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name, Path(entry.path)
        else:
            line = _("{file} is a link or a special file; replace it, or name it in .sunwardignore")
            raise InputError(line.format(file=entry.path), code="SW-614")


def _rules(folder: Path, inside: str) -> Iterator[Rules]:
    """The ignore files of one folder, the one that decides last."""
    for name in IGNORE_FILES:
        file = folder / name
        if not file.is_file():
            continue
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        yield Rules(inside, GitIgnoreSpec([_pattern(file, line) for line in lines]))


def _pattern(file: Path, line: str) -> GitIgnoreSpecPattern:
    try:
        with warnings.catch_warnings():
            # Python may one day read `[[` as a set within a set; git never does.
            warnings.simplefilter("ignore", FutureWarning)
            return GitIgnoreSpecPattern(line)
    except (GitIgnorePatternError, re.error):
        text = _("not a pattern: '{line}' in {file}").format(line=line, file=file)
        raise InputError(text, code="SW-614") from None


def _ignored(name: str, rules: Sequence[Rules]) -> bool:
    """The last pattern that fits decides; a folder left out takes all below it along."""
    for each in reversed(rules):
        verdict = each.patterns.check_file(name.removeprefix(each.top)).include
        if verdict is not None:
            return verdict
    return False


def _entry(name: str, file: Path) -> tarfile.TarInfo:
    """A header that holds nothing of the machine or the moment."""
    status = file.stat()
    entry = tarfile.TarInfo(name)
    entry.size = status.st_size
    entry.mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN
    return entry


def _check(members: Sequence[tarfile.TarInfo], limit_bytes: int) -> None:
    """Refuse the whole archive for one bad member."""
    files: set[PurePosixPath] = set()
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
            raise _unsafe(_("{name} leads out of the folder").format(name=ascii(member.name)))
        if not (member.isreg() or member.isdir()) or member.sparse is not None:
            raise _unsafe(_("{name} is neither a plain file nor a folder").format(name=ascii(member.name)))
        if path in files or (member.isreg() and not path.parts):
            raise _unsafe(_("{name} stands in it twice, or has no name").format(name=ascii(member.name)))
        if member.isreg():
            files.add(path)
    if not files.isdisjoint(parent for member in members for parent in PurePosixPath(member.name).parents):
        raise _unsafe(_("a name stands for a file and for a folder"))
    if len(members) > UNPACK_LIMIT_FILES or sum(member.size for member in members) > limit_bytes:
        raise _unsafe(
            _("it is larger than {limit} GiB or {files} files").format(
                limit=limit_bytes >> 30, files=UNPACK_LIMIT_FILES
            )
        )


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    path = folder.joinpath(*PurePosixPath(member.name).parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    with path.open("xb") as target:
        while source is not None and (chunk := source.read(1 << 20)):
            target.write(chunk)
    path.chmod(EXECUTABLE if member.mode & stat.S_IXUSR else PLAIN)
    return str(PurePosixPath(member.name))


def _too_large(folder: Path, limit_bytes: int) -> InputError:
    line = _("{folder} holds more than {limit} MiB; leave files out with .sunwardignore, or fetch data inside the job")
    return InputError(line.format(folder=folder, limit=limit_bytes >> 20), code="SW-615")


def _unsafe(why: str) -> InputError:
    return InputError(_("the archive is refused, nothing was written: {why}").format(why=why), code="SW-616")
