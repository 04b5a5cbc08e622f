"""Input files of jobs: fetched, held against their digest, kept by content, and put where the job looks for them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from sunward.adapters.web import PublicTransport, check_address
from sunward.agent import s3
from sunward.agent.client import Backoff
from sunward.agent.shelf import Shelf
from sunward.errors import InputError, SourceError
from sunward.model.address import parts_of
from sunward.model.wire import InputFile

UNFETCHED, REFUSED, DAMAGED, OUTSIDE, TOO_LARGE = "SW-520", "SW-521", "SW-522", "SW-526", "SW-527"
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0
REDIRECTS_MAX = 5
CLIENT_ERROR, SERVER_ERROR = 400, 500
BUSY_STATUS = frozenset({408, 425, 429})
S3 = "s3"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRules:
    """What the provider says of inputs."""

    bytes_max: int
    """Of one file."""
    kept_bytes_max: int
    """Of all that is kept for later attempts."""
    allow_private: bool = False
    """Whether addresses of this machine and its own networks may be asked, and without https."""


class Objects(Protocol):
    """Where the tenants' own objects come from."""

    def fetch_object(self, digest: str, target: Path) -> None:
        """Download stored bytes."""


class Inputs:
    """The inputs of one agent; used from the threads that carry files."""

    def __init__(self, root: Path, plane: Objects, rules: InputRules, backoff: Backoff) -> None:
        self._shelf = Shelf(root, rules.kept_bytes_max)
        self._plane = plane
        self._rules = rules
        self._backoff = backoff

    def place(self, inputs: tuple[InputFile, ...], env: Mapping[str, str], work: Path, user: str) -> None:
        """Put every input at its path below the working folder.

        `env` is the job's: its own keys of a store are used for it, never the provider's.
        Raises: InputError when one cannot be had or would land outside, SourceError when its source fails.
        """
        for one in inputs:
            target = inside(work, one.path)
            kept = self._shelf.use(one.sha256, user, lambda path, one=one: self._fetch(one, env, path))  # type: ignore[misc]
            target.parent.mkdir(parents=True, exist_ok=True)
            # A copy: the job may write to it, and the next one is to find it as it was.
            shutil.copyfile(kept, target)

    def release(self, user: str) -> None:
        """Note that an attempt needs its inputs no more."""
        self._shelf.release(user)

    def _fetch(self, one: InputFile, env: Mapping[str, str], path: Path) -> None:
        if not one.url:
            self._plane.fetch_object(one.sha256, path)
            return
        scheme = parts_of(one.url).scheme
        take = self._take_s3 if scheme == S3 else self._take_web
        try:
            found = self._backoff.run(lambda: take(one, env, path))
        except SourceError as reason:
            # The control plane may send the job elsewhere; here it would only wait on.
            raise SourceError(f"input {one.path}: {reason.message}", transient=False, code=UNFETCHED) from None
        if found != one.sha256:
            raise InputError(f"input {one.path} has digest {found}, not the one named", code=DAMAGED)

    def _take_web(self, one: InputFile, env: Mapping[str, str], path: Path) -> str:
        del env
        check_address(one.url, allow_private=self._rules.allow_private, code=REFUSED)
        with (
            self._client() as client,
            _named_faults(one),
            client.stream("GET", one.url, headers={"accept-encoding": "identity"}) as response,
        ):
            _check_status(one, response.status_code)
            return self._keep(one, response.iter_bytes(CHUNK_BYTES), path)

    def _take_s3(self, one: InputFile, env: Mapping[str, str], path: Path) -> str:
        account = s3.account_of(env, allow_private=self._rules.allow_private)
        with self._client() as client, _named_faults(one), s3.opened(client, one, account) as response:
            # Raw: a store may say of an object that it is packed, and the digest is that of what is stored.
            return self._keep(one, response.iter_raw(CHUNK_BYTES), path)

    def _client(self) -> httpx.Client:
        return httpx.Client(
            transport=PublicTransport(allow_private=self._rules.allow_private),
            timeout=TIMEOUT_S,
            follow_redirects=True,
            max_redirects=REDIRECTS_MAX,
        )

    def _keep(self, one: InputFile, chunks: Iterable[bytes], path: Path) -> str:
        """Write what arrives; its digest. Raises: InputError when it is too much."""
        found, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > self._rules.bytes_max:
                    raise InputError(
                        f"input {one.path} has more than the {self._rules.bytes_max} bytes this provider takes",
                        code=TOO_LARGE,
                    )
                found.update(chunk)
                file.write(chunk)
        return found.hexdigest()


def inside(work: Path, path: str) -> Path:
    """Where a relative path leads below a folder, whatever links an unpacked bundle put there.

    Raises: InputError when that is outside.
    """
    target = work / path
    if not target.resolve().is_relative_to(work.resolve()) or target.resolve() == work.resolve() or target.is_dir():
        raise InputError(f"input {path} would not lie below the working folder", code=OUTSIDE)
    target.unlink(missing_ok=True)
    return target


def _check_status(one: InputFile, status: int) -> None:
    if status >= SERVER_ERROR or status in BUSY_STATUS:
        raise SourceError(f"its address answered {status}")
    if status >= CLIENT_ERROR:
        raise InputError(f"input {one.path}: its address answered {status}", code=UNFETCHED)


@contextmanager
def _named_faults(one: InputFile) -> Iterator[None]:
    try:
        yield
    except httpx.UnsupportedProtocol:
        raise InputError(
            f"input {one.path}: its address leads to one that is neither http nor https", code=UNFETCHED
        ) from None
    except httpx.TransportError as reason:
        raise SourceError(f"its address cannot be reached: {reason or type(reason).__name__}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as reason:
        raise InputError(f"input {one.path}: {reason}", code=UNFETCHED) from None
