"""One catalogue: nothing said that must not be said, help in both languages."""

import importlib.util
import re
import string
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from sunward.cli import reasons
from sunward.cli.main import cli
from sunward.cli.reasons import NOT_PROVED
from sunward.cli.shell import commands_of
from sunward.cli.text import language_of
from sunward.model.hardware import PowerState
from sunward.model.job import JobState, LeaseState
from sunward.verification import journal, receipt

ROOT = Path(__file__).resolve().parents[3]
FORBIDDEN = re.compile(
    r"carbon.?neutral|climate.?neutral|net.?zero|\byields?\b|\bAPY\b|\binvest|\bguarant|\binsur"
    r"|탄소\s*중립|투자|보장|보험|수익률|이자율",
    re.IGNORECASE,
)
ENGLISH_LINE = re.compile(r"[A-Za-z]+ [a-z]+ [a-z]+ [a-z]+")


@pytest.fixture(scope="module")
def tool():
    found = importlib.util.spec_from_file_location("build_locale", ROOT / "tools" / "build_locale.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def catalogues(tool):
    return {language: [message for message in tool.stored(language) if message.id] for language in ("en", "ko")}


def texts(message):
    return message.string if isinstance(message.string, list | tuple) else (message.string,)


def placeholders(text):
    return {name for _before, name, _form, _turn in string.Formatter().parse(text) if name is not None}


def test_korean_is_korean(catalogues):
    same = {message.id for message in catalogues["ko"] if message.id == message.string}
    units = {"kWh", "gCO2e", "USD/t", "USD/h", "OpenADR"}
    assert same == {"{job}: {state}", "{zone} {name}: {quality}", "{where}: {why}"} | units


@pytest.mark.parametrize("language", ["en", "ko"])
def test_placeholders_agree(catalogues, language):
    for message in catalogues[language]:
        sources = message.id if isinstance(message.id, list | tuple) else (message.id,)
        known = set().union(*(placeholders(source) for source in sources))
        for text in texts(message):
            assert placeholders(text) <= known, message.id
            if len(sources) == 1:
                assert placeholders(text) == known, message.id


@pytest.mark.parametrize("language", ["en", "ko"])
def test_forbidden_words_do_not_occur(catalogues, language):
    said = [text for message in catalogues[language] for text in (*texts(message), str(message.id))]
    assert [text for text in said if FORBIDDEN.search(text)] == []


def test_forbidden_words_are_recognised():
    for text in ("Carbon neutral", "yield", "an APY of", "Invest", "guaranteed", "insurance", "탄소 중립", "원금 보장"):
        assert FORBIDDEN.search(text)


@pytest.mark.parametrize(
    ("words", "environ", "language"),
    [
        (["jobs"], {}, "en"),
        (["jobs"], {"LANG": "ko_KR.UTF-8"}, "ko"),
        (["jobs"], {"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, "en"),
        (["jobs"], {"LANG": "en_US", "SUNWARD_LANG": "ko"}, "ko"),
        (["--lang", "en", "jobs"], {"SUNWARD_LANG": "ko"}, "en"),
        (["--lang=ko", "jobs"], {}, "ko"),
        (["submit", "--", "x", "--lang", "ko"], {}, "en"),
        (["--lang"], {}, "en"),
    ],
)
def test_the_language_is_chosen_before_parsing(words, environ, language):
    assert language_of(words, environ) == language


def paths(command, before=()):
    yield before
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            yield from paths(command.get_command(ctx, name), (*before, name))


@pytest.mark.parametrize("words", list(paths(cli)), ids=" ".join)
def test_help_speaks_both_languages(run, words):
    korean = run("--lang", "ko", *words, "--help")
    english = run(*words, "--help", SUNWARD_LANG="en")
    assert (korean.exit_code, english.exit_code) == (0, 0)
    assert english.stdout.startswith("Usage: sunward")
    assert korean.stdout.startswith("사용법: sunward")
    assert not any("가" <= letter <= "힣" for letter in english.stdout)
    told = korean.stdout.partition("\n")[2]
    assert not ENGLISH_LINE.search(told), "a help text was left in English"
    assert max(cell_len(line) for line in korean.stdout.splitlines() if "[" not in line) <= 80


def test_every_help_text_is_there():
    for command in commands_of(cli):
        assert command.help, command.name
        assert all(getattr(param, "help", "") for param in command.params if param.param_type_name == "option")


def test_every_state_and_open_point_has_words():
    states = {state.word for state in (*JobState, *LeaseState)} | {state.value for state in PowerState}
    assert states <= set(reasons.STATES)
    assert {*receipt.NOT_PROVED, *journal.NOT_PROVED, receipt.KEY_NOT_PROVED} <= set(NOT_PROVED)


def test_unknown_keys_are_shown_as_they_are():
    assert reasons.sentence(reasons.REFUSED, "new_key", "3 of 4") == "new_key (3 of 4)"
    assert reasons.translated("nothing known") == "nothing known"


def test_sentences_from_below_still_exist_there():
    below = [file for file in (ROOT / "src").rglob("*.py") if "cli" not in file.parts]
    sources = "".join(file.read_text(encoding="utf-8") for file in below)
    for template in reasons.FROM_BELOW:
        start = next(part for part in re.split(r"{[^}]*}|;", template) if part.strip())
        assert start.strip() in sources, f"nobody says this any more: {template}"


def test_the_glossary_says_what_the_catalogue_says(catalogues):
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    korean = {message.id: message.string for message in catalogues["ko"] if isinstance(message.id, str)}
    tables = (reasons.STATES, reasons.QUALITIES, reasons.PLACED, reasons.REFUSED)
    for text in {text for table in tables for text in table.values()}:
        assert text in glossary
        assert korean[text] in glossary
    assert len(re.findall(r"^\| .+ \| .+ \|", glossary, re.MULTILINE)) >= 50


def test_the_text_of_one_language_never_fills_another(tool):
    template = tool.Catalog()
    template.add("a message of tomorrow")
    assert tool.updated("en", template)["a message of tomorrow"].string == "a message of tomorrow"
    assert not tool.updated("ko", template)["a message of tomorrow"].string
