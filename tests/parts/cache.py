"""The user's cache: what takes minutes to make is made once, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def root() -> Path:
    """Where this project caches (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grantkeeper"


def key_of(*files: Path) -> str:
    """A short name for the content of these files: another content is another cache entry."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def obtain(name: str, make: Callable[[Path], None]) -> Path:
    """Return the cached directory `name`; when it is not there yet, `make` fills an empty one that then takes its name.

    Two processes that ask at once make it once: the second waits. A run that is killed leaves nothing that looks finished.
    """
    entry = root() / name
    if entry.is_dir():
        return entry
    root().mkdir(parents=True, exist_ok=True)
    with (root() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not entry.is_dir():
            unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root()))
            try:
                make(unfinished)
                unfinished.rename(entry)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return entry
