"""One connection to an authorization server: TLS, and HTTP/1.1 over it, one request and its answer at a time.

Whether a byte of a request has left must never be guessed, so what writes is here and in nobody's pool: h11 makes the bytes and reads
them, and knows no sockets. Before `send` nothing has left.
"""

from __future__ import annotations

import asyncio
import re
import select
import ssl
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field

import h11

_LONGEST_HEAD = 100 * 1024
_READ_AT_ONCE = 64 * 1024
_SOON = 2
"""Seconds: a server that announces to keep a connection for no longer than this may be closing it when the next request is made."""


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

    @property
    def is_over(self) -> bool:
        """Whether its answer was read to the end, nothing came behind it, and neither side says that it was the last (RFC 9112, 9.3)."""
        is_done = self._dialogue.our_state is h11.DONE and self._dialogue.their_state is h11.DONE
        return is_done and self._dialogue.trailing_data == (b"", False)


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer; the names of headers in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def may_be_followed(self) -> bool:
        """Whether the server may be trusted with another request over the same connection.

        Who answers with an error may have left the rest of the request unread, and would take it for the beginning of the next; an answer
        with two lengths may be misread (RFC 9112 section 6.3); and some announce to close the connection soon (RFC 2068 section 19.7.1.1).
        """
        has_two_lengths = {"transfer-encoding", "content-length"} <= self.headers.keys()
        announced = re.search(r'\btimeout\s*=\s*"?(\d{1,9})\b', self.headers.get("keep-alive", ""), re.IGNORECASE)
        ends_soon = announced is not None and int(announced[1]) <= _SOON
        return 200 <= self.status < 300 and not has_two_lengths and not ends_soon  # noqa: PLR2004


class Incoming(asyncio.StreamReader):
    """What comes over one connection. It counts: what nobody asked for is not to be taken for an answer."""

    fed: int = 0

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # typeshed says Iterable[SupportsIndex]; transports give bytes
        """Count it."""
        self.fed += len(data)
        super().feed_data(data)


@dataclass(slots=True)
class Connection:
    """A connection whose handshake is done. Whoever has it is the only one who does."""

    reader: Incoming
    writer: asyncio.StreamWriter
    opened_at: float
    """By the monotonic clock, in seconds."""
    idle_since: float | None = None
    """When the last answer had been read to its end, if the server lets another request follow; by the same clock."""
    _read: int = 0
    _may_be_followed: bool = False

    @classmethod
    async def open(cls, address: str, port: int, host: str, context: ssl.SSLContext) -> Connection:
        """Connect to this very address, and let it prove that it is the host. OSError, which ssl.SSLError is, where that fails."""
        loop = asyncio.get_running_loop()
        reader = Incoming(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, address, port, ssl=context, server_hostname=host)
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop), opened_at=time.monotonic())

    @property
    def is_clean(self) -> bool:
        """Whether it lives, as far as this loop knows, and nothing has come over it that was not read as part of an answer."""
        return not self.writer.is_closing() and self.reader.fed == self._read

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits at the kernel either, neither bytes nor the end: the loop may have been busy, or stopped, when it came."""
        waiting = select.poll()
        waiting.register(self.writer.get_extra_info("socket"), select.POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        """End it at once: nothing more is to be said, and a farewell would be waited for."""
        self.writer.transport.abort()

    async def send(self, message: Message) -> None:
        """Hand all of it to the kernel; from here on something may have left."""
        self.idle_since = None
        self.writer.write(message.wire)
        await self.writer.drain()
        await asyncio.sleep(0)  # uvloop writes at the end of a round

    async def read_head(self, message: Message) -> Head:
        """Await the beginning of the answer; Unspeakable or OSError where none comes."""
        while True:
            event = await self._next_event(message)
            if isinstance(event, h11.Response):
                head = Head(event.status_code, _join(event.headers))
                self._may_be_followed = head.may_be_followed
                return head
            if not isinstance(event, h11.InformationalResponse):
                raise Unspeakable

    async def read_body(self, message: Message) -> AsyncGenerator[bytes, None]:
        """The rest of it, part by part as it comes."""
        while not isinstance(event := await self._next_event(message), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Unspeakable
            yield bytes(event.data)
        if self._may_be_followed and message.is_over:
            self.idle_since = time.monotonic()

    async def _next_event(self, message: Message) -> h11.Event | type[h11.PAUSED]:
        dialogue = message._dialogue  # noqa: SLF001  # a message and its answer are one dialogue
        try:
            while (event := dialogue.next_event()) is h11.NEED_DATA:
                received = await self.reader.read(_READ_AT_ONCE)
                self._read += len(received)
                dialogue.receive_data(received)
        except h11.RemoteProtocolError:
            raise Unspeakable from None
        return event  # type: ignore[return-value]  # NEED_DATA it is not


def _join(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """As text; those that came more than once in one, with commas (RFC 9110 section 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined
