"""What consumers could have seen, and when: a watch on every delivered Secret."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from bench.tokens import Turn, read_access_token
from grantkeeper.adapters.login import Credentials
from grantkeeper.core.records import KIND_LABEL


@dataclass(slots=True)
class Sights:
    """Moments of the monotonic clock."""

    seen: dict[Turn, float] = field(default_factory=dict)
    """When a set was first seen in its delivered Secret."""
    changed: dict[str, float] = field(default_factory=dict)
    """When the Secret of this name last appeared or changed."""

    def note(self, event: dict[str, Any], now: float) -> None:
        """Take in one event of the watch."""
        if event["type"] not in {"ADDED", "MODIFIED"}:
            return
        secret = event["object"]
        self.changed[secret["metadata"]["name"]] = now
        with suppress(KeyError, ValueError):
            self.seen.setdefault(read_access_token(base64.b64decode(secret["data"]["access_token"]).decode()), now)


@asynccontextmanager
async def looking(credentials: Credentials) -> AsyncIterator[Sights]:
    """Watch for as long as the block lasts."""
    sights = Sights()
    task = asyncio.create_task(_watch(credentials, sights))
    try:
        yield sights
    finally:
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(credentials: Credentials, sights: Sights) -> None:
    assert credentials.token is not None
    headers = {"Authorization": f"Bearer {credentials.token.get_secret_value()}"}
    query = {"watch": "true", "labelSelector": f"{KIND_LABEL}=delivered", "timeoutSeconds": "7200"}
    forever = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=credentials.trust()), timeout=forever) as session:
        while True:  # the API server ends a watch whose reader is busy with something else for too long
            async with session.get(f"{credentials.server}/api/v1/secrets", params=query, headers=headers) as response:
                response.raise_for_status()
                async for line in response.content:
                    sights.note(orjson.loads(line), time.monotonic())
