"""The table of attacks: keys that stay, ends that mean something, layers that exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
_LAYERS = TEXT.partition("## Layers")[2].partition("## Attacks")[0]
LAYERS = dict(re.findall(r"^\| (\w+) \| (.+?) \|", _LAYERS, re.MULTILINE))
ATTACKS = TEXT.partition("## Attacks")[2].partition("## Faults that are verdicts")[0]
ROWS = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (\w+) \|$", ATTACKS, re.MULTILINE)
PEOPLE = {"provider", "tenant", "operator", "auditor", "issuer", "endorser", "thief"}


def test_every_row_is_whole_and_every_key_stands_once():
    assert len(ROWS) == len(re.findall(r"^\| `", ATTACKS, re.MULTILINE)) >= 28
    assert [key for key, count in Counter(row[0] for row in ROWS).items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z_]+", row[0]) for row in ROWS)
    assert {one for row in ROWS for one in row[1].split(", ")} <= PEOPLE


def test_every_attack_ends_in_one_of_three_ways():
    assert Counter(row[5] for row in ROWS).keys() == {"detected", "bounded", "undetectable"}


def test_what_is_undetectable_brings_nothing():
    for key, _, _, _, stops, end in ROWS:
        if end == "undetectable":
            assert re.search(r"caps:|nothing counts|shows only|counts from", stops), key


def test_the_modules_that_are_named_exist():
    named = [path for where in LAYERS.values() for path in re.findall(r"`([\w/]+[.]py)`", where)]
    assert len(named) >= 6
    assert [path for path in named if not (ROOT / "src" / "sunward" / path).is_file()] == []


def test_faults_name_attacks_of_the_table_and_stand_in_the_sources():
    table = TEXT.partition("## Faults that are verdicts")[2].partition("## What remains")[0]
    rows = re.findall(r"^\| \w+ \| (`.+?) \| (.+?) \|$", table, re.MULTILINE)
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "src" / "sunward").rglob("*.py"))
    attacks = {row[0] for row in ROWS}
    assert len(rows) >= 6
    for faults, ended in rows:
        assert [key for key in re.findall(r"`(\w+)`", faults) if f'"{key}"' not in source] == []
        assert set(re.findall(r"`(\w+)`", ended)) <= attacks
