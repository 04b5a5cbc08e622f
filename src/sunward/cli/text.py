"""The language of everything a user reads: one gettext catalogue, English message ids, chosen at run time.

`_` and `ngettext` look the catalogue up at each call, so nothing is bound before `choose`. Click looks its own
messages up in the same way, and finds them in this catalogue too.
"""

from __future__ import annotations

import gettext as _gettext
import os
from collections.abc import Mapping, Sequence
from gettext import gettext as _
from gettext import ngettext
from importlib import resources
from itertools import pairwise

__all__ = [
    "CLICK_MESSAGES",
    "CLICK_PLURALS",
    "DOMAIN",
    "LANGUAGES",
    "N_",
    "_",
    "choose",
    "language_of",
    "ngettext",
    "speaks_english",
]

DOMAIN = "sunward"
LANGUAGES = ("en", "ko")
VARIABLES = ("SUNWARD_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where the wish for a language is read, first match wins; `--lang` beats all."""


def N_(message: str) -> str:  # noqa: N802 - the gettext word for "extract this, translate it later"
    """Mark a message for the catalogue; it is translated where it is shown."""
    return message


def language_of(args: Sequence[str], environ: Mapping[str, str]) -> str:
    """The language asked for by `--lang`, else by the environment; English unless Korean is asked.

    Read before the command line is parsed, so that help and parse errors speak it too; a wrong value of
    `--lang` is left to the parser to refuse, in the language of the environment.
    """
    before_command = args[: args.index("--")] if "--" in args else args
    for word, value in pairwise([*before_command, ""]):
        asked = value if word == "--lang" else word.removeprefix("--lang=")
        if word.startswith("--lang") and asked in LANGUAGES:
            return asked
    wish = next((environ[name] for name in VARIABLES if environ.get(name)), "")
    return _nearest(wish)


def choose(language: str) -> None:
    """Speak a language from now on, in this process and those it starts."""
    _gettext.bindtextdomain(DOMAIN, str(resources.files("sunward") / "locale"))
    _gettext.textdomain(DOMAIN)
    os.environ["LANGUAGE"] = language


def language() -> str:
    """The language spoken now."""
    return os.environ.get("LANGUAGE", "en")


def speaks_english() -> bool:
    """Whether English was chosen, so that messages from below need no gloss."""
    return language() == "en"


def _nearest(wish: str) -> str:
    return "ko" if wish.lower().startswith("ko") else "en"


CLICK_MESSAGES = (
    N_("Usage:"),
    N_("Options"),
    N_("Commands"),
    N_("Positional arguments"),
    N_("Show this message and exit."),
    N_("Show the version and exit."),
    N_("default: {default}"),
    N_("required"),
    N_("env var: {var}"),
    N_("Missing command."),
    N_("Missing argument"),
    N_("Missing option"),
    N_("No such command {name!r}."),
    N_("No such option {name!r}."),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("Option {name!r} does not take a value."),
    N_("{name} {filename!r} does not exist."),
    N_("{name} {filename!r} is a file."),
    N_("{name} {filename!r} is a directory."),
    N_("{name} {filename!r} is not readable."),
    N_("directory"),
    N_("file"),
    N_("path"),
    N_("Error: invalid input"),
)
"""What click says to users, as its sources spell it; a spelling it changes appears in English."""

CLICK_PLURALS = (
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
)
"""The same for messages with a number; `tools/build_locale.py` puts them in the catalogue."""
