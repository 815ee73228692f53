"""One connection to an authorization server: TLS, one HTTP/1.1 request, one answer, and the end of it.

Whether a byte of a request has left must never be guessed, so what writes is here and in nobody's pool: h11 makes the bytes and reads
them, and knows no sockets; `write` is the one line from which on something may have left.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11

_LONGEST_HEAD = 100 * 1024
_READ_AT_ONCE = 64 * 1024


class Unspeakable(Exception):
    """What came is no HTTP/1.1, or ended before the answer did."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request as it goes over the wire, and what its answer is read by; what it holds may be secret."""

    wire: bytes = field(repr=False)
    _dialogue: h11.Connection = field(repr=False)

    @classmethod
    def write(cls, method: str, target: bytes, headers: Mapping[str, str], content: bytes) -> Message:
        """A request; ValueError where it could not be sent as HTTP."""
        dialogue = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        listed = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        if content or method == "POST":
            listed.append((b"Content-Length", str(len(content)).encode("ascii")))
        try:
            events = (h11.Request(method=method, target=target, headers=listed), h11.Data(data=content), h11.EndOfMessage())
            return cls(b"".join(dialogue.send(event) or b"" for event in events), dialogue)
        except h11.LocalProtocolError:
            raise ValueError("a header or the path of a request holds what HTTP does not allow there") from None


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer; the names of headers in lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection whose handshake is done, and over which nothing has been sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, message: Message) -> None:
        """Hand all of it to the kernel."""
        self.writer.write(message.wire)
        await self.writer.drain()
        await asyncio.sleep(0)  # uvloop writes at the end of a round

    async def read_head(self, message: Message) -> Head:
        """Await the beginning of the answer; Unspeakable or OSError where none comes."""
        while True:
            event = await self._read(message)
            if isinstance(event, h11.Response):
                return Head(event.status_code, _join(event.headers))
            if not isinstance(event, h11.InformationalResponse):
                raise Unspeakable

    async def read_body(self, message: Message) -> AsyncGenerator[bytes, None]:
        """The rest of it, part by part as it comes."""
        while not isinstance(event := await self._read(message), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Unspeakable
            yield bytes(event.data)

    async def _read(self, message: Message) -> h11.Event | type[h11.PAUSED]:
        dialogue = message._dialogue  # noqa: SLF001  # a message and its answer are one dialogue
        try:
            while (event := dialogue.next_event()) is h11.NEED_DATA:
                dialogue.receive_data(await self.reader.read(_READ_AT_ONCE))
        except h11.RemoteProtocolError:
            raise Unspeakable from None
        return event  # type: ignore[return-value]  # NEED_DATA it is not


@asynccontextmanager
async def connected(address: str, port: int, host: str, context: ssl.SSLContext) -> AsyncIterator[Connection]:
    """Connect to this very address, and let it prove that it is the host. OSError, which ssl.SSLError is, where that fails."""
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()  # nothing more is to be said, and a farewell would be waited for


def _join(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """As text; those that came more than once in one, with commas (RFC 9110 section 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined
