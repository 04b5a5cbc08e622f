"""The text of a job's requirements: names and versions from the provider's index, and nothing that runs or reads else.

Options, addresses and paths in it are refused: they would choose another index, read the provider's files or networks,
or run a tenant's code outside the job's own isolation.
"""

from __future__ import annotations

import re

from sunward.errors import InputError

NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[A-Za-z0-9._,\s-]*\])?\s*([<>=!~;(].*)?", re.DOTALL)
HASH = re.compile(r"\s--hash[=\s]\s*[a-z0-9]+:[0-9a-f]+")
COMMENT = re.compile(r"(^|\s)#.*$")


def check_requirements(text: str, code: str) -> bool:
    """Whether hashes are given, so that all must be.

    Raises: InputError for a line that is more than a name, versions, a marker and hashes.
    """
    hashed = False
    for number, line in _lines(text):
        bare = HASH.sub("", line)
        hashed = hashed or bare != line
        # An installer takes the first word with a dash, wherever it stands, for the begin of options.
        options = any(word.startswith("-") for word in bare.split())
        if options or not NAMED.fullmatch(bare.strip()) or "://" in bare or "@" in bare:
            raise InputError(
                f"setup, line {number}: write a package, its version and hashes only; "
                "options, addresses and paths are not taken",
                code=code,
            )
    return hashed


def _lines(text: str) -> list[tuple[int, str]]:
    """Requirements with the number of their first line: continued lines joined, comments and empty lines left out."""
    found: list[tuple[int, str]] = []
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        going_on = line.endswith("\\")
        parts.append(COMMENT.sub("", line.removesuffix("\\") if going_on else line))
        if going_on:
            continue
        whole = " ".join(parts).strip()
        if whole:
            found.append((begun, f" {whole}"))
        begun, parts = 0, []
    if parts and " ".join(parts).strip():
        found.append((begun, " " + " ".join(parts).strip()))
    return found
