"""Folders as tar archives: equal content gives equal bytes, and nothing in one leads out of its folder."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

from sunward.agent.patterns import matches
from sunward.errors import InputError

FILE_MODE = 0o644
PROGRAM_MODE = 0o755


def pack(
    folder: Path, target: Path, *, links: bool = True, beside: Path | None = None, named: Sequence[str] = ()
) -> None:
    """Write a folder as an uncompressed tar: sorted names, no times, no owners.

    `beside`: another folder, of which the files that a pattern names are added unless the first has them too.

    A job may still change the folder while it is read: links are never followed, but stored as links or,
    without `links`, left out; so is what is neither a file, a folder nor a link.
    Raises: InputError when the folder cannot be read or a file shrinks under the reader.
    """
    with target.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for parent, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
            folders.sort()
            relative = Path(parent).relative_to(folder)
            for name in sorted([*folders, *files]):
                _add(archive, descriptor, name, str(relative / name), links=links)
        if beside is not None and named:
            _add_named(archive, beside, named)


def _add_named(archive: tarfile.TarFile, folder: Path, named: Sequence[str]) -> None:
    """Add the plain files that patterns name, below no name that is taken by something else already."""
    taken = {entry.name: entry.isdir() for entry in archive.getmembers()}
    for parent, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        folders.sort()
        relative = Path(parent).relative_to(folder)
        above = [str(one) for one in (relative, *relative.parents) if str(one) != "."]
        if any(taken.get(one) is False for one in above):
            continue
        for name in sorted(files):
            stored = str(relative / name)
            if stored not in taken and matches(stored, named):
                _add(archive, descriptor, name, stored, links=False)


def unpack(source: Path, folder: Path) -> None:
    """Write an archive's content into a folder.

    Raises: InputError when it is no tar archive, or an entry would land outside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as reason:
        raise InputError(f"cannot unpack the archive: {reason}; pack the folder again", code="SW-503") from None


def holds_nothing(packed: Path) -> bool:
    """Whether an archive has no entry."""
    with tarfile.open(packed) as archive:
        return archive.next() is None


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing, or is not there."""
    return not folder.is_dir() or next(folder.iterdir(), None) is None


def _add(archive: tarfile.TarFile, descriptor: int, name: str, stored: str, *, links: bool) -> None:
    try:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        entry = tarfile.TarInfo(stored)
        entry.mode = PROGRAM_MODE if status.st_mode & stat.S_IXUSR else FILE_MODE
        if stat.S_ISDIR(status.st_mode):
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        elif stat.S_ISLNK(status.st_mode) and links:
            entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=descriptor)
            archive.addfile(entry)
        elif stat.S_ISREG(status.st_mode):
            _add_file(archive, descriptor, name, entry)
    except OSError as reason:
        raise InputError(f"cannot pack {stored}: {reason}", code="SW-504") from None


def _add_file(archive: tarfile.TarFile, descriptor: int, name: str, entry: tarfile.TarInfo) -> None:
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    with os.fdopen(opened, "rb") as file:
        status = os.fstat(opened)
        if stat.S_ISREG(status.st_mode):
            entry.size = status.st_size
            archive.addfile(entry, file)
