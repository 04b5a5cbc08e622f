"""Write docs/job.schema.json from the record that reads job.yaml.

python tools/build_job_schema.py
"""

from __future__ import annotations

import json
from pathlib import Path

from sunward.client.jobfile import schema

TARGET = Path(__file__).resolve().parent.parent / "docs" / "job.schema.json"


def text() -> str:
    """The schema as it lies in the repository."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
