"""Revoke tokens at their server (RFC 7009): the one thing that really ends a grant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import structlog

from grantkeeper.adapters.provider import Provider
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.registry import Name
from grantkeeper.core.answers import read_revocation_answer
from grantkeeper.core.messages import Request
from grantkeeper.core.oauth import Client, revocation_request
from grantkeeper.core.outcomes import Rejected, RevocationOutcome, Revoked
from grantkeeper.core.tokens import TokenSet
from grantkeeper.errors import ProviderError

log = structlog.get_logger()

REVOKE_WITHIN = timedelta(seconds=30)
ANSWER_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Revoker:
    """Revokes the refresh token, and then the access token."""

    provider: Provider
    clock: Callable[[], datetime]
    meter: Meter

    async def revoke(self, tokens: TokenSet, client: Client, ca_bundle: bytes | None, *, connector: Name) -> bool:
        """Whether the server took it, within 30 s in all; a server without a revocation endpoint takes nothing."""
        if client.endpoints.revocation is None:
            return False
        try:
            async with asyncio.timeout(REVOKE_WITHIN.total_seconds()):
                return await self._revoke(tokens, client, ca_bundle, connector)
        except TimeoutError:
            return False

    async def _revoke(self, tokens: TokenSet, client: Client, ca_bundle: bytes | None, connector: Name) -> bool:
        taken = True
        hints: tuple[Literal["refresh_token", "access_token"], ...] = ("refresh_token", "access_token")
        for hint in hints:
            token = tokens.refresh_token if hint == "refresh_token" else tokens.access_token
            if token is None:
                continue
            request = revocation_request(client, token=token, hint=hint)
            try:
                outcome = await self._present(request, ca_bundle, connector)
                if request.alternative is not None and isinstance(outcome, Rejected) and outcome.is_of_client:
                    outcome = await self._present(request.alternative, ca_bundle, connector)
            except ProviderError as error:
                log.warning("a token could not be revoked", kind=hint, error=str(error))
                taken = False
                continue
            taken = taken and isinstance(outcome, Revoked)
        return taken

    async def _present(self, request: Request, ca_bundle: bytes | None, connector: Name) -> RevocationOutcome:
        sending = self.provider.send(request, ca_bundle=ca_bundle, timeout=ANSWER_WITHIN)
        answer = await self.meter.follow(connector, "revocation", sending)
        return read_revocation_answer(answer, now=self.clock())
