"""Errors, named by who must act."""

from __future__ import annotations


class SunwardError(Exception):
    """Base of every error raised on purpose; `code` is stable and documented in docs/errors.md."""

    code = "SW-000"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InputError(SunwardError):
    """The caller must change something: HTTP 4xx, exit code 2. One line: what is wrong, what to do."""

    code = "SW-100"


class NotFoundError(InputError):
    """The thing named does not exist, or not for this caller: HTTP 404."""

    code = "SW-104"


class ConflictError(InputError):
    """The request contradicts the present state (fenced attempt, stale revision): HTTP 409."""

    code = "SW-109"


class SourceError(SunwardError):
    """The outside world failed: retry when `transient`, otherwise degrade visibly."""

    code = "SW-200"

    def __init__(self, message: str, *, transient: bool = True, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.transient = transient


class ChainRefusedError(SourceError):
    """A contract would not do what was asked, and says why; asking again alone changes nothing."""


class InvariantError(SunwardError):
    """We are wrong: crash; never caught below the outermost shell."""

    code = "SW-900"
