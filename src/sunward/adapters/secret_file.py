"""Files that only their owner may read: keys, tokens, secrets."""

from __future__ import annotations

import os
from pathlib import Path

OWNER_ONLY = 0o600
FOLDER_MODE = 0o700


def write_secret(path: Path, content: bytes) -> None:
    """Put a file in place whole, never readable by others, not even for a moment."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
