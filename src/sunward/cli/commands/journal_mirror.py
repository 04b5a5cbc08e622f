"""`sunward journal mirror`: to keep a copy of a journal, and to find out when it is not what it was."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from sunward.cli import show
from sunward.cli.mirror import Alarm, Mirror
from sunward.cli.mirror_store import About, MirrorStore
from sunward.cli.shell import Shell, command, option, pass_shell
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.client.credentials import access
from sunward.errors import InputError, SourceError
from sunward.model.codec import decode, encode
from sunward.model.wire import JournalHead

PAUSE_S_MAX = 300.0
WEBHOOK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Someone else's view of the same journal: a service to ask, or heads that were handed over."""

    name: str
    client: ApiClient | None = None
    heads: tuple[JournalHead, ...] = ()


@command()
@click.argument("url", required=False)
@option("--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the copy lies.")
@option("--key", default="", metavar="HEX", help="The service's public key, as you know it from elsewhere.")
@option("--compare", multiple=True, metavar="URL|FILE", help="Also hold the heads shown there against the copy.")
@option("--every", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds between looks.")
@option("--once", is_flag=True, help="Catch up, compare, and end.")
@option("--webhook", default="", metavar="URL", help="Also send an alarm there, as JSON.")
@pass_shell
def mirror(
    shell: Shell,
    url: str | None,
    folder: Path,
    key: str,
    compare: Sequence[str],
    every: float,
    *,
    once: bool,
    webhook: str,
) -> int:
    """Follow a service's journal: check every record and signed head, keep a copy, and alarm on a fork.

    Ends with exit 1 and one line when the service contradicts what it signed; `sunward verify` checks the proof.
    """
    with ExitStack() as stack:
        asked = access(shell.home, url or shell.url, shell.token, "auditor")
        client = stack.enter_context(shell.speaking(asked.url, asked.token))
        others = [_other(shell, stack, name) for name in compare]
        store = MirrorStore(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _alone(stack, folder)
        about = store.about()
        if about is None:
            about = About(url=asked.url, public_key=key or client.signing_keys().keys[0].public_key)
            store.begin(about)
        held = store.load(About(url=asked.url, public_key=key or about.public_key))
        follower = Mirror(client, store, held, asked.url)
        alarm = _follow(shell, follower, others, 0.0 if once else every)
    if alarm is None:
        return 0
    _sound(shell, store, alarm, webhook)
    return 1


def _alone(stack: ExitStack, folder: Path) -> None:
    """Hold the folder, where the system can: two that write there would spoil it."""
    try:
        from sunward.adapters.exclusive import lock_folder  # noqa: PLC0415 - not on every system
    except ModuleNotFoundError:
        return
    lock = lock_folder(folder)
    if lock is None:
        line = _("another process mirrors a journal into {folder}; name another folder")
        raise InputError(line.format(folder=folder), code="SW-783")
    stack.callback(lock.close)


def _other(shell: Shell, stack: ExitStack, name: str) -> Other:
    """A service by its address, else the heads in a file, one a line."""
    if name.startswith(("http://", "https://")):
        found = access(shell.home, name, shell.token, "auditor")
        return Other(name=name, client=stack.enter_context(shell.speaking(found.url, found.token)))
    try:
        heads = tuple(decode(line, JournalHead) for line in Path(name).read_bytes().splitlines() if line.strip())
    except (InputError, OSError):
        heads = ()
    if not heads:
        text = _("{file} holds no signed heads; `sunward journal head --json` writes one")
        raise InputError(text.format(file=name), code="SW-784")
    return Other(name=name, heads=heads)


def _follow(shell: Shell, mirror: Mirror, others: Sequence[Other], every_s: float) -> Alarm | None:
    """Look again and again until there is an alarm; once only where there is no pause."""
    pause_s, told = every_s, -1
    while True:
        try:
            alarm = mirror.step()
            pause_s = every_s
        except SourceError as reason:
            if not every_s:
                raise
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
            alarm = None
            _say(shell, _("not reached: {reason}; next try in {seconds:.0f} s"), reason=reason.message, seconds=pause_s)
        else:
            if mirror.held.signed != told:
                told = mirror.held.signed
                line = _("{sequence} records held, checked and signed for; the newest is {hash}")
                _say(shell, line, sequence=told, hash=mirror.held.hash_at(told))
        alarm = alarm or _compared(shell, mirror, others)
        if alarm or not every_s:
            return alarm
        shell.sleep(pause_s)


def _compared(shell: Shell, mirror: Mirror, others: Sequence[Other]) -> Alarm | None:
    """The first alarm among what others show; one that cannot be reached is said and passed over."""
    for other in others:
        try:
            heads = (other.client.journal_head(),) if other.client else other.heads
            for head in heads:
                alarm = None if other.client else _vouched(shell, mirror, head, other.name)
                alarm = alarm or mirror.compare(other.client, head, other.name)
                if alarm:
                    return alarm
        except SourceError as reason:
            _say(shell, _("{source} not reached: {reason}"), source=other.name, reason=reason.message)
    return None


def _vouched(shell: Shell, mirror: Mirror, head: JournalHead, source: str) -> Alarm | None:
    """An alarm for a head nobody signed; one further than the copy reaches is only said."""
    if head.sequence <= mirror.held.signed:
        return mirror.vouched(head, source)
    _say(shell, _("{source} knows record {sequence}, which is not held yet"), source=source, sequence=head.sequence)
    return None


def _say(shell: Shell, line: str, **figures: str | float) -> None:
    if shell.json:
        show.json_line({"line": line.format(**figures), **figures})
    else:
        show.line(line.format(**figures), "dim")


def _sound(shell: Shell, store: MirrorStore, alarm: Alarm, webhook: str) -> None:
    """Write the proof, say the one line, and send it on."""
    file = ""
    if alarm.proof is not None:
        file = str(store.write(f"fork-{alarm.proof.sequence}.json", encode(alarm.proof)))
    text = _(alarm.sentence).format(**alarm.figures)
    told = {"alarm": alarm.key, "text": alarm.sentence.format(**alarm.figures), "file": file, **alarm.figures}
    if shell.json:
        show.json_line(told)
    else:
        show.line(_("ALARM ({kind}): {text}").format(kind=alarm.key, text=text), "bold red")
        if file:
            show.line(_("the proof is in {file}; anybody can check it with `sunward verify {file}`").format(file=file))
    if webhook:
        try:
            httpx.post(webhook, json=told, timeout=WEBHOOK_S).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as reason:
            _say(shell, _("the alarm could not be sent to {url}: {reason}"), url=webhook, reason=str(reason))
