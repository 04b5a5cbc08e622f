# Made from src/sunward/client/_async/client.py by tools/build_sync.py; change that one.
"""The client for programs: submit, wait, read logs, fetch results, keep receipts."""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from gettext import gettext as _
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import httpx

from sunward.client._sync.api import ApiClient
from sunward.client._sync.http import TIMEOUT_S
from sunward.client.credentials import here
from sunward.client.pack import pack_file, unpack
from sunward.client.prepare import for_quote
from sunward.client.waiting import NO_RECEIPT_YET, POLL_S, Limit, Patience, apart, pause
from sunward.client.wanted import Job, JobFields, Wanted, job_id, requested
from sunward.errors import ConflictError, SourceError
from sunward.model.job import JobState
from sunward.model.records import AccountView, Erased, HistoryLine, ReceiptView
from sunward.model.request import JobView, Quote, Submitted
from sunward.model.statement import MonthStatement

ARCHIVE = "folder.tar"
FINAL = frozenset(state.word for state in JobState if state.final)


class Client:
    """Sunward as seen by a tenant's program.

    The service and the token are those given, else SUNWARD_URL and SUNWARD_TOKEN, else what the home folder holds
    (SUNWARD_HOME, else ~/.sunward). Every method raises SourceError when the service cannot be used, and InputError,
    NotFoundError or ConflictError when it refuses; each has a `code` of docs/errors.md. `api` is the whole REST API.
    """

    def __init__(
        self,
        url: str = "",
        token: str = "",
        *,
        home: Path | str = "",
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        found = here(url, token, home)
        self.api = ApiClient(found.url, found.token, transport=transport, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self.api.close()

    def quote(self, command: Wanted, *, folder: Path | str = "", **fields: Unpack[JobFields]) -> Quote:
        """What a job would cost and cause if submitted now; no files and no secrets are sent, and nothing is paid."""
        request = requested(command, fields)
        if folder:
            with tempfile.TemporaryDirectory() as scratch:
                size = apart(pack_file, Path(folder), Path(scratch) / ARCHIVE)
            request = replace(request, data_bytes=size)
        return self.api.quote(for_quote(request))

    def submit(
        self, command: Wanted, *, folder: Path | str = "", key: str = "", **fields: Unpack[JobFields]
    ) -> Submitted:
        """Submit a job, with the files of a working folder.

        The same request with the same `key` gives the same job, whenever it comes again: a program that names its
        jobs so can be started again at any time. What `.gitignore` and `.sunwardignore` name stays behind.
        The provider can read this job's code and data.
        """
        request = requested(command, fields)
        if folder:
            with tempfile.TemporaryDirectory() as scratch:
                archive = Path(scratch) / ARCHIVE
                size = apart(pack_file, Path(folder), archive)
                request = replace(request, bundle=self.api.keep_object(archive), data_bytes=size)
        return self.api.submit(request, key)

    def jobs(self, *, state: str = "", limit: int = 0) -> tuple[JobView, ...]:
        """Your jobs, newest first; only those in a state, and at most `limit`, when given."""
        return self.api.jobs(state=state, limit=limit)

    def job(self, job: Job) -> JobView:
        """A job as it stands."""
        return self.api.job(job_id(job))

    def history(self, job: Job) -> tuple[HistoryLine, ...]:
        """Every change of a job's state, oldest first."""
        return self.api.history(job_id(job))

    def cancel(self, job: Job) -> JobView:
        """Stop a job; what was metered is paid, the rest comes back."""
        return self.api.cancel(job_id(job))

    def wait(self, job: Job, *, timeout_s: float | None = None) -> JobView:
        """A job once it has ended, however it ended: look at `state`.

        A service that fails for a moment is waited for.
        Raises: SourceError with code SW-650 when the job has not ended in time; the job goes on.
        """
        patience, limit = Patience(), Limit(timeout_s)
        while True:
            try:
                view = self.api.job(job_id(job))
            except SourceError as reason:
                patience.bear(reason)
            else:
                patience.worked()
                if view.state in FINAL:
                    return view
            if limit.passed:
                line = _("job {job} has not ended in {seconds:g} s; it goes on, wait again")
                raise SourceError(line.format(job=job_id(job), seconds=timeout_s), code="SW-650")
            pause(POLL_S)

    def logs(self, job: Job, *, follow: bool = False) -> Iterator[str]:
        """What a job has written, piece by piece; with `follow` also what it writes until it ends.

        A service that fails for a moment is waited for.
        """
        patience = Patience()
        text = codecs.getincrementaldecoder("utf-8")("replace")
        offset = 0
        while True:
            try:
                part = self.api.logs(job_id(job), offset)
            except SourceError as reason:
                patience.bear(reason)
                pause(POLL_S)
                continue
            patience.worked()
            offset = part.next_offset
            if part.text:
                yield text.decode(part.text)
            elif part.final or not follow:
                break
            else:
                pause(POLL_S)
        if rest := text.decode(b"", final=True):
            yield rest

    def fetch(self, job: Job, folder: Path | str) -> tuple[str, ...]:
        """Bring a job's results into a new or empty folder; the names of the files.

        Raises: InputError when the folder is in use, or the archive is unsafe: then nothing is written.
        """
        with tempfile.TemporaryFile() as archive:
            self.api.save_output(job_id(job), archive)
            archive.seek(0)
            return apart(unpack, archive, Path(folder))

    def receipt(self, job: Job, *, timeout_s: float = 0) -> ReceiptView:
        """What a job used, caused and cost; final and signed once its epoch has closed.

        It follows the job's end by some minutes of grid time, in which its last readings come in.
        Raises: ConflictError when there is none after `timeout_s`.
        """
        limit = Limit(timeout_s)
        while True:
            try:
                return self.api.receipt(job_id(job))
            except ConflictError as reason:
                if reason.code not in NO_RECEIPT_YET or limit.passed:
                    raise
            pause(POLL_S)

    def bundle(self, job: Job) -> bytes:
        """All that `sunward verify` needs to check the receipt of a job offline."""
        return self.api.bundle(job_id(job))

    def account(self) -> AccountView:
        """The balance of your account."""
        return self.api.account()

    def erase_content(self, *, cancel: bool = False) -> Erased:
        """Erase one's name and all private content for good; one's jobs must have ended, or are cancelled first."""
        return self.api.erase_content(cancel=cancel)

    def statement(self, month: str) -> MonthStatement:
        """Your jobs that ended in a month, such as 2025-06 in UTC: energy, carbon by both methods, cost."""
        return self.api.statement(month)
