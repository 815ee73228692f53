"""The outermost layer: strict headers on every response, no second spelling of any address, and a page for every failure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)


def strict_headers(policy: str, *, secure: bool) -> dict[str, str]:
    """Headers of every response: nothing is kept, framed, guessed at or told to others (RFC 9700 sections 4.2, 4.3, 4.16)."""
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


class Guard:
    """Wraps the pages. A failure that the pages did not answer ends here, and its text stays here: it could hold a secret."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], unknown: Callable[[], Response]) -> None:
        self._app = app
        self._headers = headers
        self._unknown = unknown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        has_begun = False

        async def send_strictly(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        try:
            # Nothing that we link to needs an escape, and a server in between may read %2f in another way.
            app = self._unknown() if b"%" in scope["raw_path"] else self._app
            await app(scope, receive, send_strictly)
        except Exception as failure:  # noqa: BLE001  # Starlette raises again what it has answered, for the server to print
            frames = traceback.extract_tb(failure.__traceback__)
            at = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "grantkeeper" in frame.filename]
            _log.error("A page failed", failure=type(failure).__name__, at=at)
            if not has_begun:
                await Response(status_code=500)(scope, receive, send_strictly)
