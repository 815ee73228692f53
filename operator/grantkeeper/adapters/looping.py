"""The event loop that the controller turns in: uvloop, which does in C what costs most of a small request, TLS and wake-ups included."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end, as `asyncio.run` does, in whichever thread this is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
