"""Whether the controller lives and works, as kubelet asks it.

A restart is the only medicine that kubelet has, and it is not harmless: tokens that have come and are in no journal yet die with
the process. So an API server or an authorization server that is away makes nobody ill, and nothing counts while such tokens are held.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

LOOKED_WITHIN = 900.0
"""Seconds: everything is looked at every five minutes, whether that succeeds or not."""
PASS_WITHIN = 600.0
"""Seconds that a pass may take. Whatever it waits for has a time-out far below; only a commit is tried for longer."""


@dataclass(slots=True)
class Pulse:
    """What there is to know about it."""

    monotonic: Callable[[], float] = time.monotonic
    longest_pass: Callable[[], float] = lambda: 0.0
    """Seconds that the oldest pass has been under way."""
    is_storing: Callable[[], bool] = lambda: False
    """Whether anything is held that only this process has."""
    has_keyring: bool = False
    is_standing_by: bool = False
    """Whether another replica leads, and this one waits."""
    looked_at: float | None = None
    """When everything was last looked at; None before it was first read."""

    def beat(self) -> None:
        """Everything has been looked at."""
        self.looked_at = self.monotonic()

    def stand_by(self, *, ready: bool = True) -> None:
        """Nothing is to be looked at until this replica leads; `ready`: it could lead now."""
        self.is_standing_by, self.looked_at = ready, None

    def lead(self) -> None:
        """From now on everything is to be looked at."""
        self.is_standing_by = False

    def illness(self) -> str | None:
        """What a restart may cure. That the event loop turns is shown by the answer itself."""
        if self.is_storing():
            return None
        if self.looked_at is not None and self.monotonic() - self.looked_at > LOOKED_WITHIN:
            return f"Not everything has been looked at for {LOOKED_WITHIN / 60:.0f} minutes."
        if self.longest_pass() > PASS_WITHIN:
            return f"A pass has taken more than {PASS_WITHIN / 60:.0f} minutes."
        return None

    def unreadiness(self) -> str | None:
        """What is still missing before grants are kept."""
        if not self.has_keyring:
            return "The keyring has not been read yet."
        if self.looked_at is None and not self.is_standing_by:
            return "The grants have not been read yet."
        return None
