from __future__ import annotations

import pytest

from sunward.agent.patterns import matches


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("model.pt", "model.pt"),
        ("model.pt", "*.pt"),
        ("model.pt", "**"),
        ("a/b/model.pt", "**/*.pt"),
        ("model.pt", "**/*.pt"),
        ("models/a/b.pt", "models"),
        ("models/a/b.pt", "models/*"),
        ("models/a/b.pt", "models/**/b.pt"),
        ("models/b.pt", "models/**/b.pt"),
        ("log.3", "log.[0-9]"),
        (".hidden", "*"),
        ("a/x/y/z", "a/**"),
    ],
)
def test_what_a_pattern_names(path: str, pattern: str) -> None:
    assert matches(path, [pattern])


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a/model.pt", "*.pt"),
        ("model.pt", "models"),
        ("models2/a", "models"),
        ("a/b", "a/b/c"),
        ("a/b/c", "a/**/d"),
        ("log.x", "log.[0-9]"),
        ("Model.pt", "model.pt"),
        ("a", ""),
    ],
)
def test_what_it_does_not(path: str, pattern: str) -> None:
    assert not matches(path, [pattern])


def test_no_pattern_takes_long() -> None:
    assert not matches("/".join(["a"] * 400), ["/".join(["**", "a"] * 200) + "/b"])
    assert not matches("a", [])
