"""Commit: what came back is stored before anything else happens, whatever the API server is doing meanwhile.

The claim is the fence. A version conflict does not mean that the set is lost: it is read again and compared, by the attempt's
id (RFC 6749 gives a token request no idempotency key, so the attempt is ours to name).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from grantkeeper.adapters.vault import Vault
from grantkeeper.core.records import Sealed
from grantkeeper.core.schedule import back_off
from grantkeeper.errors import ClusterError, Conflict, Unsealable

log = structlog.get_logger()

Change = Callable[[Sealed], Sealed]


async def commit(vault: Vault, claimed: Sealed, change: Change) -> Sealed | None:
    """Write `change` over the claim until it stands; None where the claim was taken, and the change is now somebody else's loss.

    `claimed` is the sealed Secret as our claim left it. Tried as long as the process lives.
    """
    attempt = claimed.claim.attempt if claimed.claim else ""
    standing = claimed
    failures = 0
    while True:
        try:
            return await vault.put(change(standing))
        except Conflict:
            standing = await _read(vault, claimed)
        except ClusterError as error:
            failures += 1
            log.warning("a commit is tried again", grant=f"{claimed.namespace}/{claimed.name}", error=str(error))
            await asyncio.sleep(back_off(failures, claimed.uid).total_seconds())
            standing = await _read(vault, claimed)
        if standing.resource_version is None:
            continue  # somebody deleted it: it is made anew
        if standing.meta is not None and standing.meta.attempt == attempt:
            return standing  # it was in already, only the answer was lost
        if standing.claim is None or standing.claim.attempt != attempt:
            return None


async def set_aside(vault: Vault, claimed: Sealed, text: str) -> str:
    """Keep a set whose claim was taken, as long as the process lives; the name of its Secret."""
    failures = 0
    while True:
        try:
            return await vault.set_aside(claimed, text)
        except ClusterError as error:
            failures += 1
            log.warning("a set is kept aside later", grant=f"{claimed.namespace}/{claimed.name}", error=str(error))
            await asyncio.sleep(back_off(failures, claimed.uid).total_seconds())


async def _read(vault: Vault, claimed: Sealed) -> Sealed:
    failures = 0
    while True:
        try:
            found = await vault.read(claimed.uid)
        except Unsealable:
            return claimed.model_copy(update={"claim": None})  # spoiled by somebody: as good as taken
        except ClusterError:
            failures += 1
            await asyncio.sleep(back_off(failures, claimed.uid).total_seconds())
            continue
        return found if found is not None else claimed.model_copy(update={"resource_version": None})
