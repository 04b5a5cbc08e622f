"""Write docs/agent.schema.json and docs/agent-settings.md from the record that reads agent.toml.

python tools/build_agent_schema.py
"""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from sunward.agent import config
from sunward.agent.config import AgentConfig, PoolConfig
from sunward.model.codec import json_schema

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCHEMA, PAGE = DOCS / "agent.schema.json", DOCS / "agent-settings.md"
GIVEN = "folder"
"""The agent's own folder: told by where the file lies, never by the file."""

HEAD = """\
# agent.toml

What a provider decides, in the agent's folder (`~/.sunward/agent/agent.toml`). `sunward join` writes it at the first
start with what was said then; edit it and start the agent again to change it. `sunward doctor` says whether it is
sound. An unknown setting is refused, with those that are known. The schema is in
[agent.schema.json](agent.schema.json). What the owner keeps for itself is decided here too: own programs come first
without any setting ([ADR 20](adr/0020-owner-first.md)), and an empty file `keep` beside `agent.toml`, or one that names
devices, keeps GPUs back until it is removed.

"""


def schema() -> dict[str, Any]:
    """The schema of the file, each setting with its meaning."""
    made = json_schema(AgentConfig)
    for kind in (AgentConfig, PoolConfig):
        found = made["$defs"][kind.__name__]
        found["additionalProperties"] = False
        for name, meaning in _meanings(kind).items():
            found["properties"][name]["description"] = meaning
    agent = made["$defs"]["AgentConfig"]
    del agent["properties"][GIVEN]
    agent["required"].remove(GIVEN)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "agent.toml of Sunward", **made}


def page() -> str:
    """The settings as people read them."""
    tables = [_table("Settings", AgentConfig), _table("[[pools]], one for each GPU model", PoolConfig)]
    return HEAD + "\n".join(tables)


def _table(title: str, kind: type) -> str:
    meanings = _meanings(kind)
    lines = [f"## {title}", "", "| setting | default | meaning |", "|---|---|---|"]
    for field in fields(kind):
        if field.name != GIVEN:
            default = "needed" if field.default is MISSING else f"`{json.dumps(_plain(field.default))}`"
            lines.append(f"| `{field.name}` | {default} | {meanings.get(field.name, '')} |")
    return "\n".join([*lines, ""])


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _meanings(kind: type) -> dict[str, str]:
    """What the text under each field says."""
    tree = ast.parse(inspect.getsource(config))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found = {}
    for before, after in pairwise(body):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[before.target.id] = inspect.cleandoc(after.value.value)
    return found


def text() -> str:
    """The schema as it lies in the repository."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
