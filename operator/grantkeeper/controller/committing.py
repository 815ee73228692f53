"""Commit: what came back is stored before anything else happens, whatever the API server is doing meanwhile.

First on the disk, then in the cluster. A version conflict does not mean that a gain is lost: the Secret is read again and compared
(RFC 6749 gives a token request no idempotency key, so the attempt is ours to name).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from grantkeeper.adapters.journal import Journal
from grantkeeper.adapters.vault import Vault
from grantkeeper.core.gains import Gain, digest
from grantkeeper.core.records import Sealed
from grantkeeper.core.schedule import back_off
from grantkeeper.errors import ClusterError, Conflict, Unsealable
from grantkeeper.failpoints import reach

log = structlog.get_logger()

Change = Callable[[Sealed], Sealed]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Committer:
    """Stores gains and outcomes. What is tried is tried as long as the process lives."""

    vault: Vault
    journal: Journal

    async def keep(self, claimed: Sealed, gain: Gain) -> bool:
        """Store a gain; False where another successor of the same set is stored already. `claimed` is the Secret as the attempt left it."""
        await self.journal.write(gain)
        reach("commit.journaled")
        kept = await self._keep(claimed, gain)
        reach("commit.stored")
        if kept:
            await self.journal.forget(gain.attempt)
            reach("commit.forgotten")
        return kept

    async def keep_aside(self, claimed: Sealed, gain: Gain) -> str:
        """Keep a gain beside the one that is stored; the name of its Secret."""
        name = await _persist(gain, lambda: self.vault.set_aside(claimed, gain.tokenset))
        log.error("a set came second and is kept aside", grant=f"{gain.namespace}/{gain.name}", secret=name)
        await self.journal.forget(gain.attempt)
        return name

    async def drop(self, gain: Gain) -> None:
        """Forget a gain that was not stored and is wanted no more: the next life must not store it either."""
        await self.journal.forget(gain.attempt)

    async def note(self, claimed: Sealed, change: Change) -> Sealed | None:
        """Store how an attempt ended that gained nothing; None where the Secret has moved on, and it is of no interest any more."""
        standing, failures = claimed, 0
        while True:
            try:
                return await self.vault.put(change(standing))
            except Conflict:
                pass
            except ClusterError as error:
                failures += 1
                log.warning("an outcome is stored later", grant=f"{claimed.namespace}/{claimed.name}", error=str(error))
                await asyncio.sleep(back_off(failures, claimed.uid).total_seconds())
            standing = await self._read(claimed)
            if standing.claim != claimed.claim or digest(standing.tokenset) != digest(claimed.tokenset):
                return None

    async def replay(self) -> None:
        """Store what an earlier life of this Pod had gained and could not store. Before anything else is done."""
        for gain in list(self.journal.read()):
            place = Sealed(uid=gain.uid, namespace=gain.namespace, name=gain.name)
            if await self._keep(await self._read(place), gain):
                log.warning("what an earlier life had gained is stored now", grant=f"{gain.namespace}/{gain.name}")
                await self.journal.forget(gain.attempt)
            else:
                await self.keep_aside(place, gain)

    async def _keep(self, standing: Sealed, gain: Gain) -> bool:
        failures = 0
        while not gain.is_in(standing):
            if not (standing.resource_version is None or gain.fits(standing)):
                return False
            try:
                await self.vault.put(gain.put_into(standing))
            except ClusterError as error:
                if not isinstance(error, Conflict):
                    failures += 1
                    log.warning("a commit is tried again", grant=f"{gain.namespace}/{gain.name}", error=str(error))
                    await asyncio.sleep(back_off(failures, gain.uid).total_seconds())
                standing = await self._read(standing)
            else:
                return True
        return True

    async def _read(self, claimed: Sealed) -> Sealed:
        try:
            found = await _persist(claimed, lambda: self.vault.read(claimed.uid))
        except Unsealable:
            return claimed.model_copy(update={"resource_version": "spoiled", "claim": None, "tokenset": "spoiled", "meta": None})
        return found if found is not None else claimed.model_copy(update={"resource_version": None})  # it is made anew


async def _persist(of: Sealed | Gain, call: Callable[[], Awaitable[T]]) -> T:
    failures = 0
    while True:
        try:
            return await call()
        except ClusterError as error:
            failures += 1
            log.warning("the cluster is asked again", grant=f"{of.namespace}/{of.name}", error=str(error))
            await asyncio.sleep(back_off(failures, of.uid).total_seconds())
