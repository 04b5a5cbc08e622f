"""A home in one file, taken while the service runs, and put back only when all of it holds together.

The archive is a tar: the database as it stood at one moment, the stored objects, the service's key and secrets under a
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
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import SQLAlchemyError

import sunward
from sunward.adapters import postgres, tables
from sunward.adapters.postgres import opened_file
from sunward.adapters.secret_file import FOLDER_MODE, OWNER_ONLY
from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.journal import verify_chain

DATABASE, KEY, OBJECTS, MANIFEST = "sunward.db", "control.key", "objects", "manifest.json"
DUMP, SECRETS = "sunward.dump", "control.secrets"
SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32
SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}
"""What RFC 7914 and OWASP call interactive use: about 0.1 s and 32 MiB a try."""
FORMAT = 1
CHUNK_BYTES = 1 << 20
READ_CHUNK = 1_000
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


def back_up(home: Path, target: Path, passphrase: str | None, now_machine_ms: int, url: str = "") -> Manifest:
    """Write the archive of a home; without a passphrase the key stays out. `url`: of its PostgreSQL database.

    Raises: InputError when there is no such home, the target exists, or a program of PostgreSQL is missing;
        SourceError when the database cannot be reached.
    """
    if not (home / (KEY if url else DATABASE)).is_file():
        line = f"{home} holds no {KEY if url else DATABASE}; name the home, and its --database where it has one"
        raise InputError(line, code=NO_HOME)
    if url:
        postgres.require_programs()
    name = DUMP if url else DATABASE
    files: dict[str, str] = {}
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / name
                head, schema = postgres.dump(url, copy, _standing) if url else _copied(home / DATABASE, copy)
                with copy.open("rb") as source:
                    files[name] = _add(archive, name, source)
            for stored, path in _objects(home):
                # What was erased meanwhile is gone from the archive too.
                with suppress(FileNotFoundError), path.open("rb") as source:
                    files[stored] = _add(archive, stored, source)
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


def restore(source: Path, home: Path, passphrase: str | None, url: str = "") -> Manifest:
    """Put a home back; everything is checked before anything is written there.

    A PostgreSQL database goes into the empty one at `url`, and out again where its journal does not hold together.
    The journal goes on in a new term, so that heads signed by a service that was not restored show the fork.
    Raises: InputError for a home in use, an archive that does not hold together, or a wrong passphrase.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise InputError(f"{home} is not empty; name a new folder with --home", code=NOT_EMPTY)
    home.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    try:
        manifest = _unpacked(source, staging)
        if (DUMP in manifest.files) != bool(url):
            told = f"a PostgreSQL {DUMP}; name an empty database with" if not url else f"a {DATABASE}; leave out"
            raise InputError(f"the archive holds {told} --database", code=NO_HOME)
        if manifest.keys:
            _unlock(staging / KEY, passphrase)
            _unseal(staging / SECRETS, passphrase or "")
        with postgres.filled(url, staging / DUMP) if url else opened_file(staging / DATABASE) as engine:
            _check_journal(engine, manifest)
            with engine.begin() as connection:
                connection.execute(update(tables.journal_head).values(term=tables.journal_head.c.term + 1))
        (staging / DUMP).unlink(missing_ok=True)
        if home.exists():
            home.rmdir()
        staging.rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _copied(live: Path, copy: Path) -> tuple[JournalHead, int]:
    """Copy the database as it stands at one moment into one file of its own; where it stands."""
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(copy)) as still:
        source.backup(still)
        # The copy needs no log beside it.
        still.execute("PRAGMA journal_mode=DELETE")
    with opened_file(copy) as engine, engine.connect() as connection:
        return _standing(connection)


def _standing(connection: Connection) -> tuple[JournalHead, int]:
    head = tables.journal_head.c
    try:
        row = connection.execute(select(head.sequence, head.hash, head.term)).one()
        schema = connection.execute(select(tables.schema_version.c.version)).scalar_one()
    except SQLAlchemyError:
        raise _damaged("its database cannot be read") from None
    return JournalHead(sequence=row.sequence, hash=row.hash, term=row.term), schema


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
    if name in (DATABASE, DUMP, KEY, SECRETS, MANIFEST):
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


def _check_journal(engine: Engine, manifest: Manifest) -> None:
    last: list[RecordedEvent] = []
    with engine.connect() as connection:
        head, schema = _standing(connection)
        verdict = verify_chain(_remembered(_records(connection), last))
    standing = (last[0].sequence, last[0].hash) if last else (0, head.hash)
    if not verdict.ok or (head.sequence, head.hash) != standing or (head, schema) != (manifest.head, manifest.schema):
        raise _damaged("its journal does not hold together")


def _records(connection: Connection) -> Iterator[RecordedEvent]:
    query = select(tables.journal).order_by(tables.journal.c.sequence).execution_options(yield_per=READ_CHUNK)
    for row in connection.execute(query):
        yield RecordedEvent(
            sequence=row.sequence,
            previous=row.previous,
            hash=row.hash,
            term=row.term,
            kind=row.kind,
            version=row.version,
            at_ms=row.at_ms,
            body=bytes(row.body).decode(),
        )


def _remembered(records: Iterator[RecordedEvent], last: list[RecordedEvent]) -> Iterator[RecordedEvent]:
    for record in records:
        last[:] = [record]
        yield record


def _damaged(why: str) -> InputError:
    return InputError(f"the archive is refused, nothing was written: {why}", code=DAMAGED)
