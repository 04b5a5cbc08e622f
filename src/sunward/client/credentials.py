"""Which service to ask, and with which token: from arguments, else from what is kept in the home folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path

from sunward.errors import InputError, SourceError
from sunward.model.codec import decode, encode

CREDENTIALS = "credentials.json"
HOME = "~/.sunward"
ROLES = ("tenant", "operator", "provider", "auditor")
"""Roles whose tokens are kept, each for itself."""
OWNER_ONLY = 0o600
FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What `sunward up` and `sunward login` leave in the home folder."""

    url: str
    tenant_token: str = ""
    operator_token: str = ""
    provider_token: str = ""
    auditor_token: str = ""

    def token(self, role: str) -> str:
        """The token of `tenant`, `operator`, `provider` or `auditor`."""
        return str(getattr(self, f"{role}_token"))

    def nearest(self, role: str) -> str:
        """The token of a role; where that is not kept, of another: the service knows which roles may ask."""
        return next((token for one in (role, *ROLES) if (token := self.token(one))), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A service and the token to show it."""

    url: str
    token: str


def stored(home: Path) -> Credentials | None:
    """The credentials in a home folder; None where there are none.

    Raises: InputError when they cannot be read.
    """
    file = home / CREDENTIALS
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as reason:
        raise InputError(
            _("cannot read {file}: {reason}").format(file=file, reason=reason.strerror), code="SW-610"
        ) from None
    try:
        return decode(raw, Credentials)
    except InputError as reason:
        line = _("{file} is damaged ({reason}); delete it and run `sunward up` again")
        raise InputError(line.format(file=file, reason=reason.message), code="SW-610") from None


def save(home: Path, credentials: Credentials) -> None:
    """Put credentials in place whole, never readable by others, not even for a moment.

    Raises: OSError.
    """
    home.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    partial = home / f"{CREDENTIALS}.new"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(encode(credentials))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(home / CREDENTIALS)


def access(home: Path, url: str = "", token: str = "", role: str = "tenant") -> Access:
    """The service named, else the one of the home folder, and the token given, else the stored one of a role.

    Where no token of that role is kept, one of another role is shown: what it lacks, the service then names.
    A stored token is only shown to the service it belongs to, never to another one named by `url`.
    Raises: SourceError when no service is known, InputError when the credentials cannot be read.
    """
    kept = stored(home)
    asked = url or (kept.url if kept else "")
    if not asked:
        raise SourceError(_("no service is known: {file} is missing").format(file=home / CREDENTIALS), code="SW-640")
    own = kept is not None and kept.url.rstrip("/") == asked.rstrip("/")
    return Access(url=asked, token=token or (kept.nearest(role) if own and kept else ""))


def here(url: str = "", token: str = "", home: Path | str = "") -> Access:
    """`access` for a program: what it does not give comes from SUNWARD_URL, SUNWARD_TOKEN and SUNWARD_HOME."""
    folder = Path(home or os.environ.get("SUNWARD_HOME") or HOME).expanduser()
    return access(folder, url or os.environ.get("SUNWARD_URL", ""), token or os.environ.get("SUNWARD_TOKEN", ""))
