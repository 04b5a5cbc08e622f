"""Content-addressed bytes on any file system that fsspec knows; a local folder by default."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

import fsspec.core
from fsspec.implementations.local import LocalFileSystem

from sunward.errors import InputError, NotFoundError, SourceError

CHUNK_BYTES = 1 << 20
DEFAULT_MAX_BYTES = 8 << 30
_DIGEST = re.compile(r"[0-9a-f]{64}")


class FsObjectStore:
    """A `ports.ObjectStore`: each object lies under its SHA-256, so a name never means two contents."""

    def __init__(self, url: str, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as reason:
            raise InputError(f"cannot open object store {url}: {reason}") from None
        self._root = root.rstrip("/")
        self._local = isinstance(self._files, LocalFileSystem)
        self._make_folder(f"{self._root}/incoming")

    def put(self, source: BinaryIO) -> str:
        """Store and return the SHA-256, hex.

        Written under a name of its own and then renamed: nobody ever sees half an object.
        Raises: InputError when it is larger than the store takes; SourceError when the file system fails.
        """
        incoming = f"{self._root}/incoming/{uuid.uuid4().hex}"
        try:
            digest = self._receive(source, incoming)
            final = self._path(digest)
            self._make_folder(final.rpartition("/")[0])
            self._files.mv(incoming, final)
            if self._local:
                _sync_folder(final.rpartition("/")[0])
        except OSError as reason:
            raise SourceError(f"the object store failed: {reason}", code="SW-211") from reason
        finally:
            if self._files.exists(incoming):
                self._files.rm_file(incoming)
        return digest

    def open(self, digest: str) -> BinaryIO:
        """Read what was stored; read whole and compared with its digest before the first byte is handed out.

        Raises: NotFoundError; SourceError, not transient, when the bytes are not those that were stored.
        """
        if not _DIGEST.fullmatch(digest):
            raise NotFoundError(f"no object {digest}")
        try:
            file = self._files.open(self._path(digest), "rb")
        except FileNotFoundError:
            raise NotFoundError(f"no object {digest}") from None
        found = hashlib.sha256()
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
        if found.hexdigest() != digest:
            file.close()
            raise SourceError(f"object {digest} is damaged; restore it from a copy", transient=False, code="SW-212")
        file.seek(0)
        return cast("BinaryIO", file)

    def has(self, digest: str) -> bool:
        """Whether it is stored."""
        return bool(_DIGEST.fullmatch(digest)) and bool(self._files.exists(self._path(digest)))

    def remove(self, digests: Iterable[str]) -> None:
        """Erase; what is not there is passed over."""
        for digest in digests:
            if self.has(digest):
                self._files.rm_file(self._path(digest))

    def _path(self, digest: str) -> str:
        # Folders of two signs keep each of them small, also with millions of objects.
        return f"{self._root}/{digest[:2]}/{digest[2:]}"

    def _make_folder(self, path: str) -> None:
        try:
            self._files.makedirs(path, exist_ok=True)
        except OSError as reason:
            raise InputError(f"cannot write to object store {self._root}: {reason}") from None

    def _receive(self, source: BinaryIO, path: str) -> str:
        found = hashlib.sha256()
        size = 0
        with self._files.open(path, "wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                if size > self._max_bytes:
                    raise InputError(f"an object may have at most {self._max_bytes} bytes; send less", code="SW-113")
                found.update(chunk)
                file.write(chunk)
            if self._local:
                _sync_file(file)
        return found.hexdigest()


def _sync_file(file: Any) -> None:  # noqa: ANN401  fsspec has no types
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path: str) -> None:
    """A rename is durable once its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
