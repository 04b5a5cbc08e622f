"""A YAML file as plain values, with the line of each.

Only what a settings file needs is read: every scalar is the text as written, so that a country NO and a version
3.10 stay what they are; the record that takes the values gives them their types. What can hide a mistake or grow
without bound is refused: keys given twice, aliases, tags, deep nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path
from typing import Any

import yaml

from sunward.errors import InputError

UNREADABLE = "SW-660"
BYTES_MAX = 1 << 20
DEPTH_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlFile:
    """What stands in a file: text, lists and dicts by name, and the line of each by its path."""

    values: dict[str, Any]
    lines: dict[str, int]
    """Counted from 1, by paths such as `gpus.count` and `inputs[0].path`."""


def read_yaml(file: Path) -> YamlFile:
    """Read a file that holds one mapping.

    Raises: InputError naming file, line and what is wrong.
    """
    text = _text(file)
    try:
        _check_events(file, text)
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as reason:
        what = " ".join(part for part in (reason.problem, reason.context) if part)
        raise _unreadable(file, _line(reason.problem_mark), what) from None
    except yaml.reader.ReaderError as reason:
        line = text.count("\n", 0, reason.position) + 1
        raise _unreadable(file, line, _("a character that YAML does not allow")) from None
    if not isinstance(root, yaml.MappingNode):
        raise _unreadable(file, 1, _("it holds no names with values, such as `command: python train.py`"))
    lines: dict[str, int] = {}
    values: dict[str, Any] = _plain(file, root, "", lines)
    return YamlFile(values=values, lines=lines)


def _text(file: Path) -> str:
    raw = file.read_bytes()
    if len(raw) > BYTES_MAX:
        raise _unreadable(file, 1, _("it is larger than 1 MiB"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        line = raw.count(b"\n", 0, reason.start) + 1
        raise _unreadable(file, line, _("it is not UTF-8 text")) from None


def _check_events(file: Path, text: str) -> None:
    """Refuse what the composer would follow without bound, or read as something else than it says."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise _unreadable(file, line, _("aliases (*name) are not taken; write the value out"))
        if getattr(event, "tag", None):
            raise _unreadable(file, line, _("tags (!name) are not taken; write the value itself"))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise _unreadable(file, line, _("nested too deep"))


def _plain(file: Path, node: yaml.Node, path: str, lines: dict[str, int]) -> Any:  # noqa: ANN401 - what YAML holds
    if path not in lines:
        lines[path] = _line(node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return {name: _plain(file, value, inner, lines) for name, inner, value in _items(file, node, path, lines)}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(file, item, f"{path}[{index}]", lines) for index, item in enumerate(node.value)]
    return node.value


def _items(
    file: Path, node: yaml.MappingNode, path: str, lines: dict[str, int]
) -> Iterator[tuple[str, str, yaml.Node]]:
    for key, value in node.value:
        line = _line(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            raise _unreadable(file, line, _("a name must be a word"))
        inner = f"{path}.{key.value}" if path else key.value
        if inner in lines:
            raise _unreadable(
                file, line, _("{name} stands here twice, first in line {line}").format(name=inner, line=lines[inner])
            )
        lines[inner] = line
        yield key.value, inner, value


def _line(mark: Any) -> int:  # noqa: ANN401 - the library has two kinds of mark
    return mark.line + 1 if mark is not None else 1


def _unreadable(file: Path, line: int, why: str) -> InputError:
    return InputError(f"{file}:{line}: {why}", code=UNREADABLE)
