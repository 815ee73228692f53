"""The keys that servers sign ID tokens with, in memory: looked up with the connector, and once more when a token names another.

Servers change their keys without notice (OpenID Connect Core section 10.1.1), so an unknown one is a reason to look again; but
not at every token, or whoever can bring tokens could have a server asked without end.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from grantkeeper.adapters.provider import Provider
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.registry import Name
from grantkeeper.core.documents import Unreadable
from grantkeeper.core.signatures import SigningKeys, read_keys
from grantkeeper.errors import AnswerLost, ProviderError

log = structlog.get_logger()

KEPT_FOR = timedelta(minutes=10)
"""Then they are looked up again, so that a key that its server gave up is not believed for long."""
ASKED_FOR_AGAIN_AFTER = timedelta(seconds=10)
ANSWER_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Known:
    place: tuple[str, bytes | None]
    """The address, and the authorities that were trusted for it."""
    keys: SigningKeys
    fetched_at: datetime
    asked_for_at: datetime | None = None
    """When a token last named a key that was not among them."""


@dataclass(slots=True)
class KeySets:
    """The key sets of all connectors."""

    provider: Provider
    clock: Callable[[], datetime]
    meter: Meter
    _known: dict[Name, _Known] = field(default_factory=dict)
    _locks: defaultdict[Name, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def keep(self, name: Name, url: str, ca_bundle: bytes | None) -> None:
        """Look them up in good time; while that fails those that are known stay in use."""
        async with self._locks[name]:
            known = self._find(name, url, ca_bundle)
            if known is not None and self.clock() < known.fetched_at + KEPT_FOR:
                return
            try:
                await self._fetch(name, url, ca_bundle)
            except ProviderError as error:
                log.warning("signing keys cannot be had", namespace=name[0], connector=name[1], error=str(error))

    async def keys(self, name: Name, url: str, ca_bundle: bytes | None) -> SigningKeys:
        """The keys, as they are known or else looked up; ProviderError where they cannot be had."""
        async with self._locks[name]:
            known = self._find(name, url, ca_bundle)
            return known.keys if known is not None else await self._fetch(name, url, ca_bundle)

    async def renew(self, name: Name, url: str, ca_bundle: bytes | None, *, stale: SigningKeys) -> SigningKeys:
        """The keys once more, because `stale` was of no use; the same ones where that was asked for a moment ago."""
        async with self._locks[name]:
            known = self._find(name, url, ca_bundle)
            if known is not None and known.keys != stale:
                return known.keys  # somebody else has just looked
            asked_at, now = known.asked_for_at if known else None, self.clock()
            if asked_at is not None and now < asked_at + ASKED_FOR_AGAIN_AFTER:
                return stale
            if known is not None:
                self._known[name] = replace(known, asked_for_at=now)
            return await self._fetch(name, url, ca_bundle)

    def forget(self, name: Name) -> None:
        """The connector is gone."""
        self._known.pop(name, None)

    def _find(self, name: Name, url: str, ca_bundle: bytes | None) -> _Known | None:
        known = self._known.get(name)
        return known if known is not None and known.place == (url, ca_bundle) else None

    async def _fetch(self, name: Name, url: str, ca_bundle: bytes | None) -> SigningKeys:
        answer = await self.meter.follow(name, "jwks", self.provider.fetch(url, ca_bundle=ca_bundle, timeout=ANSWER_WITHIN))
        try:
            keys = read_keys(answer.body)
        except Unreadable:
            raise AnswerLost("the server answered with no set of keys") from None
        before = self._find(name, url, ca_bundle)
        self._known[name] = _Known((url, ca_bundle), keys, self.clock(), before.asked_for_at if before else None)
        return keys
