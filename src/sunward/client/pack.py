"""Folders to archives and back.

Packing is deterministic: the same files give the same bytes, so the same digest. What `.gitignore` and
`.sunwardignore` at the top of the folder name stays behind. Understood of the gitignore language: comments, `!`
to take back, a trailing `/` for folders, `*`, `?`, `[...]`, `**`, and patterns with an inner or leading `/`, which
count from the top. Ignore files in subfolders are not read.

Unpacking trusts nothing: an archive that holds anything but plain files and folders below its own top is
refused whole, before a byte is written.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from sunward.errors import InputError

IGNORE_FILES = (".gitignore", ".sunwardignore")
ALWAYS_IGNORED = (".git/",)
PACK_LIMIT_BYTES = 256 << 20
UNPACK_LIMIT_BYTES = 64 << 30
UNPACK_LIMIT_FILES = 1_000_000
EXECUTABLE = 0o755
PLAIN = 0o644


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file."""

    pattern: re.Pattern[str]
    folders_only: bool
    takes_back: bool


def pack(folder: Path, target: IO[bytes], *, limit_bytes: int = PACK_LIMIT_BYTES) -> int:
    """Write a folder's files as a tar archive; the number of files.

    Raises: InputError when the folder holds links or special files, or more than `limit_bytes`.
    """
    if not folder.is_dir():
        raise InputError(_("{folder} is not a folder").format(folder=folder), code="SW-614")
    count = 0
    total = 0
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, file in _files(folder, _rules(folder)):
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


def _files(folder: Path, rules: Sequence[Rule], inside: str = "") -> Iterator[tuple[str, Path]]:
    """Files to pack below a folder, in order of name."""
    for entry in sorted(os.scandir(folder), key=lambda found: found.name):
        name = f"{inside}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if _ignored(name, rules, is_folder=is_folder):
            continue
        if is_folder:
            yield from _files(Path(entry.path), rules, f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name, Path(entry.path)
        else:
            line = _("{file} is a link or a special file; replace it, or name it in .sunwardignore")
            raise InputError(line.format(file=entry.path), code="SW-614")


def _entry(name: str, file: Path) -> tarfile.TarInfo:
    """A header that holds nothing of the machine or the moment."""
    status = file.stat()
    entry = tarfile.TarInfo(name)
    entry.size = status.st_size
    entry.mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN
    return entry


def _rules(folder: Path) -> tuple[Rule, ...]:
    lines = list(ALWAYS_IGNORED)
    for name in IGNORE_FILES:
        file = folder / name
        if file.is_file():
            lines.extend(file.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(_rule(text.strip()) for text in lines if text.strip() and not text.startswith("#"))


def _rule(text: str) -> Rule:
    takes_back = text.startswith("!")
    body = text.removeprefix("!")
    folders_only = body.endswith("/")
    body = body.rstrip("/")
    anchored = "/" in body
    expression = _expression(body.lstrip("/"))
    try:
        pattern = re.compile(expression if anchored else f"(?:.*/)?{expression}")
    except re.error:
        raise InputError(_("not a pattern: '{line}' in an ignore file").format(line=text), code="SW-614") from None
    return Rule(pattern, folders_only, takes_back)


def _expression(pattern: str) -> str:
    """A glob as a regular expression; `*` and `?` stop at `/`, `**` does not."""
    tokens = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?|\[!?[^\]/]+\])", pattern)
    return "".join(tokens.get(part) or _literal(part) for part in parts)


def _literal(part: str) -> str:
    if part.startswith("[") and part.endswith("]"):
        inside = re.escape(part[1:-1]).replace(r"\-", "-")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(part)


def _ignored(name: str, rules: Sequence[Rule], *, is_folder: bool) -> bool:
    """The last rule that fits decides; a folder left out takes all below it along."""
    fitting = [rule for rule in rules if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(name)]
    return bool(fitting) and not fitting[-1].takes_back


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
