"""Files that hold a secret: readable by nobody else from their first byte on."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write `text` to a file of mode 0600."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123  # pathlib cannot say the mode
        file.write(text)
