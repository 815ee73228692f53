"""A small TLS server that misbehaves on request, for faults that no real authorization server can be asked for.

Each request is answered by the next `Script`; the last one stays. It speaks HTTP/1.1 by hand, because what is wanted of it is
precisely what a decent server library would not send.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

JSON: Mapping[str, str] = {"Content-Type": "application/json"}
_DRIP = 0.02
"""Seconds between two bytes of a slow answer."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends RST."""


class Fault(Enum):
    """How an answer goes wrong on the way, once its request has been read."""

    NONE = auto()
    SILENCE = auto()
    """Nothing comes."""
    CLOSE = auto()
    """The connection is closed."""
    RESET = auto()
    """The connection is reset."""
    DRIP = auto()
    """Byte by byte."""
    CUT = auto()
    """Half of the body, then the end."""
    ENDLESS = auto()
    """The body again and again, without a length."""
    LEAVE = auto()
    """All of it, and then the end of the connection, without a word about that."""
    TALK = auto()
    """All of it, and a moment later an answer that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Script:
    """One answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    fault: Fault = Fault.NONE
    version: str = "1.1"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class ScriptedServer:
    """What a running server is told, and what it has seen."""

    port: int = 0
    scripts: list[Script] = field(default_factory=lambda: [Script()])
    received: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first request."""
    connections: int = 0
    """Connections whose TLS handshake was completed."""
    open: int = 0
    """Those of them that have not ended."""
    deserted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there was one and none is left."""
    server_names: list[str | None] = field(default_factory=list)
    """The host name that each handshake asked for."""

    def answer(self, *scripts: Script) -> None:
        """Answer the coming requests by these in turn, and all further ones by the last."""
        self.scripts = list(scripts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        self.connections += 1
        self.open += 1
        self.deserted.clear()
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    self.received.append(await _read_request(reader))
                    self.arrived.set()
                    script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                    await _play(script, writer)
            writer.transport.abort()
        finally:
            self.open -= 1
            if not self.open:
                self.deserted.set()


@contextlib.asynccontextmanager
async def scripted_server(certificate: Path, key: Path, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[ScriptedServer]:
    """Run a server, on a free port unless one is named, for as long as the block lasts."""
    scripted = ScriptedServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _connection, name, _context: scripted.server_names.append(name)
    async with _listening(scripted.serve, host, port, context) as scripted.port:
        yield scripted


@dataclass(slots=True)
class Canary:
    """A listener that accepts and says nothing: for handshakes that never end, and for what must never be connected to."""

    port: int = 0
    connections: int = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a connection, and keep it until the other side has enough."""
        self.connections += 1
        with contextlib.suppress(OSError):
            while await reader.read(1024):
                pass
        writer.transport.abort()


@contextlib.asynccontextmanager
async def canary(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Canary]:
    """Run a canary for as long as the block lasts."""
    bird = Canary()
    async with _listening(bird.accept, host, port, None) as bird.port:
        yield bird


@contextlib.asynccontextmanager
async def _listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str, port: int, context: ssl.SSLContext | None
) -> AsyncIterator[int]:
    """Listen, lend the port, and at the end cut every connection that is still there."""
    open_connections: set[asyncio.Task[None]] = set()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_connections.add(task)
        try:
            await handle(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            open_connections.discard(task)

    server = await asyncio.start_server(attend, host, port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in open_connections:
            task.cancel()
        await asyncio.gather(*open_connections)


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.rstrip().split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    return Received(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def _play(script: Script, writer: asyncio.StreamWriter) -> None:
    length = {} if script.fault is Fault.ENDLESS else {"Content-Length": str(len(script.body))}
    fields = [f"{name}: {value}" for name, value in {**length, **script.headers}.items()]
    head = "\r\n".join([f"HTTP/{script.version} {script.status} Scripted", *fields, "", ""]).encode("latin-1")
    match script.fault:
        case Fault.SILENCE:
            await asyncio.Event().wait()
        case Fault.CLOSE:
            writer.close()
        case Fault.RESET:
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
        case Fault.DRIP:
            for byte in head + script.body:
                await _write(writer, bytes([byte]))
                await asyncio.sleep(_DRIP)
        case Fault.CUT:
            await _write(writer, head + script.body[: len(script.body) // 2])
            writer.close()
        case Fault.ENDLESS:
            await _write(writer, head)
            while True:
                await _write(writer, script.body)
        case _:
            await _write(writer, head + script.body)
            await _go_further(script.fault, writer, head + script.body)


async def _go_further(fault: Fault, writer: asyncio.StreamWriter, answer: bytes) -> None:
    """What follows an answer that was whole."""
    if fault is Fault.LEAVE:
        writer.close()
    elif fault is Fault.TALK:
        await asyncio.sleep(_DRIP)
        await _write(writer, answer)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
