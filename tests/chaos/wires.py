"""A way to the API server for each replica, that can be cut, refused, slowed, or lose answers. TLS passes through it as it is.

They have a thread and a loop of their own, so that nothing else that the storm does keeps bytes waiting.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_CHUNK = 65536
_SPOKEN = 2
"""Exchanges after which a connection is past its handshake."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, and nothing lingers, so that a close is a reset."""


@dataclass(eq=False, slots=True)
class _Line:
    """One connection: the replica's end, and the API server's."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    exchanges: int = 0
    is_asked: bool = False
    """The replica has spoken since the API server last did."""

    def reset(self) -> None:
        for end in (self.near, self.far):
            if (found := end.get_extra_info("socket")) is not None:
                with suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()


@dataclass(eq=False, slots=True)
class Wire:
    """Carries bytes from a port of its own to the API server's, both on loopback. Everything may be asked from any thread."""

    to_port: int
    loop: asyncio.AbstractEventLoop
    port: int = 0
    _lines: set[_Line] = field(default_factory=set)
    _refusing_until: float = 0.0
    _slow: tuple[float, float] = (0.0, 0.0)
    """Until when, and by how many seconds each piece is late."""
    _to_lose: int = 0

    async def open(self) -> asyncio.Server:
        """Listen."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def cut(self) -> None:
        """Reset every connection."""
        self.loop.call_soon_threadsafe(self._cut)

    def refuse(self, seconds: float) -> None:
        """Reset every connection, and each new one for so long."""
        self._refusing_until = self.loop.time() + seconds
        self.cut()

    def slow(self, late: float, seconds: float) -> None:
        """Let every piece be late for so long."""
        self._slow = (self.loop.time() + seconds, late)

    def lose_answers(self, number: int) -> None:
        """Reset so many connections at the moment when the API server has done what it was asked, and answers."""
        self._to_lose = number

    def mend(self) -> None:
        """Carry everything again, at once."""
        self._refusing_until, self._slow, self._to_lose = 0.0, (0.0, 0.0), 0

    def _cut(self) -> None:
        for line in list(self._lines):
            line.reset()

    async def _carry(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self.loop.time() < self._refusing_until:
            near.transport.abort()
            return
        try:
            answers, far = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            near.transport.abort()
            return
        self._lines.add(line := _Line(near, far))
        try:
            await asyncio.gather(self._pass(line, reader, far, is_answer=False), self._pass(line, answers, near, is_answer=True))
        finally:
            self._lines.discard(line)
            near.transport.abort()
            far.transport.abort()

    async def _pass(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while received := await reader.read(_CHUNK):
                until, late = self._slow
                if self.loop.time() < until:
                    await asyncio.sleep(late)
                if not is_answer:
                    line.is_asked = True
                elif line.is_asked:
                    line.is_asked, line.exchanges = False, line.exchanges + 1
                    if self._to_lose and line.exchanges > _SPOKEN:
                        self._to_lose -= 1
                        line.reset()
                        return
                writer.write(received)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()


class Wires:
    """Several of them, as a context manager."""

    def __init__(self, to_port: int, number: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self.all = [Wire(to_port, self._loop) for _ in range(number)]

    def __enter__(self) -> Self:
        self._thread.start()
        self._servers = [asyncio.run_coroutine_threadsafe(wire.open(), self._loop).result(10) for wire in self.all]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def of(self, port: int) -> Wire:
        """The one that listens there."""
        return next(wire for wire in self.all if wire.port == port)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for wire in self.all:
            wire.refuse(1)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
