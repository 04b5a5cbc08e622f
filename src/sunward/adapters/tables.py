"""The tables of a store, the same on SQLite and PostgreSQL.

Three kinds: the journal; what is projected from it and can be rebuilt; and private or technical rows
that can be erased without breaking the journal.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

SCHEMA_VERSION = 3
"""Raised with every change of a table; `migrations` brings an older store here."""

WORD = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in byte order on both: the order of batches under a Merkle root must not depend on a locale."""
BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both: SQLite gives an INTEGER primary key the table's own index, a BIGINT one a second."""


class Wei(TypeDecorator[int]):
    """An exact integer of any size, as decimal text: 2^63 wei are less than ten ATH."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write decimal text."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Read decimal text."""
        return None if value is None else int(value)


metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

# The journal.

journal = Table(
    "journal",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("previous", WORD, nullable=False),
    Column("hash", WORD, nullable=False),
    Column("term", BIG, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at_ms", BIG, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

journal_head = Table(
    "journal_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BIG, nullable=False),
    Column("hash", WORD, nullable=False),
    Column("term", BIG, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("blob", LargeBinary, nullable=False),
)

# Projections: `sequence` and `command` name the command that made the row.

jobs = Table(
    "jobs",
    metadata,
    Column("job", WORD, primary_key=True),
    Column("tenant", WORD, nullable=False),
    Column("state", WORD, nullable=False),
    Column("reason", WORD, nullable=False),
    Column("detail", WORD, nullable=False),
    Column("site", WORD, nullable=False),
    Column("units", BIG, nullable=False),
    Column("exit_code", Integer),
    Column("updated_ms", BIG, nullable=False),
    Column("sequence", BIG, nullable=False),
    Column("command", Integer, nullable=False),
    Column("first_sequence", BIG, nullable=False),
    Column("first_command", Integer, nullable=False),
    Index("jobs_by_age", "first_sequence", "first_command"),
    Index("jobs_by_tenant", "tenant", "first_sequence", "first_command"),
    Index("jobs_by_state", "state", "first_sequence", "first_command"),
    Index("jobs_by_tenant_and_state", "tenant", "state", "first_sequence", "first_command"),
)

job_history = Table(
    "job_history",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("command", Integer, primary_key=True, autoincrement=False),
    Column("job", WORD, nullable=False),
    Column("state", WORD, nullable=False),
    Column("reason", WORD, nullable=False),
    Column("detail", WORD, nullable=False),
    Column("site", WORD, nullable=False),
    Column("units", BIG, nullable=False),
    Column("exit_code", Integer),
    Column("at_ms", BIG, nullable=False),
    Index("job_history_by_job", "job", "sequence", "command"),
    sqlite_with_rowid=False,
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("command", Integer, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("entry", WORD, nullable=False),
    Column("epoch", BIG, nullable=False),
    Column("at_ms", BIG, nullable=False),
    Column("cause", WORD, nullable=False),
    Column("ref", WORD, nullable=False),
    Column("account", WORD, nullable=False),
    Column("amount_wei", Wei, nullable=False),
    Index("ledger_by_account", "account", "sequence", "command", "line"),
    Index("ledger_by_ref", "ref", "sequence", "command", "line"),
    sqlite_with_rowid=False,
)

receipts = Table(
    "receipts",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("command", Integer, primary_key=True, autoincrement=False),
    Column("job", WORD, nullable=False, unique=True),
    Column("epoch", BIG, nullable=False),
    Column("digest", WORD, nullable=False),
    Column("body", WORD, nullable=False),
    Column("signature", WORD, nullable=False),
)

month_receipts = Table(
    "month_receipts",
    metadata,
    Column("tenant", WORD, primary_key=True),
    Column("month", WORD, primary_key=True),
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("command", Integer, primary_key=True, autoincrement=False),
    Column("paid_usd_micro", BIG, nullable=False),
    sqlite_with_rowid=False,
)
"""Final receipts by the month in which their job ended, so that a month costs what it holds, not what is stored."""

epochs = Table(
    "epochs",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("command", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BIG, nullable=False, unique=True),
    Column("body", WORD, nullable=False),
)

adjustments = Table(
    "adjustments",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("command", Integer, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("job", WORD, nullable=False),
    Column("body", WORD, nullable=False),
    Index("adjustments_by_job", "job", "sequence", "command", "line"),
    sqlite_with_rowid=False,
)

rewards = Table(
    "rewards",
    metadata,
    Column("sequence", BIG, primary_key=True, autoincrement=False),
    Column("command", Integer, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BIG, nullable=False),
    Column("owner", WORD, nullable=False),
    Column("body", WORD, nullable=False),
    Index("rewards_by_epoch", "epoch", "owner", unique=True),
    sqlite_with_rowid=False,
)

# Readings and logs as they arrive.

reading_batches = Table(
    "reading_batches",
    metadata,
    Column("site", WORD, primary_key=True),
    Column("counter", BIG, primary_key=True, autoincrement=False),
    Column("hash", WORD, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("seal_sequence", BIG, ForeignKey("journal.sequence"), index=True),
)
Index(
    "reading_batches_unsealed",
    reading_batches.c.site,
    reading_batches.c.counter,
    sqlite_where=reading_batches.c.seal_sequence.is_(None),
    postgresql_where=reading_batches.c.seal_sequence.is_(None),
)

logs = Table(
    "logs",
    metadata,
    Column("lease", WORD, primary_key=True),
    Column("offset", BIG, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# What goes to a chain: each row is there before anything of it is sent.

chain_outbox = Table(
    "chain_outbox",
    metadata,
    Column("place", BIG, primary_key=True, autoincrement=False),
    Column("item", WORD, nullable=False, unique=True),
    Column("epoch", BIG, nullable=False, index=True),
    Column("target", WORD, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("amount_wei", Wei, nullable=False),
    Column("nonce", BIG),
    Column("raw", LargeBinary),
    Column("hashes", WORD, nullable=False),
    Column("max_fee_wei", Wei, nullable=False),
    Column("tip_wei", Wei, nullable=False),
    Column("signed_block", BIG, nullable=False),
    Column("block", BIG),
    Column("gas_used", BIG, nullable=False),
    Column("final", Integer, nullable=False, index=True),
)

# Private content: erasable, because the journal holds only its commitment.

tenants = Table("tenants", metadata, Column("tenant", WORD, primary_key=True), Column("name", WORD, nullable=False))

budgets = Table(
    "budgets",
    metadata,
    Column("tenant", WORD, primary_key=True),
    Column("limit_usd_micro", BIG, nullable=False),
    Column("alert_percent", Integer, nullable=False),
    Column("webhook", WORD, nullable=False),
    Column("alerted_month", WORD, nullable=False),
)

job_contents = Table(
    "job_contents",
    metadata,
    Column("job", WORD, primary_key=True),
    Column("tenant", WORD, nullable=False, index=True),
    Column("salt", LargeBinary, nullable=False),
    Column("content", WORD, nullable=False),
    Column("commitment", WORD, nullable=False),
)

job_privates = Table(
    "job_privates",
    metadata,
    Column("job", WORD, primary_key=True),
    Column("tenant", WORD, nullable=False, index=True),
    Column("secrets", LargeBinary, nullable=False),  # Encrypted; empty where there are none.
    Column("webhook", WORD, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("notice", WORD, primary_key=True),
    Column("tenant", WORD, nullable=False, index=True),
    Column("url", WORD, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("made_machine_ms", BIG, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_machine_ms", BIG, nullable=False, index=True),
)

objects_held = Table(
    "objects_held",
    metadata,
    Column("tenant", WORD, primary_key=True),
    Column("ref", WORD, primary_key=True),
    Column("digest", WORD, nullable=False),
)

# Who may do what, and who did. Times are machine time.

tokens = Table(
    "tokens",
    metadata,
    Column("hash", WORD, primary_key=True),
    Column("subject", WORD, nullable=False, index=True),
    Column("scopes", WORD, nullable=False),
    Column("expires_machine_ms", BIG, nullable=False),
    Column("note", WORD, nullable=False),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("hash", WORD, primary_key=True),
    Column("subject", WORD, nullable=False),
    Column("expires_machine_ms", BIG, nullable=False),
    Column("consumed_by", WORD, nullable=False),
    Column("site", WORD, nullable=False, server_default=""),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("subject", WORD, primary_key=True),
    Column("key", WORD, primary_key=True),
    Column("request", WORD, nullable=False),
    Column("status", Integer, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("kept_machine_ms", BIG, nullable=False, server_default="0"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("at_machine_ms", BIG, nullable=False),
    Column("subject", WORD, nullable=False),
    Column("action", WORD, nullable=False),
    Column("target", WORD, nullable=False),
    Column("address", WORD, nullable=False, server_default=""),
)
