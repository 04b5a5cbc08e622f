"""`sunward journal`: the record of everything that happened, and whether it holds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import click

from sunward.cli import show
from sunward.cli.commands.journal_mirror import mirror
from sunward.cli.commands.receipts import show_verdict
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _, ngettext
from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.wire import JournalHead, RecordedEvent
from sunward.verification.journal import verify_chain
from sunward.verification.verdict import Verdict


@group()
def journal() -> None:
    """Read and check the record of everything that happened."""


journal.add_command(mirror)


@journal.command("head")
@pass_shell
def head(shell: Shell) -> None:
    """Show where the journal stands, as the service signs it."""
    with shell.client("auditor") as client:
        standing = client.journal_head()
    if shell.json:
        show.json_line(standing)
        return
    show.pairs(
        [
            (_("record"), str(standing.sequence)),
            (_("hash"), standing.hash),
            (_("term"), str(standing.term)),
            (_("signature"), standing.signature or show.NOTHING),
        ]
    )


@journal.command("tail")
@option(
    "-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="How many records."
)
@pass_shell
def tail(shell: Shell, lines: int) -> None:
    """Show the newest records."""
    with shell.client("auditor") as client:
        after = max(0, client.journal_head().sequence - lines)
        records = client.journal(after, lines)
    if shell.json:
        for record in records:
            show.json_line(record)
        return
    columns = (_("RECORD"), _("TIME"), _("EVENT"), _("HASH"))
    show.table(columns, ((str(each.sequence), show.stamp(each.at_ms), each.kind, each.hash[:16]) for each in records))


@journal.command("save")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pass_shell
def save(shell: Shell, file: Path) -> None:
    """Write the whole journal to a file, one record a line; the last carries the signature of its head."""
    with shell.client("auditor") as client, file.open("wb") as target:
        standing = client.journal_head()
        count = standing.sequence
        for record in takewhile(lambda one: one.sequence <= count, client.whole_journal()):
            last = record.sequence == count
            target.write(encode(replace(record, signature=standing.signature) if last else record) + b"\n")
    if shell.json:
        show.json_line({"file": str(file), "records": count})
    else:
        text = ngettext("{count} record written to {file}", "{count} records written to {file}", count)
        show.line(text.format(count=count, file=file))


@journal.command("verify")
@option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Check a saved journal, offline.")
@option("--key", default="", metavar="HEX", help="The service's public key: also check that it signed the head.")
@option("--replan", is_flag=True, help="Also solve every recorded plan again and compare.")
@pass_shell
def verify(shell: Shell, file: Path | None, key: str, replan: bool) -> int:  # noqa: FBT001 - click's signature
    """Check the chain of records by independent code; exit 1 when it is broken."""
    records, standing = _saved(file) if file else _fetched(shell)
    verdicts = [verify_chain(records, standing if key else None, key)]
    if verdicts[0].ok and replan:
        # Solving needs the engine, which no other command loads.
        from sunward.cli.replay import replan as solve_again  # noqa: PLC0415

        verdicts.append(solve_again(records))
    ok = all(verdict.ok for verdict in verdicts)
    if shell.json:
        show.json_line({"ok": ok, "records": len(records), "verdicts": verdicts})
    else:
        _show(records, verdicts)
    return 0 if ok else 1


def _fetched(shell: Shell) -> tuple[Sequence[RecordedEvent], JournalHead]:
    """The journal up to a head, which is asked for first: what is appended meanwhile is left out."""
    with shell.client("auditor") as client:
        standing = client.journal_head()
        return [record for record in client.whole_journal() if record.sequence <= standing.sequence], standing


def _saved(file: Path) -> tuple[Sequence[RecordedEvent], JournalHead | None]:
    """A saved journal; its last record carries the signature of the head it was."""
    try:
        records = [decode(line, RecordedEvent) for line in file.read_bytes().splitlines() if line]
    except InputError:
        records = []
    if not records:
        raise InputError(
            _("{file} is no saved journal; `sunward journal save` writes one").format(file=file), code="SW-613"
        )
    last = records[-1]
    return records, JournalHead(sequence=last.sequence, hash=last.hash, term=last.term, signature=last.signature)


def _show(records: Sequence[RecordedEvent], verdicts: Sequence[Verdict]) -> None:
    text = ngettext("journal of {count} record", "journal of {count} records", len(records))
    names = (text.format(count=len(records)), _("recorded plans, solved again"))
    for name, verdict in zip(names, verdicts, strict=False):
        show_verdict(verdict, name)
