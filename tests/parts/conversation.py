"""Requests and answers in turn: the least of HTTP/1.1 that a scripted server of ours needs, so that it costs next to nothing."""

from __future__ import annotations

import asyncio

_END_OF_HEAD = b"\r\n\r\n"


class Conversation(asyncio.Protocol):
    """One connection. Whoever derives from it answers in `hear`, by `send` or in a way of its own."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = b""
        self._is_heard = False
        """Whether a request waits for its answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Hear the request as soon as it is whole."""
        self._received += data
        if not self._is_heard:
            self._hear_next()

    def _hear_next(self) -> None:
        head, end, rest = self._received.partition(_END_OF_HEAD)
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._is_heard, self._received = True, rest[length:]
        method, target, _ = first.split(" ")
        self.hear(method, target.strip("/").split("/"), headers, rest[:length].decode())

    def hear(self, method: str, path: list[str], headers: dict[str, str], body: str) -> None:
        """Answer a request; the names of headers are in lower case."""
        raise NotImplementedError

    def send(self, status: int, body: bytes, *, is_last: bool = False) -> None:
        """Answer with JSON, and end the connection where this answer is the last; else hear what comes next."""
        self.transport.write(write(status, body, is_last=is_last))
        if is_last:
            self.transport.close()
        else:
            self.go_on()

    def go_on(self) -> None:
        """Hear the next request, when the answer to the one before has been written."""
        self._is_heard = False
        self._hear_next()


def write(status: int, body: bytes, *, is_last: bool) -> bytes:
    """An answer in JSON, after which the connection ends if it is the last."""
    connection = "Connection: close\r\n" if is_last else ""
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{connection}\r\n"
    return head.encode("ascii") + body
