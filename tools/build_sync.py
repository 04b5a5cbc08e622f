"""Make the blocking client out of the asynchronous one, so that each is typed and only one is written.

    python tools/build_sync.py           rewrite src/sunward/client/_sync
    python tools/build_sync.py --check   say what is stale, change nothing, exit 1 if anything is

Names are replaced token by token, never inside of strings but docstrings; the formatter does the rest.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "src" / "sunward" / "client"
SOURCE, TARGET = CLIENT / "_async", CLIENT / "_sync"
HEADER = "# Made from {source} by tools/build_sync.py; change that one.\n"

DROPPED = {"async", "await"}
NAMES = {
    "_async": "_sync",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aread": "read",
    "asynccontextmanager": "contextmanager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
PREFIX = re.compile(r"^(Async|async_)(?=\w)")
PROSE = (
    (re.compile(r"\b(async|await) (?=\w)"), ""),
    (re.compile(r"\bAsync(?=[A-Z])"), ""),
    (re.compile(r"\baclose\b"), "close"),
    (re.compile(r"The asynchronous client; the blocking one is made"), "The blocking client, made"),
    (re.compile(r"made out of it by"), "made out of the asynchronous one by"),
)
"""What changes in docstrings."""


def blocking(text: str) -> str:
    """The blocking twin of an asynchronous module, not yet formatted."""
    made: list[str] = []
    row, column = 1, 0
    lines = text.splitlines(keepends=True)
    skip_space = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        gap = _between(lines, (row, column), token.start)
        made.append(gap.lstrip(" ") if skip_space else gap)
        skip_space = token.type == tokenize.NAME and token.string in DROPPED
        made.append("" if skip_space else replaced(token))
        row, column = token.end
    return "".join(made)


def replaced(token: tokenize.TokenInfo) -> str:
    """What stands in a token's place."""
    if token.type == tokenize.NAME:
        return NAMES.get(token.string) or PREFIX.sub("", token.string)
    text = token.string
    if token.type == tokenize.STRING and text.startswith('"""'):
        for pattern, other in PROSE:
            text = pattern.sub(other, text)
    return text


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one place to another; tokens hold no blanks and no continued lines."""
    if start >= end:
        return ""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    first = lines[start[0] - 1][start[1] :]
    last = lines[end[0] - 1][: end[1]] if end[0] <= len(lines) else ""
    return first + "".join(lines[start[0] : end[0] - 1]) + last


def formatted(text: str, name: Path) -> str:
    """Imports sorted, lines as the formatter sets them."""
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [*ruff, *words, "--stdin-filename", str(name), "-"],
            input=text,
            capture_output=True,
            encoding="utf-8",
            check=True,
            cwd=ROOT,
        )
        text = done.stdout
    return text


def outputs() -> dict[Path, str]:
    """Every file of the blocking client as it should be."""
    made = {}
    for source in sorted(SOURCE.glob("*.py")):
        target = TARGET / source.name
        header = HEADER.format(source=source.relative_to(ROOT).as_posix())
        made[target] = formatted(header + blocking(source.read_text(encoding="utf-8")), target)
    return made


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if anything is stale")
    check = parser.parse_args().check
    wanted = outputs()
    stale = [file for file, text in wanted.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    left = [file for file in TARGET.glob("*.py") if file not in wanted]
    for file in (*stale, *left):
        print(f"{'stale' if check else 'written'}: {file.relative_to(ROOT)}")
    if check:
        return int(bool(stale or left))
    TARGET.mkdir(exist_ok=True)
    for file in left:
        file.unlink()
    for file in stale:
        file.write_text(wanted[file], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
