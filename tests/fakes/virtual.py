"""Time that passes as fast as nothing happens: an event loop that leaps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

START = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)

ENDING: ContextVar[AsyncExitStack] = ContextVar("ending")
"""What has to be ended with the story that is being played."""

Result = TypeVar("Result")


class _Leaping(selectors.DefaultSelector):
    """Instead of waiting, lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen any more")
        self.now += max(timeout, 0)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


def play(story: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Play a story to its end, in no time; whatever became of it, what was left to `ENDING` is ended."""

    async def whole() -> Result:
        async with AsyncExitStack() as ending:
            ENDING.set(ending)
            return await story()

    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(whole())


def clock() -> datetime:
    """The present, as the loop has it."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


async def pass_time(seconds: float) -> None:
    """Let so much time pass; unlike `asyncio.sleep`, which stories make do without."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over
