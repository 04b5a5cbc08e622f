"""Pieces of pages: what they are given is text and becomes markup here, escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

Cell = tuple[str, str]
"""Style of a cell and its text, already escaped."""


def section(title: str, note: str, body: str) -> str:
    """A titled part of a page; its body is markup."""
    paragraph = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{paragraph}{body}</section>"


def table(heads: Sequence[Cell], rows: Iterable[Sequence[Cell]], foot: Sequence[Cell] = ()) -> str:
    """A table; its first column names the row."""
    head = "".join(f'<th scope="col"{_style(style)}>{text}</th>' for style, text in heads)
    body = "".join(f"<tr>{_row(cells)}</tr>" for cells in rows)
    last = f"<tfoot><tr>{_row(foot)}</tr></tfoot>" if foot else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>{last}</table></div>'


def _row(cells: Sequence[Cell]) -> str:
    (style, first), *others = cells
    head = f'<th scope="row"{_style(style)}>{first}</th>'
    return head + "".join(f"<td{_style(style)}>{text}</td>" for style, text in others)


def _style(style: str) -> str:
    return f' class="{style}"' if style else ""


def text(text: str) -> Cell:
    """A cell of text."""
    return "", escape(text)


def number(text: str) -> Cell:
    """A cell of figures, aligned to the right."""
    return "n", escape(text)


def wide(text: str) -> Cell:
    """A cell of prose, which may wrap."""
    return "w", escape(text)


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values for a definition list."""
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
