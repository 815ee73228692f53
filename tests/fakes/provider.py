"""An authorization server that only remembers what was sent to it, for stories."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from grantkeeper.adapters.provider import CONNECT_BY, Provider
from grantkeeper.core.messages import Answer, Request
from grantkeeper.errors import ProviderUnsent

ISSUER = "https://login.example.com"
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "authorization_response_iss_parameter_supported": True,
}
TOKENS = {"access_token": "an-access-token", "refresh_token": "a-refresh-token", "token_type": "Bearer", "expires_in": 3600}


class MemoryProvider(Provider):
    """Answers token requests with what is in `next`, then always with `answer`, and keeps the forms that it was sent.

    It is an OpenID provider where its metadata says so.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.revoked: list[str] = []
        self.answer: dict[str, Any] = TOKENS
        self.next: list[Answer | Exception] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What happens while a token request is on its way."""
        self.metadata: dict[str, dict[str, Any]] = {ISSUER: METADATA}
        """By issuer; every other address shows a page for people."""
        self.keys: list[dict[str, Any]] = []
        self.userinfo: dict[str, Any] | None = None
        self.asked: list[str] = []
        """The addresses of the other requests: what was fetched, where userinfo was asked, what was revoked."""

    async def send(
        self,
        request: Request,
        *,
        ca_bundle: bytes | None,  # noqa: ARG002  # nobody needs to be trusted here
        timeout: timedelta,  # noqa: ARG002, ASYNC109  # the answer is there at once
        connect_by: timedelta = CONNECT_BY,  # noqa: ARG002
        sent: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Take a request."""
        if request.url not in {document["token_endpoint"] for document in self.metadata.values()}:
            return self._answer_otherwise(request)
        if self.meanwhile is not None:
            await self.meanwhile()
        result = self.next.pop(0) if self.next else answer(self.answer)
        if not isinstance(result, ProviderUnsent):
            self.sent.append(request.form.get_secret_value())
            sent()
        if isinstance(result, Exception):
            raise result
        return result

    def _answer_otherwise(self, request: Request) -> Answer:
        """Revocation, or userinfo."""
        self.asked.append(request.url)
        if request.method == "GET":
            return answer(self.userinfo) if self.userinfo is not None else answer({}, status=403)
        self.revoked.append(request.form.get_secret_value())
        return answer({})

    async def fetch(self, url: str, *, ca_bundle: bytes | None, timeout: timedelta) -> Answer:  # noqa: ARG002, ASYNC109
        """The keys at their address, and the metadata of the server that any other address belongs to."""
        self.asked.append(url)
        for issuer, document in self.metadata.items():
            if url == document.get("jwks_uri"):
                return answer({"keys": self.keys})
            if url.startswith(f"{issuer}/"):
                return answer(document)
        return Answer(status=200, content_type="text/html", retry_after=None, body=b"<html>", date=None)

    async def aclose(self) -> None:
        """There are no connections."""


def answer(document: dict[str, Any], status: int = 200) -> Answer:
    """An answer as JSON."""
    return Answer(status=status, content_type="application/json", retry_after=None, body=json.dumps(document).encode(), date=None)
