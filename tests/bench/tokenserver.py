"""A token endpoint that costs next to nothing, in a process of its own.

`python -m bench.tokenserver <certificate> <key> <port>` stands for every authorization server, so what is measured beside
it is not its own work. The bench asks it for its ledger (`GET /ledger/<since>`), and tells it how long the coming access tokens live
(`PUT /lifetime/<seconds>`).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path

from bench.ledger import Ledger

_END_OF_HEAD = b"\r\n\r\n"


class Conversation(asyncio.Protocol):
    """One connection: one request, one answer, the end."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer as soon as the request is whole."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        if not end or len(body) < _length(head):
            return
        method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        match method, target.strip("/").split("/"):
            case "POST", ["token"]:
                status, members, turn = self._ledger.answer(body.decode("ascii"))
                self._send(status, json.dumps(members).encode())
                if turn is not None:
                    self._ledger.note_sent(turn, time.monotonic())
            case "GET", ["ledger", since]:
                self._send(200, self._ledger.dump(int(since)))
            case "PUT", ["lifetime", lifetime]:
                self._ledger.lifetime = int(lifetime)
                self._send(200, b"{}")
            case _:
                self._send(404, b"{}")

    def _send(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} Bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._transport.write(head.encode("ascii") + body)
        self._transport.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


async def serve(certificate: Path, key: Path, port: int) -> None:
    """Serve on loopback until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ledger = Ledger()
    server = await asyncio.get_running_loop().create_server(lambda: Conversation(ledger), "127.0.0.1", port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
