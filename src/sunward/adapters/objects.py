"""Content-addressed bytes in a local folder, or on any file system that fsspec knows, such as a bucket of S3."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from sunward.errors import InputError, NotFoundError, SourceError

CHUNK_BYTES = 1 << 20
PART_BYTES = 16 << 20
DEFAULT_MAX_BYTES = 8 << 30
FAILED, DAMAGED, NO_DRIVER, UNUSABLE = "SW-211", "SW-212", "SW-697", "SW-698"
S3_OPTIONS = {
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"mode": "standard", "max_attempts": 3}},
    # What another process stores or removes is seen at once.
    "use_listings_cache": False,
    "skip_instance_cache": True,
    "default_block_size": PART_BYTES,
    "max_concurrency": 4,
}
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Shelves(Protocol):
    """Where whole files lie under names of two parts. Raises: SourceError when the outside fails."""

    def incoming(self) -> Path:
        """A new local path to write what arrives to."""

    def keep(self, file: Path, name: str) -> None:
        """Make a local file the one of a name, at once and whole; the file may be gone then."""

    def open(self, name: str) -> BinaryIO | None:
        """The bytes of a name."""

    def has(self, name: str) -> bool:
        """Whether a name is taken."""

    def remove(self, name: str) -> None:
        """Erase one; it may be gone already."""


class FsObjectStore:
    """A `ports.ObjectStore`: each object lies under its SHA-256, so a name never means two contents."""

    def __init__(self, url: str, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Open the store of an address with a scheme, or of a local path.

        Raises: InputError when it cannot be used, SourceError when it cannot be reached.
        """
        self._max_bytes = max_bytes
        self._shelves: Shelves = Remote(url) if "://" in url else Folder(Path(url))

    def put(self, source: BinaryIO) -> str:
        """Store and return the SHA-256, hex; nobody ever sees half an object.

        Raises: InputError when it is larger than the store takes; SourceError when the file system fails.
        """
        incoming = self._shelves.incoming()
        try:
            digest = self._receive(source, incoming)
            self._shelves.keep(incoming, _name(digest))
        except OSError as reason:
            raise SourceError(f"the object store failed: {reason}", code=FAILED) from reason
        finally:
            incoming.unlink(missing_ok=True)
        return digest

    def open(self, digest: str) -> BinaryIO:
        """Read what was stored; read whole and compared with its digest before the first byte is handed out.

        Raises: NotFoundError; SourceError, not transient, when the bytes are not those that were stored.
        """
        file = self._shelves.open(_name(digest)) if _DIGEST.fullmatch(digest) else None
        if file is None:
            raise NotFoundError(f"no object {digest}")
        found = hashlib.sha256()
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
        if found.hexdigest() != digest:
            file.close()
            raise SourceError(f"object {digest} is damaged; restore it from a copy", transient=False, code=DAMAGED)
        file.seek(0)
        return file

    def has(self, digest: str) -> bool:
        """Whether it is stored."""
        return bool(_DIGEST.fullmatch(digest)) and self._shelves.has(_name(digest))

    def remove(self, digests: Iterable[str]) -> None:
        """Erase; what is not there is passed over."""
        for digest in digests:
            if self.has(digest):
                self._shelves.remove(_name(digest))

    def _receive(self, source: BinaryIO, path: Path) -> str:
        found = hashlib.sha256()
        size = 0
        with path.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                if size > self._max_bytes:
                    raise InputError(f"an object may have at most {self._max_bytes} bytes; send less", code="SW-113")
                found.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        return found.hexdigest()


class Folder:
    """Shelves in a local folder: what arrives is written beside, and then renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._make(root / "incoming")

    def incoming(self) -> Path:
        """A path on the same disk, so that renaming suffices."""
        return self._root / "incoming" / uuid.uuid4().hex

    def keep(self, file: Path, name: str) -> None:
        """Rename; a rename is durable once its folder is."""
        final = self._root / name
        self._make(final.parent)
        file.replace(final)
        descriptor = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def open(self, name: str) -> BinaryIO | None:
        """The file itself."""
        try:
            return (self._root / name).open("rb")
        except FileNotFoundError:
            return None

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self._root / name).exists()

    def remove(self, name: str) -> None:
        """Unlink."""
        (self._root / name).unlink(missing_ok=True)

    def _make(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as reason:
            raise InputError(f"cannot write to object store {self._root}: {reason}") from None


class Remote:
    """Shelves elsewhere: what arrives, and what is read, is held in the temporary folder of this machine first.

    A store such as S3 shows an object only when all of it has arrived, so no renaming is needed there.
    """

    def __init__(self, url: str) -> None:
        try:
            # Here, for a service with a folder of its own needs neither.
            import fsspec.core  # noqa: PLC0415

            options = S3_OPTIONS if url.startswith("s3://") else {}
            self._files, root = fsspec.core.url_to_fs(url, **options)
        except ImportError as reason:
            line = f"{url} needs a package that is not here ({reason.name or reason}); pip install 'sunward[s3]'"
            raise InputError(line, code=NO_DRIVER) from None
        except ValueError as reason:
            raise InputError(f"cannot open object store {url}: {reason}", code=UNUSABLE) from None
        self._root = root.rstrip("/")
        self._faults = _faults()
        self._try(url)

    def incoming(self) -> Path:
        """A path in the temporary folder."""
        descriptor, path = tempfile.mkstemp(prefix="sunward-object-")
        os.close(descriptor)
        return Path(path)

    def keep(self, file: Path, name: str) -> None:
        """Send it, in parts where it is large."""
        with self._told():
            self._files.put_file(str(file), f"{self._root}/{name}", **self._parts())

    def open(self, name: str) -> BinaryIO | None:
        """A copy of our own, gone when it is closed."""
        with tempfile.NamedTemporaryFile(prefix="sunward-object-") as copy, self._told():
            try:
                self._files.get_file(f"{self._root}/{name}", copy.name)
            except FileNotFoundError:
                return None
            return Path(copy.name).open("rb")

    def has(self, name: str) -> bool:
        """Whether it is there."""
        with self._told():
            return bool(self._files.exists(f"{self._root}/{name}"))

    def remove(self, name: str) -> None:
        """Delete; a bucket with versions keeps the old one, see docs/guide-operator.md."""
        with self._told():
            self._files.rm_file(f"{self._root}/{name}")

    def _parts(self) -> dict[str, Any]:
        return {"chunksize": PART_BYTES} if "s3" in self._files.protocol else {}

    def _try(self, url: str) -> None:
        """Write and remove a mark, so that a bucket or keys that do not do show before the first job does.

        Raises: InputError.
        """
        mark = f"{self._root}/incoming/{uuid.uuid4().hex}"
        try:
            self._files.pipe_file(mark, b"sunward")
            self._files.rm_file(mark)
        except (FileNotFoundError, PermissionError) as reason:
            line = f"cannot write to object store {url} ({reason}); correct its bucket, keys or policy"
            raise InputError(line, code=UNUSABLE) from None
        except self._faults as reason:
            raise SourceError(f"object store {url} cannot be used: {reason}", code=FAILED) from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._faults as reason:
            raise SourceError(f"the object store failed: {reason}", code=FAILED) from reason


def _name(digest: str) -> str:
    # Folders of two signs keep each of them small, also with millions of objects.
    return f"{digest[:2]}/{digest[2:]}"


def _faults() -> tuple[type[Exception], ...]:
    """What drivers raise when the outside fails."""
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError:
        return (OSError,)
    return (OSError, BotoCoreError)
