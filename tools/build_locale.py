"""Build the message catalogue: extract every message, bring the translations up to date, compile them.

    python tools/build_locale.py           rewrite sunward.pot, both sunward.po and both sunward.mo
    python tools/build_locale.py --check   say what is stale or untranslated, change nothing, exit 1 if anything is

Messages come from four places: calls of `_`, `ngettext` and `N_`; the help of every command and option; click's own
messages as `sunward.cli.text` lists them; and the sentences of the verifier's findings.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from sunward.cli.main import cli
from sunward.cli.shell import Command, Option, commands_of
from sunward.cli.text import CLICK_PLURALS, DOMAIN, LANGUAGES

SOURCE = Path(__file__).resolve().parent.parent / "src" / "sunward"
LOCALE = SOURCE / "locale"
KEYWORDS = {"_": None, "translate": None, "ngettext": (1, 2), "N_": None}
FINDINGS = (*sorted((SOURCE / "verification").glob("*.py")), SOURCE / "cli" / "replay.py")
HEADERS = {"Language", "Plural-Forms", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
SENTENCE_NAMES = {
    "sentence",
    "MISMATCH",
    "PLAN_DIFFERS",
    "HEAD_DIFFERS",
    "ENERGY_HIGH",
    "IDLE_LOW",
    "HOST_LOW",
    "SITE_HIGH",
    "OVERHEAD_LOW",
    "DECLARED_LOW",
    "TOO_FAST",
    "TOO_LITTLE",
    "SOLAR_HIGH",
    "PLACE_EXCLUDED",
}


@cache
def extracted() -> Catalog:
    """Every message of the present sources."""
    catalog = Catalog(domain=DOMAIN, project="sunward", version="", fuzzy=False, header_comment="# Sunward messages.")
    for found in extract_from_dir(SOURCE, [("**.py", "python")], keywords=KEYWORDS):
        catalog.add(found[2])
    for message in help_messages():
        catalog.add(message)
    for plural in CLICK_PLURALS:
        catalog.add(plural)
    for file in FINDINGS:
        for message in sentences(ast.parse(file.read_text(encoding="utf-8"))):
            catalog.add(message)
    return catalog


def help_messages() -> Iterator[str]:
    """The help of every command and option."""
    for command in commands_of(cli):
        if isinstance(command, Command) and command.message:
            yield command.message
        for param in command.params:
            if isinstance(param, Option) and param.message:
                yield param.message


def sentences(tree: ast.AST) -> Iterator[str]:
    """String constants that are a finding's sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            names = {node.arg}
        elif isinstance(node, ast.Assign):
            names = {name.id for name in node.targets if isinstance(name, ast.Name)}
        else:
            continue
        if names & SENTENCE_NAMES and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def updated(language: str, template: Catalog) -> Catalog:
    """A language's translations of exactly the template's messages; none is guessed."""
    catalog = stored(language)
    # A copy: the catalogue takes the template's messages in, and one language's text must not reach the next.
    catalog.update(deepcopy(template), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    if language == "en":
        for message in catalog:
            if not is_translated(message):
                message.string = message.id
    return catalog


def is_translated(message: Message) -> bool:
    """Whether every form of a message has a text."""
    return all(message.string) if isinstance(message.string, list | tuple) else bool(message.string)


def stored(language: str) -> Catalog:
    """The translations as they lie in the repository."""
    file = po_file(language)
    if not file.exists():
        return Catalog(
            locale=language, domain=DOMAIN, project="sunward", fuzzy=False, header_comment="# Sunward messages."
        )
    with file.open("rb") as handle:
        return read_po(handle, locale=language, domain=DOMAIN)


def po_file(language: str) -> Path:
    """Where a language's translations lie."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def po_bytes(catalog: Catalog) -> bytes:
    """A catalogue as text."""
    buffer = io.BytesIO()
    write_po(buffer, plain(catalog), width=120, sort_output=True)
    return buffer.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """A catalogue as programs read it."""
    buffer = io.BytesIO()
    write_mo(buffer, plain(catalog))
    return buffer.getvalue()


class PlainCatalog(Catalog):
    """A catalogue whose header holds no dates and no versions: equal messages give equal bytes."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        """The header lines that programs need."""
        return [(name, value) for name, value in super().mime_headers if name in HEADERS]


def plain(catalog: Catalog) -> PlainCatalog:
    """The same messages under a plain header."""
    bare = PlainCatalog(locale=catalog.locale, domain=DOMAIN, header_comment="# Sunward messages.", fuzzy=False)
    for message in catalog:
        if message.id:
            bare.add(message.id, message.string)
    return bare


def outputs() -> dict[Path, bytes]:
    """Every file as it should be."""
    template = extracted()
    files = {LOCALE / f"{DOMAIN}.pot": po_bytes(template)}
    for language in LANGUAGES:
        catalog = updated(language, template)
        files[po_file(language)] = po_bytes(catalog)
        files[po_file(language).with_suffix(".mo")] = mo_bytes(catalog)
    return files


def untranslated(language: str) -> list[str]:
    """Messages without a translation."""
    found = (message for message in updated(language, extracted()) if message.id)
    return [str(message.id) for message in found if not is_translated(message)]


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if anything is stale or untranslated"
    )
    check = parser.parse_args().check
    stale = [file for file, content in outputs().items() if not file.exists() or file.read_bytes() != content]
    for file in stale:
        print(f"{'stale' if check else 'written'}: {file.relative_to(SOURCE.parent.parent)}")
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(outputs()[file])
    missing = [(language, text) for language in LANGUAGES for text in untranslated(language)]
    for language, text in missing:
        print(f"untranslated ({language}): {text}")
    return int(bool(missing or (check and stale)))


if __name__ == "__main__":
    sys.exit(main())
