"""Serve one installation's pages on a loopback port as the process does, logging everything; the port is the first line printed."""

from __future__ import annotations

import asyncio
import logging
import socket

from doors.apiserver import Object
from doors.house import House
from grantkeeper import logs
from grantkeeper.adapters.cluster import Kind
from grantkeeper.consent.process import serve

CANARY = "a-secret-in-the-text-of-a-failure"
_BROKEN = "broken"
"""A namespace in which everything fails."""


async def _fail(_: Kind, namespace: str | None, name: str) -> Object:
    raise RuntimeError(f"{CANARY} {namespace}/{name}")


def main() -> None:
    """Serve until SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        print(port, flush=True)  # noqa: T201  # read by the test
        logs.configure("DEBUG")
        for library in (*logs.QUIET, "uvicorn.access"):
            # Whoever is kept quiet elsewhere may say everything here: what the pages do themselves must be enough.
            logging.getLogger(library).setLevel(logging.DEBUG)
            logging.getLogger(library).disabled = False
        house = House(f"http://127.0.0.1:{port}")
        get = house.server.get

        async def get_or_fail(kind: Kind, namespace: str | None, name: str) -> Object:
            return await (_fail if namespace == _BROKEN else get)(kind, namespace, name)

        house.server.get = get_or_fail  # type: ignore[method-assign]
        asyncio.run(serve(house.app(), listener))


if __name__ == "__main__":
    main()
