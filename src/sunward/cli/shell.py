"""What every command shares: the options given, the client they lead to, and help in the chosen language."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx
from rich.cells import cell_len

from sunward.cli.text import LANGUAGES, _
from sunward.client import ApiClient
from sunward.client.credentials import access, stored


@dataclass(slots=True, kw_only=True)
class Shell:
    """The global options, and the two things a test puts in the outside world's place."""

    home: Path = field(default_factory=Path)
    url: str = ""
    token: str = ""
    json: bool = False
    ca: Path | None = None
    insecure: bool = False
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def client(self, role: str = "tenant") -> Iterator[ApiClient]:
        """A client that speaks with the token of a role.

        Raises: SourceError when no service is known, InputError when the credentials cannot be read.
        """
        found = access(self.home, self.url, self.token, role)
        with self.speaking(found.url, found.token) as client:
            yield client

    def speaking(self, url: str, token: str) -> ApiClient:
        """A client that speaks to one service with one token."""
        return ApiClient(url, token, transport=self.transport, ca=self.ca, insecure=self.insecure)

    def address(self) -> str:
        """The service named by `--url`, else the one of the home folder; empty when there is none."""
        if self.url:
            return self.url
        kept = stored(self.home)
        return kept.url if kept else ""


pass_shell = click.make_pass_decorator(Shell)


class HelpFormatter(click.HelpFormatter):
    """Wraps by terminal cells: a Korean letter is two wide, and click counts it as one."""

    def write_text(self, text: str) -> None:
        """Write paragraphs at the present indent."""
        for index, paragraph in enumerate(text.split("\n\n")):
            self.write("\n" if index else "")
            for line in wrap(paragraph, self.width - self.current_indent):
                self.write(f"{'':{self.current_indent}}{line}\n")

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:  # noqa: ANN401 - click's signature
        """Write a two-column list."""
        pairs = list(rows)
        first = min(max(cell_len(term) for term, _text in pairs), col_max) + col_spacing
        for term, text in pairs:
            room = first - cell_len(term)
            own_line = room < col_spacing
            self.write(f"{'':{self.current_indent}}{term}" + ("\n" if own_line or not text else " " * room))
            for index, line in enumerate(wrap(text, max(self.width - first - self.current_indent, 20))):
                indent = self.current_indent + first if index or own_line else 0
                self.write(f"{'':{indent}}{line}\n")


def wrap(text: str, width: int) -> list[str]:
    """Lines no wider than `width` cells, broken between words."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


click.Context.formatter_class = HelpFormatter


class _Spoken:
    """Help that is a message id until it is read."""

    message = ""

    @property
    def help(self) -> str | None:
        """The help text in the chosen language."""
        return _(self.message) if self.message else None

    @help.setter  # noqa: A003 - click's name
    def help(self, text: str | None) -> None:
        self.message = inspect.cleandoc(text or "")


class Option(_Spoken, click.Option):
    """An option whose help is looked up when it is shown."""


class Command(_Spoken, click.Command):
    """A command whose help is looked up when it is shown, and that takes `--json` too.

    It returns its exit code, or nothing for 0.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's signature
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())
        if not any("--lang" in param.opts for param in self.params):
            self.params.append(_language_option())

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """`--help`, in the language chosen now; click keeps the one it made first."""
        made = super().get_help_option(ctx)
        if made is not None:
            made.help = _("Show this message and exit.")
        return made

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - the formatter wraps instead
        """The first line of the help."""
        return (self.help or "").partition("\n")[0]


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


class Shown(Group):
    """A group whose first word may be something to show: without the name of a command `show` is meant."""

    default = "show"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words."""
        if args != ["--help"] and not (args and args[0] in self.commands):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def _json_option() -> Option:
    def turn_on(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
        if value:
            ctx.ensure_object(Shell).json = True

    return Option(
        ["--json"], is_flag=True, expose_value=False, callback=turn_on, is_eager=True, help="Print JSON for machines."
    )


def _language_option() -> Option:
    """`--lang` is read before parsing, wherever it stands; here it is only allowed after a command's name too."""
    about = "Language of all text; else SUNWARD_LANG, LC_ALL or LANG."
    return Option(["--lang"], type=click.Choice(LANGUAGES), expose_value=False, hidden=True, help=about)


option = partial(click.option, cls=Option)


def command(*, cls: type[Command] = Command) -> Callable[[Callable[..., Any]], Command]:
    """A command named after its function, with the function's docstring as help."""
    return click.command(cls=cls)


def group(*, cls: type[Group] = Group, **settings: Any) -> Callable[[Callable[..., Any]], Group]:  # noqa: ANN401
    """A group of commands named after its function."""
    return click.group(cls=cls, no_args_is_help=False, **settings)


def commands_of(root: click.Command) -> Sequence[click.Command]:
    """A command and all below it, in order of name."""
    if not isinstance(root, click.Group):
        return [root]
    ctx = click.Context(root)
    below = (root.get_command(ctx, name) for name in root.list_commands(ctx))
    return [root, *(found for child in below if child is not None for found in commands_of(child))]
