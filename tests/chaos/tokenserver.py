"""A scripted authorization server in a process of its own: https, cheap, and with a ledger of all that was presented to it.

`python -m chaos.tokenserver <certificate> <key> <port>`. It takes any number of clients at once; each consent says when it is made
how it is to be treated (`POST /control/codes`), so that one server plays all of them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from chaos.families import Book, Family, Manner, Reply

_END_OF_HEAD = b"\r\n\r\n"


class Conversation(asyncio.Protocol):
    """One connection: one request, one answer, the end."""

    def __init__(self, book: Book) -> None:
        self._book = book
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
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) < int(headers.get("content-length", "0")):
            return
        method, target, _ = first.split(" ")
        reply = self._answer(method, target.strip("/").split("/"), headers, body.decode())
        if reply.is_cut:
            self._transport.abort()
        else:
            self._send(reply)

    def _answer(self, method: str, path: list[str], headers: dict[str, str], body: str) -> Reply:
        now = time.time()
        match method, path:
            case "POST", ["token"]:
                return self._book.present(_form(body), now)
            case "POST", ["revoke"]:
                self._book.revoke(_form(body).get("token", ""))
                return Reply(200, {})
            case "POST", ["introspect"]:
                return Reply(200, {"active": self._book.is_active(_form(body).get("token", ""), now)})
            case "GET", ["userinfo"]:
                account = self._book.account_of(headers.get("authorization", "").removeprefix("Bearer "), now)
                return Reply(200, {"sub": account}) if account else Reply(401, {"error": "invalid_token"})
            case "POST", ["control", "codes"]:
                return Reply(200, {"code": self._book.issue_code(_family(json.loads(body)))})
            case "GET", ["control", "ledger", since]:
                return Reply(200, {"entries": self._book.entries[int(since) :]})
            case "GET", ["control", "accounts", account]:
                entries = [entry for entry in self._book.entries if entry.account == unquote(account)]
                return Reply(200, {"entries": entries, "ended": self._book.is_ended(unquote(account))})
        return Reply(404, {})

    def _send(self, reply: Reply) -> None:
        body = json.dumps(reply.members).encode()
        lines = (f"HTTP/1.1 {reply.status} Scripted", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
        self._transport.write("\r\n".join(lines).encode("ascii") + _END_OF_HEAD + body)
        self._transport.close()


def _form(body: str) -> dict[str, str]:
    return dict(parse_qsl(body))


def _family(said: dict[str, Any]) -> Family:
    return Family(**{**said, "manner": Manner(said["manner"])})


async def serve(certificate: Path, key: Path, port: int) -> None:
    """Serve on loopback until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    book = Book()
    server = await asyncio.get_running_loop().create_server(lambda: Conversation(book), "127.0.0.1", port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
