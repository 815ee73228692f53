"""Commit: what came back is stored before anything else happens, whatever the API server is doing meanwhile.

First on the disk, then in the cluster. A version conflict does not mean that a gain is lost: the Secret is read again and compared
(RFC 6749 gives a token request no idempotency key, so the attempt is ours to name).

What comes for a grant that somebody has released meanwhile is never stored under its name, where nobody would revoke it: it is kept
aside with a mark, and whoever leads revokes it.

An API server that is away is waited for. One that refuses is not, where the disk has it: it is left there, nothing else is done for
its grant, and it is tried again and again without holding up anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeVar

import structlog

from grantkeeper.adapters.cluster import USERGRANTS
from grantkeeper.adapters.journal import Journal
from grantkeeper.adapters.vault import Vault
from grantkeeper.core.gains import Gain, digest
from grantkeeper.core.records import Sealed
from grantkeeper.core.schedule import back_off
from grantkeeper.errors import ClusterError, Conflict, NotFound, Unreachable, Unsealable, Unstored
from grantkeeper.failpoints import reach

log = structlog.get_logger()

Change = Callable[[Sealed], Sealed]
T = TypeVar("T")

REFUSED_OFTEN = 3
"""After so many failures, the last of which is a refusal, what is in the journal is left there for later; what was left, after one."""


class _Fate(Enum):
    STORED = auto()
    SECOND = auto()  # another successor of the same set stands there
    LATE = auto()  # the grant was released meanwhile


@dataclass(frozen=True, slots=True)
class Committer:
    """Stores gains and outcomes. What no disk has is tried as long as the process lives."""

    vault: Vault
    journal: Journal
    left: dict[str, Gain] = field(default_factory=dict)
    """What could not be stored, by its attempt: it comes before anything else for its grant, since a token in it may be spent by now."""

    async def keep(self, claimed: Sealed, gain: Gain) -> bool:
        """Store a gain; False where another successor of the same set is stored already. `claimed` is the Secret as the attempt left it.

        NotFound where its grant was released meanwhile; it is seen to then that the tokens are revoked.
        """
        await self.journal.write(gain)
        with self._later_otherwise(gain):
            reach("commit.journaled")
            fate = await self._keep(claimed, gain)
            reach("commit.stored")
            if fate is _Fate.LATE:
                await self._hand_over(gain)
            if fate is _Fate.STORED:
                self.left.pop(gain.attempt, None)
                self.journal.forget_soon(gain.attempt)
                reach("commit.forgotten")
        if fate is _Fate.LATE:
            raise NotFound("the grant was released while this was on its way")
        return fate is _Fate.STORED

    async def keep_aside(self, claimed: Sealed, gain: Gain) -> str:
        """Keep a gain beside the one that is stored; the name of its Secret."""
        with self._later_otherwise(gain):
            name = await self._persist(gain, lambda: self.vault.set_aside(claimed, gain.tokenset))
        log.error("a set came second and is kept aside", grant=f"{gain.namespace}/{gain.name}", secret=name)
        await self.forget(gain)
        return name

    async def forget(self, gain: Gain) -> None:
        """A gain is stored by now, or is wanted no more: neither this life nor the next shall store it."""
        self.left.pop(gain.attempt, None)
        await self.journal.forget(gain.attempt)

    async def note(self, claimed: Sealed, change: Change) -> Sealed | None:
        """Store how an attempt ended that gained nothing; None where the Secret has moved on, and it is of no interest any more."""
        standing, failures = claimed, 0
        while True:
            try:
                return await self.vault.put(change(standing))
            except Conflict:
                pass
            except Exception as error:  # noqa: BLE001  # a claim that stays would count as a lost answer
                failures += 1
                await self._wait("an outcome is stored later", claimed, error, failures)
            standing = await self._read(claimed, claimed)
            if (
                standing.resource_version is None
                or standing.claim != claimed.claim
                or digest(standing.tokenset) != digest(claimed.tokenset)
            ):
                return None

    async def replay(self) -> None:
        """Store what an earlier life of this Pod had gained and could not store. Before anything else is done."""
        for gain in sorted(self.journal.read(), key=lambda gain: gain.meta.generation):  # of one grant's, the newest last
            try:
                await self._replay(gain)
            except Unstored as error:
                log.error("an entry of the journal is left for later", grant=f"{gain.namespace}/{gain.name}", error=str(error))  # noqa: TRY400

    def left_of(self, uid: str) -> list[Gain]:
        """What of a grant could not be stored yet."""
        return [gain for gain in self.left.values() if gain.uid == uid]

    async def store_left(self, uid: str) -> None:
        """Try again to store what was left of a grant; Unstored where it is refused as before."""
        for gain in self.left_of(uid):
            await self._replay(gain)

    async def _replay(self, gain: Gain) -> None:
        self.left[gain.attempt] = gain
        place = Sealed(uid=gain.uid, namespace=gain.namespace, name=gain.name)
        match await self._keep(await self._read(place, gain), gain):
            case _Fate.STORED:
                log.warning("what was gained earlier is stored now", grant=f"{gain.namespace}/{gain.name}")
                await self.forget(gain)
            case _Fate.SECOND:
                await self.keep_aside(place, gain)
            case _Fate.LATE:
                await self._hand_over(gain)

    async def _hand_over(self, gain: Gain) -> None:
        """See that a set which came too late is revoked, whoever leads by now."""
        line, place = log.bind(grant=f"{gain.namespace}/{gain.name}"), Sealed(uid=gain.uid, namespace=gain.namespace, name=gain.name)
        if gain.retains:
            line.warning("tokens came for a grant that has been released; they were not revoked: spec.revocationPolicy was Retain")
        else:
            name = await self._persist(gain, lambda: self.vault.set_aside(place, gain.tokenset, is_released=True))
            line.warning("tokens came for a grant that has been released; they are kept until they are revoked", secret=name)
        await self.forget(gain)

    async def _is_released(self, gain: Gain) -> bool:
        """Whether the grant is gone, or going: who lets go of a grant deletes its sealed Secret first."""

        async def look() -> bool:
            try:
                metadata = (await self.vault.cluster.get(USERGRANTS, gain.namespace, gain.name))["metadata"]
            except NotFound:
                return True
            return metadata["uid"] != gain.uid or metadata.get("deletionTimestamp") is not None

        return await self._persist(gain, look)

    def _may_wait(self, gain: Gain, failures: int) -> bool:
        return self.journal.holds(gain) and (failures >= REFUSED_OFTEN or gain.attempt in self.left)

    @contextmanager
    def _later_otherwise(self, gain: Gain) -> Iterator[None]:
        """Whatever is in the way, a gain is not dropped."""
        try:
            yield
        except BaseException:
            self.left[gain.attempt] = gain
            raise

    async def _keep(self, standing: Sealed, gain: Gain) -> _Fate:
        failures = 0
        while not gain.is_in(standing):
            if standing.resource_version is None and await self._is_released(gain):
                return _Fate.LATE
            if not (standing.resource_version is None or gain.fits(standing)):
                return _Fate.SECOND
            try:
                await self.vault.put(gain.put_into(standing))
            except Conflict:
                pass
            except Exception as error:  # noqa: BLE001  # none is worth a token
                failures += 1
                await self._wait("a commit is tried again", gain, error, failures)
            else:
                return _Fate.STORED
            standing = await self._read(standing, gain)
        return _Fate.STORED

    async def _read(self, claimed: Sealed, of: Sealed | Gain) -> Sealed:
        try:
            found = await self._persist(of, lambda: self.vault.read(claimed.uid))
        except Unsealable:
            return claimed.model_copy(update={"resource_version": "spoiled", "claim": None, "tokenset": "spoiled", "meta": None})
        return found if found is not None else claimed.model_copy(update={"resource_version": None})  # it is made anew

    async def _persist(self, of: Sealed | Gain, call: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await call()
            except Unsealable:
                raise
            except Exception as error:  # noqa: BLE001
                failures += 1
                await self._wait("the cluster is asked again", of, error, failures)

    async def _wait(self, said: str, of: Sealed | Gain, error: Exception, failures: int) -> None:
        """Wait before the next try; Unstored where there is to be none, because it is refused and the disk has it."""
        why = str(error) if isinstance(error, ClusterError) else type(error).__name__  # another's text could hold anything
        if isinstance(of, Gain) and self._may_wait(of, failures) and not isinstance(error, Unreachable):
            raise Unstored(f"what was gained waits in the journal: {why}") from None
        log.warning(said, grant=f"{of.namespace}/{of.name}", error=why)
        await asyncio.sleep(back_off(failures, of.uid).total_seconds())
