"""A home in one file, taken while the service runs, and put back only when all of it holds together.

The archive is a tar: the database as it stood at one moment, the stored objects, the service's key under a
passphrase, and last a manifest with the hash of each. Objects are copied after the database, so all it names are there.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

import sunward
from sunward.adapters import tables
from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.journal import verify_chain

DATABASE, KEY, OBJECTS, MANIFEST = "sunward.db", "control.key", "objects", "manifest.json"
SECRETS = "control.secrets"
SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32
SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}
"""What RFC 7914 and OWASP call interactive use: about 0.1 s and 32 MiB a try."""
FORMAT = 1
CHUNK_BYTES = 1 << 20
OWNER_ONLY: Final = 0o600
FOLDER_MODE: Final = 0o700
NO_HOME, NOT_EMPTY, DAMAGED, NO_PASSPHRASE = "SW-686", "SW-687", "SW-688", "SW-689"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive holds."""

    format: int
    sunward: str
    schema: int
    made_machine_ms: int
    head: JournalHead
    """Where the journal stood."""
    files: dict[str, str]
    """SHA-256 of each, hex."""
    keys: bool


def back_up(home: Path, target: Path, passphrase: str | None, now_machine_ms: int) -> Manifest:
    """Write the archive of a home; without a passphrase the key stays out.

    Raises: InputError when there is no such home, or the target exists.
    """
    if not (home / DATABASE).is_file():
        raise InputError(
            f"{home} holds no {DATABASE}; a PostgreSQL database is backed up with pg_dump, beside the home's files",
            code=NO_HOME,
        )
    files: dict[str, str] = {}
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            with _copied(home / DATABASE) as copy:
                head, schema = _standing(copy)
                with copy.open("rb") as source:
                    files[DATABASE] = _add(archive, DATABASE, source)
            for name, path in _objects(home):
                # What was erased meanwhile is gone from the archive too.
                with suppress(FileNotFoundError), path.open("rb") as source:
                    files[name] = _add(archive, name, source)
            if passphrase is not None:
                files[KEY] = _add(archive, KEY, io.BytesIO(_locked((home / KEY).read_bytes(), passphrase)))
                # A service that was never started by a version with a file of secrets has them in its key.
                if (home / SECRETS).exists():
                    sealed = _sealed((home / SECRETS).read_bytes(), passphrase)
                    files[SECRETS] = _add(archive, SECRETS, io.BytesIO(sealed))
            manifest = Manifest(
                format=FORMAT,
                sunward=sunward.__version__,
                schema=schema,
                made_machine_ms=now_machine_ms,
                head=head,
                files=files,
                keys=passphrase is not None,
            )
            _add(archive, MANIFEST, io.BytesIO(encode(manifest)))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return manifest


def restore(source: Path, home: Path, passphrase: str | None) -> Manifest:
    """Put a home back; everything is checked before anything is written there.

    The journal goes on in a new term, so that heads signed by a service that was not restored show the fork.
    Raises: InputError for a home in use, an archive that does not hold together, or a wrong passphrase.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise InputError(f"{home} is not empty; name a new folder with --home", code=NOT_EMPTY)
    home.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    try:
        manifest = _unpacked(source, staging)
        _check_journal(staging / DATABASE, manifest)
        if manifest.keys:
            _unlock(staging / KEY, passphrase)
            _unseal(staging / SECRETS, passphrase or "")
        _begin_term(staging / DATABASE)
        if home.exists():
            home.rmdir()
        staging.rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


@contextmanager
def _copied(database: Path) -> Iterator[Path]:
    """The database as it stands at one moment, in one file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / DATABASE
        with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(copy)) as still:
            live.backup(still)
            # The copy needs no log beside it.
            still.execute("PRAGMA journal_mode=DELETE")
        yield copy


def _standing(database: Path) -> tuple[JournalHead, int]:
    try:
        with closing(sqlite3.connect(database)) as opened:
            sequence, hash_, term = opened.execute("SELECT sequence, hash, term FROM journal_head").fetchone()
            (schema,) = opened.execute("SELECT version FROM schema_version").fetchone()
    except (sqlite3.Error, TypeError):
        raise _damaged("its database cannot be read") from None
    return JournalHead(sequence=sequence, hash=hash_, term=term), schema


def _objects(home: Path) -> Iterator[tuple[str, Path]]:
    """Stored objects with their names in the archive; what is still arriving has no name yet."""
    for folder in sorted((home / OBJECTS).glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.iterdir()):
            yield f"{OBJECTS}/{folder.name}/{path.name}", path


def _add(archive: tarfile.TarFile, name: str, source: BinaryIO) -> str:
    """Add a file; its SHA-256."""
    entry = tarfile.TarInfo(name)
    entry.size = source.seek(0, os.SEEK_END)
    entry.mode = OWNER_ONLY
    source.seek(0)
    archive.addfile(entry, source)
    source.seek(0)
    found = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        found.update(chunk)
    return found.hexdigest()


def _locked(raw: bytes, passphrase: str) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(raw).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )


def _unlock(file: Path, passphrase: str | None) -> None:
    if passphrase is None:
        raise InputError("the archive holds the service's key; give its passphrase", code=NO_PASSPHRASE)
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), passphrase.encode())
    except (ValueError, TypeError):
        raise InputError("the passphrase does not open the service's key", code=NO_PASSPHRASE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _damaged("its key is of another kind")
    file.write_bytes(key.private_bytes_raw())


def _sealed(raw: bytes, passphrase: str) -> bytes:
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    return salt + nonce + AESGCM(_stretched(passphrase, salt)).encrypt(nonce, raw, SECRETS.encode())


def _unseal(file: Path, passphrase: str) -> None:
    if not file.exists():
        return
    raw = file.read_bytes()
    salt, nonce, cipher = raw[:SALT_BYTES], raw[SALT_BYTES:][:NONCE_BYTES], raw[SALT_BYTES + NONCE_BYTES :]
    try:
        file.write_bytes(AESGCM(_stretched(passphrase, salt)).decrypt(nonce, cipher, SECRETS.encode()))
    except (InvalidTag, ValueError):
        raise _damaged("the passphrase does not open its secrets") from None


def _stretched(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, **SCRYPT).derive(passphrase.encode())


def _unpacked(source: Path, folder: Path) -> Manifest:
    """Write the files of an archive into an empty folder of our own and hold them against the manifest."""
    found: dict[str, str] = {}
    try:
        with tarfile.open(source, mode="r:") as archive:
            for entry in archive:
                if not entry.isreg() or not _named(entry.name) or entry.name in found:
                    raise _damaged(f"{entry.name!a} does not belong there")
                content = archive.extractfile(entry)
                if content is not None:
                    found[entry.name] = _write(content, folder / entry.name)
    except (tarfile.TarError, EOFError) as reason:
        raise _damaged(str(reason)) from None
    except FileNotFoundError:
        raise InputError(f"there is no {source}", code=DAMAGED) from None
    if MANIFEST not in found:
        raise _damaged("its manifest is missing")
    try:
        manifest = decode((folder / MANIFEST).read_bytes(), Manifest)
    except InputError as reason:
        raise _damaged(reason.message) from None
    (folder / MANIFEST).unlink()
    del found[MANIFEST]
    if (
        found != manifest.files
        or manifest.format != FORMAT
        or (KEY in found) != manifest.keys
        or (SECRETS in found and not manifest.keys)
    ):
        raise _damaged("its files are not those of its manifest")
    if manifest.schema > tables.SCHEMA_VERSION:
        raise InputError(f"the archive has schema {manifest.schema}; upgrade sunward", code="SW-103")
    return manifest


def _named(name: str) -> bool:
    """Whether a member has a name that we give."""
    if name in (DATABASE, KEY, SECRETS, MANIFEST):
        return True
    parts = name.split("/")
    digits = set("0123456789abcdef")
    return (
        [len(part) for part in parts] == [len(OBJECTS), 2, 62]
        and parts[0] == OBJECTS
        and set("".join(parts[1:])) <= digits
    )


def _write(content: IO[bytes], path: Path) -> str:
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    found = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        while chunk := content.read(CHUNK_BYTES):
            found.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return found.hexdigest()


def _check_journal(database: Path, manifest: Manifest) -> None:
    head, schema = _standing(database)
    last: list[RecordedEvent] = []
    with closing(sqlite3.connect(database)) as opened:
        verdict = verify_chain(_remembered(_records(opened), last))
    standing = (last[0].sequence, last[0].hash) if last else (0, head.hash)
    if not verdict.ok or (head.sequence, head.hash) != standing or (head, schema) != (manifest.head, manifest.schema):
        raise _damaged("its journal does not hold together")


def _records(opened: sqlite3.Connection) -> Iterator[RecordedEvent]:
    query = "SELECT sequence, previous, hash, term, kind, version, at_ms, body FROM journal ORDER BY sequence"
    for sequence, previous, hash_, term, kind, version, at_ms, body in opened.execute(query):
        yield RecordedEvent(
            sequence=sequence,
            previous=previous,
            hash=hash_,
            term=term,
            kind=kind,
            version=version,
            at_ms=at_ms,
            body=bytes(body).decode(),
        )


def _remembered(records: Iterator[RecordedEvent], last: list[RecordedEvent]) -> Iterator[RecordedEvent]:
    for record in records:
        last[:] = [record]
        yield record


def _begin_term(database: Path) -> None:
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("UPDATE journal_head SET term = term + 1")


def _damaged(why: str) -> InputError:
    return InputError(f"the archive is refused, nothing was written: {why}", code=DAMAGED)
