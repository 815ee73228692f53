"""One request, one answer: the least of HTTP/1.1 that a scripted server of ours needs, so that it costs next to nothing."""

from __future__ import annotations

import asyncio

_END_OF_HEAD = b"\r\n\r\n"


class Conversation(asyncio.Protocol):
    """One connection. Whoever derives from it answers in `hear`, once, by `send` or in a way of its own."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = b""
        self._is_heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Hear the request as soon as it is whole."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        if not end or self._is_heard:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) < int(headers.get("content-length", "0")):
            return
        self._is_heard = True
        method, target, _ = first.split(" ")
        self.hear(method, target.strip("/").split("/"), headers, body.decode())

    def hear(self, method: str, path: list[str], headers: dict[str, str], body: str) -> None:
        """Answer a request; the names of headers are in lower case."""
        raise NotImplementedError

    def send(self, status: int, body: bytes) -> None:
        """Answer with JSON, and end the connection."""
        self.transport.write(write(status, body))
        self.transport.close()


def write(status: int, body: bytes) -> bytes:
    """An answer in JSON after which the connection ends."""
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii") + body
