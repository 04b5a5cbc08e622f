"""The command line: which commands there are, and what becomes of the errors they raise."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

import sunward
from sunward.cli.commands.access import access, tenant, token
from sunward.cli.commands.account import account
from sunward.cli.commands.audit import audit
from sunward.cli.commands.catalog import catalog
from sunward.cli.commands.certificates import certificates
from sunward.cli.commands.epochs import epoch
from sunward.cli.commands.feeds import feeds
from sunward.cli.commands.grid import grid
from sunward.cli.commands.jobs import cancel, fetch, jobs, logs
from sunward.cli.commands.journal import journal
from sunward.cli.commands.key import key
from sunward.cli.commands.login import login, logout, whoami
from sunward.cli.commands.network import network
from sunward.cli.commands.offset import offset
from sunward.cli.commands.plan import plan
from sunward.cli.commands.receipts import receipt, verify
from sunward.cli.commands.reserve import reserve
from sunward.cli.commands.site import site
from sunward.cli.commands.stakes import rewards, stake
from sunward.cli.commands.statement import statement
from sunward.cli.commands.submit import submit
from sunward.cli.commands.trust import evidence, verdict
from sunward.cli.reasons import ERRORS, REMEDIES, translated
from sunward.cli.shell import Group, Shell, group, option
from sunward.cli.text import LANGUAGES, N_, _, choose, language_of, speaks_english
from sunward.client.credentials import HOME
from sunward.errors import InputError, InvariantError, SourceError, SunwardError
from sunward.model.codec import encode

EXIT_INPUT = 2
EXIT_SOURCE = 3
EXIT_INTERRUPTED = 130
OWN_CODES = ("SW-6", "SW-184", "SW-185", "SW-186", "SW-799")
"""Codes raised by the command line itself, whose messages are already in the chosen language."""


SERVERS = {
    "backup": ("sunward.cli.commands.backup", N_("Write the whole home to a file, while the service runs.")),
    "restore": (
        "sunward.cli.commands.backup",
        N_("Put a home back from a file, into the empty folder that --home names."),
    ),
    "chain": ("sunward.cli.chain", N_("Bring roots, rewards and retired credits onto a chain, and check them there.")),
    "up": ("sunward.cli.up", N_("Run the control plane here until stopped.")),
    "doctor": (
        "sunward.cli.doctor",
        N_("Say what this machine lacks to be a site, and the one command that mends it."),
    ),
    "estimate": ("sunward.cli.estimate", N_("Estimate what GPUs earn in a month less their power, and say why.")),
    "join": ("sunward.cli.join", N_("Join the network with this machine's GPUs and serve until stopped.")),
    "leave": ("sunward.cli.leave", N_("Leave the network with a site: drain it, wait, settle, end its agent here.")),
    "anchor": ("sunward.cli.anchor", N_("Measure how long sites take to answer, from this place, until stopped.")),
    "demo": (
        "sunward.cli.demo.command",
        N_("Run eight jobs on three sites in about a minute: decided, run, paused, moved, paid, proven."),
    ),
}
"""Module and summary of the commands that run a part of the network.

They load the service or the agent, which takes longer than most commands run: so only when named. The list of
commands has their summaries from here.
"""


EXTRAS = {"chain": "chain", "anchor": "agent", "doctor": "agent", "estimate": "agent", "join": "agent", "demo": "all"}
"""What `pip install 'sunward[…]'` must name for a command, where that is not `service`."""
POSIX = frozenset({"fcntl", "grp", "pwd", "resource", "termios"})
"""Modules of Python that are on Linux and macOS only."""


def unavailable(reason: ModuleNotFoundError, command: str = "") -> InputError:
    """That a command needs what the light client leaves out, or another system.

    Raises: the reason itself, when a module of Sunward is missing: that is our own fault.
    """
    name = (reason.name or "").partition(".")[0]
    if name in POSIX:
        return InputError(_("this runs on Linux and macOS only; the service may run elsewhere"), code="SW-653")
    if name in {"", "sunward"}:
        raise reason
    line = _("this needs {module}, which the light client leaves out: pip install 'sunward[{extra}]'")
    return InputError(line.format(module=name, extra=EXTRAS.get(command, "service")), code="SW-652")


class Root(Group):
    """The top of the tree: speaks the chosen language and turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in order."""
        return sorted([*super().list_commands(ctx), *SERVERS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name; one of `SERVERS` is loaded now."""
        if cmd_name not in SERVERS:
            return super().get_command(ctx, cmd_name)
        try:
            loaded: click.Command = getattr(import_module(SERVERS[cmd_name][0]), cmd_name)
        except ModuleNotFoundError as reason:
            raise unavailable(reason, cmd_name) from None
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading those of `SERVERS`."""
        rows = [
            (name, _(SERVERS[name][1]) if name in SERVERS else self._summary(name)) for name in self.list_commands(ctx)
        ]
        with formatter.section(_("Commands")):
            formatter.write_dl(rows)

    def _summary(self, name: str) -> str:
        return self.commands[name].get_short_help_str()

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]  # noqa: ANN401
        """Run one command line and exit.

        An InvariantError, or anything else that is our own fault, is not caught: it ends loudly.
        """
        words = list(sys.argv[1:] if args is None else args)
        choose(language_of(words, os.environ))
        extra = {"prog_name": "sunward", **extra, "standalone_mode": False}
        try:
            code = super().main(words, **extra)
        except click.Abort:
            code = EXIT_INTERRUPTED
        except (click.ClickException, InputError, SourceError, OSError) as error:
            code = report(error, as_json="--json" in options_of(words))
        except ModuleNotFoundError as reason:
            code = report(unavailable(reason), as_json="--json" in options_of(words))
        sys.exit(code)


def options_of(words: Sequence[str]) -> Sequence[str]:
    """The words before `--`, which are ours."""
    return words[: words.index("--")] if "--" in words else words


def report(error: click.ClickException | SunwardError | OSError, *, as_json: bool) -> int:
    """Say what went wrong on stderr, in one line or one JSON object; the exit code."""
    code, message = described(error)
    status = EXIT_SOURCE if isinstance(error, SourceError) else EXIT_INPUT
    remedy = _(REMEDIES[code]) if code in REMEDIES else ""
    if as_json:
        click.echo(encode({"code": code, "detail": message, "remedy": remedy, "exit": status}), err=True)
        return status
    click.echo(_("error {code}: {message}").format(code=code, message=message), err=True)
    if remedy:
        click.echo(_("what to do: {remedy}").format(remedy=remedy), err=True)
    return status


def described(error: click.ClickException | SunwardError | OSError) -> tuple[str, str]:
    """An error's stable code, and its message on one line in the chosen language."""
    if isinstance(error, SunwardError):
        code, message = error.code, translated(error.message)
        if message == error.message and not code.startswith(OWN_CODES) and not speaks_english():
            message = f"{_(ERRORS.get(code) or ERRORS[type(error).code])}: {message}"
    elif isinstance(error, OSError):
        code = "SW-612"
        message = _("cannot use {file}: {reason}").format(file=error.filename or "?", reason=error.strerror or error)
    else:
        code, message = "SW-600", error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            message = f"{message.rstrip('.')} " + _("(see {command} --help)").format(command=error.ctx.command_path)
    return code, " ".join(message.split())


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        click.echo(f"sunward {sunward.__version__}")
        ctx.exit()


@group(cls=Root, name="sunward", invoke_without_command=True)
@option("--lang", type=click.Choice(LANGUAGES), help="Language of all text; else SUNWARD_LANG, LC_ALL or LANG.")
@option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="SUNWARD_HOME",
    default=HOME,
    help="Folder of credentials and state.",
)
@option("--url", envvar="SUNWARD_URL", default="", help="Address of the service; else from the home folder.")
@option("--token", envvar="SUNWARD_TOKEN", default="", help="Access token; else from the home folder.")
@option(
    "--ca",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="SUNWARD_CA",
    help="Certificates to believe, PEM; else those of the system.",
)
@option("--insecure", is_flag=True, envvar="SUNWARD_INSECURE", help="Send the token over plain HTTP to other machines.")
@option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
@click.pass_context
def cli(
    ctx: click.Context,
    lang: str | None,  # noqa: ARG001 - read before
    home: Path,
    url: str,
    token: str,
    ca: Path | None,
    insecure: bool,  # noqa: FBT001 - click's signature
) -> None:
    """AI jobs run where power is clean, with a receipt."""
    shell = ctx.ensure_object(Shell)
    shell.home, shell.url, shell.token = home.expanduser(), url, token
    shell.ca, shell.insecure = ca, insecure
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


COMMANDS: tuple[click.Command, ...] = (
    submit,
    jobs,
    logs,
    fetch,
    cancel,
    receipt,
    verify,
    grid,
    feeds,
    plan,
    site,
    audit,
    certificates,
    reserve,
    evidence,
    verdict,
    epoch,
    stake,
    rewards,
    offset,
    network,
    journal,
    key,
    catalog,
    account,
    statement,
    login,
    logout,
    whoami,
    tenant,
    token,
    access,
)
for _command in COMMANDS:
    cli.add_command(_command)


def main() -> NoReturn:
    """Entry point of the installed command."""
    cli.main()
    raise InvariantError("the command line did not exit")
