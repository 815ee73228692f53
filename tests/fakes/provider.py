"""An authorization server that only remembers what was sent to it, for stories."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from grantkeeper.adapters.provider import CONNECT_BY, Provider
from grantkeeper.core.messages import Answer, Request

ISSUER = "https://login.example.com"
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "authorization_response_iss_parameter_supported": True,
}
TOKENS = {"access_token": "an-access-token", "refresh_token": "a-refresh-token", "token_type": "Bearer", "expires_in": 3600}


class MemoryProvider(Provider):
    """Answers every token request with `answer`, and keeps the forms that it was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answer: dict[str, Any] = TOKENS

    async def send(
        self,
        request: Request,
        *,
        ca_bundle: bytes | None,  # noqa: ARG002  # nobody needs to be trusted here
        timeout: timedelta,  # noqa: ARG002, ASYNC109  # the answer is there at once
        connect_by: timedelta = CONNECT_BY,  # noqa: ARG002
    ) -> Answer:
        """Take a request."""
        self.sent.append(request.form.get_secret_value())
        return _answer(self.answer)

    async def fetch(self, url: str, *, ca_bundle: bytes | None, timeout: timedelta) -> Answer:  # noqa: ARG002, ASYNC109
        """The server's metadata, at every address."""
        return _answer(METADATA)

    async def aclose(self) -> None:
        """There are no connections."""


def _answer(document: dict[str, Any]) -> Answer:
    return Answer(status=200, content_type="application/json", retry_after=None, body=json.dumps(document).encode(), date=None)
