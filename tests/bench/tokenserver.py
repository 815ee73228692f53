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
from parts.conversation import Conversation


class Answering(Conversation):
    """One connection."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def hear(self, method: str, path: list[str], headers: dict[str, str], body: str) -> None:  # noqa: ARG002  # all are the same client
        """Answer a token request, or the bench."""
        match method, path:
            case "POST", ["token"]:
                status, members, turn = self._ledger.answer(body)
                self.send(status, json.dumps(members).encode())
                if turn is not None:
                    self._ledger.note_sent(turn, time.monotonic())
            case "GET", ["ledger", since]:
                self.send(200, self._ledger.dump(int(since)))
            case "PUT", ["lifetime", lifetime]:
                self._ledger.lifetime = int(lifetime)
                self.send(200, b"{}")
            case _:
                self.send(404, b"{}")


async def serve(certificate: Path, key: Path, port: int) -> None:
    """Serve on loopback until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ledger = Ledger()
    server = await asyncio.get_running_loop().create_server(lambda: Answering(ledger), "127.0.0.1", port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
