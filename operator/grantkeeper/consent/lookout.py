"""Looks again and again whether the API server answers: without it a page can say no more than that it is sorry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from grantkeeper.errors import ClusterError

LOOK_EVERY = 5.0
LATELY = 20.0
"""Seconds: one look that waits for its time-out is not enough to send people away."""


class Cluster(Protocol):
    """What is needed of the Kubernetes API."""

    async def read_version(self) -> str:
        """The version of the API server; ClusterError where it does not answer."""
        ...


@dataclass(slots=True)
class Lookout:
    """Remembers when the API server last answered."""

    cluster: Cluster
    monotonic: Callable[[], float] = time.monotonic
    _answered_at: float = field(default=float("-inf"))

    async def look(self) -> None:
        """Look once."""
        try:
            await self.cluster.read_version()
        except ClusterError:
            return
        self._answered_at = self.monotonic()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    def unreadiness(self) -> str | None:
        """What is in the way of serving people."""
        if self.monotonic() - self._answered_at <= LATELY:
            return None
        return f"The Kubernetes API server has not answered for {LATELY:.0f} seconds."
