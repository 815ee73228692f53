"""Wait for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from parts import PartFailed


def wait_for(holds: Callable[[], bool], what: str, *, within: float = 30.0) -> None:
    """Return as soon as `holds` does; fail and say `what` was waited for after `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise PartFailed(f"waited {within:.0f} s in vain for {what}")
        time.sleep(0.05)
