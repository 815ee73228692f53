"""Errands to a disk: one thread runs them, and what is asked for while it is busy is done together in its next turn.

A disk may hang, and the event loop must not. But to wake a thread, and to be woken by it, costs more than most of what it is woken
for; so that is done once for all who wait. Nobody waits for company: a thread that is idle begins at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

What = TypeVar("What")
Failure = Exception | None
Call = Callable[[list[What]], None]
"""Does all that is asked of it at once, or fails for all of it."""


@dataclass(slots=True)
class Errands:
    """What there is to do, in the order in which it was asked for; what is asked of the same call is done with the first of it."""

    name: str
    _waiting: list[tuple[Call[object], object, asyncio.Future[Failure] | None]] = field(default_factory=list)
    _is_busy: bool = False
    _lock: Lock = field(default_factory=Lock)
    _pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, self.name)  # its thread is started by the first errand, and ends with this

    async def run(self, call: Call[What], what: What) -> Failure:
        """How it failed, when it is done. Who waits no longer stops nothing. RuntimeError where no thread can be started."""
        done: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
        self._put(call, what, done)
        self._start()
        return await done

    def leave(self, call: Call[What], what: What) -> None:
        """Have it done in the next turn, whenever that is, and wake nobody for it."""
        self._put(call, what, None)

    def begin(self) -> None:
        """Have what was left done now, if a thread can be started."""
        with suppress(RuntimeError):
            self._start()

    def _put(self, call: Call[What], what: What, done: asyncio.Future[Failure] | None) -> None:
        with self._lock:
            self._waiting.append((call, what, done))  # type: ignore[arg-type]  # each goes to its own call

    def _start(self) -> None:
        with self._lock:
            if self._is_busy or not self._waiting:
                return
            self._is_busy = True
        try:
            self._pool.submit(self._work)
        except RuntimeError:
            self._is_busy = False
            raise

    def _work(self) -> None:
        while turn := self._take():
            calls: dict[Call[object], list[object]] = {}
            for call, what, _ in sorted(turn, key=lambda asked: asked[2] is None):  # first what is waited for
                calls.setdefault(call, []).append(what)
            failures = {call: _failure_of(call, whats) for call, whats in calls.items()}
            waiters = [(done, failures[call]) for call, _, done in turn if done is not None]
            if waiters:
                with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                    waiters[0][0].get_loop().call_soon_threadsafe(_tell, waiters)

    def _take(self) -> list[tuple[Call[object], object, asyncio.Future[Failure] | None]]:
        with self._lock:
            turn, self._waiting = self._waiting, []
            self._is_busy = bool(turn)
            return turn


def _failure_of(call: Call[object], whats: list[object]) -> Failure:
    try:
        call(whats)
    except Exception as error:  # noqa: BLE001  # who waits is to hear of it, whatever it is
        return error
    return None


def _tell(waiters: list[tuple[asyncio.Future[Failure], Failure]]) -> None:
    for done, failure in waiters:
        if not done.done():
            done.set_result(failure)
