"""What is in the journal of a process, as its next life finds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any


def read_entries(directory: Path) -> Iterator[tuple[dict[str, Any], float]]:
    """Each gain, and when it was written; infinite where another one was struck out of its file since, so that nobody can tell."""
    for path in directory.glob("*.gain"):
        with suppress(FileNotFoundError):  # it has just been forgotten
            written_at, lines = path.stat().st_mtime, path.read_bytes().splitlines()
            gains = [json.loads(line) for line in lines if line.startswith(b"{")]
            yield from ((gain, written_at if len(gains) == len(lines) else inf) for gain in gains)
