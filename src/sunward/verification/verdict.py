"""What checking ends with: findings in words, and what it did not prove."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason to refuse."""

    key: str
    """Stable name of the check that failed."""
    sentence: str
    """What is wrong, in English, with the figures' names in braces, so that it can be translated."""
    figures: dict[str, str | int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The sentence with its figures."""
        return self.sentence.format(**self.figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A checked claim: accepted when there is no finding."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    """Stable names of the checks made, in order."""
    not_proved: tuple[str, ...]
    """Stable names of what no check here can show."""

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return not self.findings


MISMATCH = "{what} of {where} is {found}; the evidence gives {expected}"


def mismatch(key: str, what: str, where: str, found: object, expected: object) -> Finding:
    """A figure that is not what the evidence gives."""
    figures: dict[str, str | int] = {"what": what, "where": where, "found": str(found), "expected": str(expected)}
    return Finding(key=key, sentence=MISMATCH, figures=figures)
