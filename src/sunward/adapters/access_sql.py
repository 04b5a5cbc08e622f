"""Who may do what, and who did: tokens, one-time enrolments, replies to repeated requests, the audit trail.

Times are machine time and come from the caller. Only the SHA-256 of a token is stored: a token is 256
random bits, so there is nothing to guess and a slow password hash would only cost time.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from sunward.adapters import tables
from sunward.adapters.database import Database
from sunward.errors import ConflictError
from sunward.model.codec import digest_bytes

TOKEN_BYTES = 32
KNOWN_MS = 1_000
"""How long a token is believed without a look: one that another process revokes ends so much later."""
KNOWN_MAX = 10_000
_tokens = tables.tokens
_enrolments = tables.enrolments
_replies = tables.idempotency
_audit = tables.audit
# Made once, because making a statement costs more than running it, and every request asks these.
_TOKEN = select(_tokens).where(_tokens.c.hash == bindparam("of"))
_REPLY = select(_replies).where(_replies.c.subject == bindparam("of"), _replies.c.key == bindparam("under"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token; the token itself is shown once and never kept."""

    hash: str
    subject: str
    scopes: tuple[str, ...]
    expires_machine_ms: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer given to a request, kept for its repetition."""

    status: int
    """0 = the same is done again for a repetition, which changes nothing (`Asked`)."""
    response: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request under an idempotency key that is kept with what it did, and answered anew when it is repeated."""

    subject: str
    key: str
    request: str
    """Digest of what was asked."""
    kept_machine_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One act of one subject."""

    id: int
    at_machine_ms: int
    subject: str
    action: str
    target: str
    address: str
    """Where the request came from, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Access:
    """Access rows of one store."""

    database: Database
    _known: dict[str, tuple[Token, int]] = field(default_factory=dict, repr=False)
    """Tokens looked up of late, by hash, and when: each request asks for one."""

    def create_token(
        self, subject: str, scopes: tuple[str, ...], expires_machine_ms: int, note: str = "", token: str = ""
    ) -> str:
        """A new token, made here or given; the caller shows it once."""
        token = token or mint_token()
        row = {
            "hash": _hash(token),
            "subject": subject,
            "scopes": " ".join(scopes),
            "expires_machine_ms": expires_machine_ms,
            "note": note,
        }
        with self.database.writing() as connection:
            connection.execute(self.database.insert(_tokens).on_conflict_do_nothing(), row)
        return token

    def lookup_token(self, token: str, now_machine_ms: int) -> Token | None:
        """What a token allows; None when it is unknown, revoked or expired."""
        hash_ = _hash(token)
        known, looked_ms = self._known.get(hash_, (None, 0))
        if known is None or not 0 <= now_machine_ms - looked_ms < KNOWN_MS:
            with self.database.reading() as connection:
                row = connection.execute(_TOKEN, {"of": hash_}).one_or_none()
            if row is None:
                return None
            known = _token(row)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[hash_] = (known, now_machine_ms)
        return known if now_machine_ms < known.expires_machine_ms else None

    def tokens(self, subject: str | None = None, after: str = "", limit: int | None = None) -> tuple[Token, ...]:
        """Every token, or those of one subject, by hash; from the one after a hash on, at most `limit`."""
        query = select(_tokens).where(_tokens.c.hash > after).order_by(_tokens.c.hash).limit(limit)
        if subject is not None:
            query = query.where(_tokens.c.subject == subject)
        with self.database.reading() as connection:
            return tuple(_token(row) for row in connection.execute(query))

    def revoke_token(self, hash_: str) -> bool:
        """End a token, named by its hash; False when there is none."""
        with self.database.writing() as connection:
            ended = connection.execute(delete(_tokens).where(_tokens.c.hash == hash_)).rowcount == 1
        # Afterwards, so that no look in between has it believed for a second more.
        self._known.pop(hash_, None)
        return ended

    def clean_up(self, now_machine_ms: int, replies_kept_ms: int) -> int:
        """Drop what can no longer be used: expired tokens and enrolments, and replies kept for so long; how many."""
        columns = _replies.c
        unused = (
            delete(_tokens).where(_tokens.c.expires_machine_ms <= now_machine_ms),
            delete(_enrolments).where(_enrolments.c.expires_machine_ms <= now_machine_ms),
            delete(_replies).where(columns.kept_machine_ms <= now_machine_ms - replies_kept_ms),
        )
        with self.database.writing() as connection:
            # Replies of a store from before their time was kept count from now.
            undated = update(_replies).where(columns.kept_machine_ms == 0).values(kept_machine_ms=now_machine_ms)
            connection.execute(undated)
            return sum(connection.execute(statement).rowcount for statement in unused)

    def create_enrolment(self, subject: str, expires_machine_ms: int, token: str = "", site: str = "") -> str:
        """A new token, made here or given, with which one site of `subject` may enrol once, or only the one named."""
        token = token or mint_token()
        row = {
            "hash": _hash(token),
            "subject": subject,
            "expires_machine_ms": expires_machine_ms,
            "consumed_by": "",
            "site": site,
        }
        with self.database.writing() as connection:
            connection.execute(self.database.insert(_enrolments).on_conflict_do_nothing(), row)
        return token

    def enrolment_site(self, token: str) -> str:
        """The only site that a token may enrol; empty for any, and for a token that is unknown."""
        query = select(_enrolments.c.site).where(_enrolments.c.hash == _hash(token))
        with self.database.reading() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def consume_enrolment(self, token: str, public_key: str, now_machine_ms: int) -> str | None:
        """Spend an enrolment token on a key, and return its subject; None when it is unknown, spent or expired.

        The same key may spend it again, so that a lost reply does not lose the enrolment.
        """
        columns = _enrolments.c
        statement = (
            update(_enrolments)
            .where(
                columns.hash == _hash(token),
                columns.expires_machine_ms > now_machine_ms,
                or_(columns.consumed_by == "", columns.consumed_by == public_key),
            )
            .values(consumed_by=public_key)
            .returning(columns.subject)
        )
        with self.database.writing() as connection:
            return connection.execute(statement).scalar_one_or_none()

    def recall_reply(self, subject: str, key: str, request: str) -> Reply | None:
        """The reply once given under an idempotency key; None when the key is new.

        Raises: ConflictError when the key was used for another request (`request` is the digest of its body).
        """
        with self.database.reading() as connection:
            row = connection.execute(_REPLY, {"of": subject, "under": key}).one_or_none()
        if row is None:
            return None
        if row.request != request:
            raise ConflictError("this idempotency key was used for another request; choose a new one", code="SW-112")
        return Reply(status=row.status, response=row.response)

    def keep_reply(self, subject: str, key: str, request: str, reply: Reply, now_machine_ms: int) -> None:
        """Keep a reply under a key; the first one kept stays."""
        row = {
            "subject": subject,
            "key": key,
            "request": request,
            "status": reply.status,
            "response": reply.response,
            "kept_machine_ms": now_machine_ms,
        }
        with self.database.writing() as connection:
            connection.execute(self.database.insert(_replies).on_conflict_do_nothing(), row)

    def keep_asked(self, connection: Connection, requests: Sequence[Asked]) -> None:
        """Keep what was asked under keys in a transaction that is open."""
        rows = [
            {
                "subject": asked.subject,
                "key": asked.key,
                "request": asked.request,
                "status": 0,
                "response": b"",
                "kept_machine_ms": asked.kept_machine_ms,
            }
            for asked in requests
        ]
        connection.execute(self.database.insert(_replies).on_conflict_do_nothing(), rows)

    def drop_replies(self, subject: str) -> None:
        """Drop every reply kept for a subject."""
        with self.database.writing() as connection:
            connection.execute(delete(_replies).where(_replies.c.subject == subject))

    def record_act(self, at_machine_ms: int, subject: str, action: str, target: str, address: str = "") -> None:
        """Add a line to the audit trail."""
        row = {
            "at_machine_ms": at_machine_ms,
            "subject": subject,
            "action": action,
            "target": target,
            "address": address,
        }
        with self.database.writing() as connection:
            connection.execute(insert(_audit), row)

    def audit_trail(self, after: int = 0, limit: int = 100) -> tuple[AuditLine, ...]:
        """Lines of the audit trail with an id greater than `after`, oldest first."""
        query = select(_audit).where(_audit.c.id > after).order_by(_audit.c.id).limit(limit)
        with self.database.reading() as connection:
            return tuple(AuditLine(**row._mapping) for row in connection.execute(query))  # noqa: SLF001  SQLAlchemy's public name


def mint_token(material: bytes = b"") -> str:
    """A new token; from material that nobody can guess always the same one."""
    return f"sw_{urlsafe_b64encode(material or secrets.token_bytes(TOKEN_BYTES)).decode().rstrip('=')}"


def _hash(token: str) -> str:
    return digest_bytes(token.encode())


def _token(row: Any) -> Token:  # noqa: ANN401  a row's columns are known to the database only
    return Token(
        hash=row.hash,
        subject=row.subject,
        scopes=tuple(row.scopes.split()),
        expires_machine_ms=row.expires_machine_ms,
        note=row.note,
    )
