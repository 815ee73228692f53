"""kubectl and helm: those installed beside this Python, whose versions are pinned, else the user's."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from parts import PartFailed


def kubectl() -> str:
    """Return the kubectl to run."""
    return _find("kubectl")


def helm() -> str:
    """Return the helm to run."""
    return _find("helm")


def _find(name: str) -> str:
    pinned = Path(sys.executable).with_name(name)
    found = str(pinned) if pinned.is_file() else shutil.which(name)
    if found is None:
        raise PartFailed(f"{name} is not installed; `make setup` installs it into .venv")
    return found
