"""The operator namespace: sealed Secrets at an expected version, answers, and sets that lost a race.

Every write here is fenced by the resourceVersion it was decided on. Whatever is written is noted at once, so the next decision
sees it before the watch does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from grantkeeper.adapters.cluster import SECRETS, Cluster
from grantkeeper.core.records import Recovered, Sealed, read_sealed, sealed_name, write_recovered, write_sealed
from grantkeeper.core.versions import went_back
from grantkeeper.errors import Conflict, NotFound, Unsealable


class Note(Protocol):
    """Takes in an object as it was just written or read; of a sealed Secret also what was read in it."""

    def __call__(self, body: dict[str, Any], /, *, sealed: Sealed | None = None) -> object:
        """Called once for each, in the order in which they were written or read."""


@dataclass(frozen=True, slots=True)
class Vault:
    """Sealed Secrets and answers of one operator namespace. `note` takes in every object that was written or read."""

    cluster: Cluster
    namespace: str
    note: Note
    note_gone: Callable[[dict[str, Any]], object]
    restored: Callable[[], None] = lambda: None
    """Called when a Secret turns out to be older than it was known to be."""

    async def read(self, uid: str, *, known: Sealed | None = None) -> Sealed | None:
        """The sealed Secret of a grant, by a quorum read; None where there is none, Unsealable where it cannot be read.

        `known` is what was known of it before.
        """
        try:
            secret = await self.cluster.get(SECRETS, self.namespace, sealed_name(uid))
        except NotFound:
            return None
        if known is not None and went_back(known.resource_version, secret["metadata"]["resourceVersion"]):
            self.restored()
        try:
            return self._take_in(secret)
        except (ValueError, KeyError):
            raise Unsealable("record") from None

    async def confirms(self, uid: str, known: Sealed | None) -> bool:
        """Whether nobody knows better than this what a grant's sealed Secret holds, by a quorum read; it is noted as it was read."""
        try:
            found = await self.read(uid, known=known)
        except Unsealable:
            return True
        return found is None or (known is not None and found.resource_version == known.resource_version)

    async def put(self, sealed: Sealed) -> Sealed:
        """Create it, or replace the version it was read at; Conflict where somebody wrote first."""
        body = write_sealed(sealed, self.namespace)
        if sealed.resource_version is None:
            secret = await self.cluster.create(SECRETS, self.namespace, body)
        else:
            try:
                secret = await self.cluster.replace(SECRETS, body)
            except NotFound as error:
                raise Conflict("the sealed Secret is gone") from error
        return self._take_in(secret)

    def _take_in(self, secret: dict[str, Any]) -> Sealed:
        """What a sealed Secret holds, read once; ValueError or KeyError where it cannot be read, and that is noted, too."""
        try:
            sealed = read_sealed(secret)
        except (ValueError, KeyError):
            self.note(secret)
            raise
        self.note(secret, sealed=sealed)
        return sealed

    async def remove(self, sealed: Sealed) -> None:
        """Delete exactly this version of a sealed Secret."""
        with suppress(NotFound):
            await self.cluster.delete(SECRETS, self.namespace, sealed.secret_name, resource_version=sealed.resource_version)
        self.note_gone(write_sealed(sealed, self.namespace))

    async def remove_answer(self, name: str, uid: str) -> None:
        """Delete an answer that has been dealt with."""
        with suppress(NotFound, Conflict):  # a Conflict: another answer bears the name by now
            await self.cluster.delete(SECRETS, self.namespace, name, uid=uid)

    async def set_aside(self, sealed: Sealed, text: str, *, is_released: bool = False) -> str:
        """Keep a sealed set that lost a race under a name of its own; the name. `is_released`: so had been its grant."""
        for number in range(1, 100):
            name = f"recovered-{sealed.uid}-{number}"
            body = write_recovered(sealed.model_copy(update={"tokenset": text}), name, self.namespace, is_released=is_released)
            try:
                self.note(await self.cluster.create(SECRETS, self.namespace, body))
            except Conflict:
                there = await self.cluster.get(SECRETS, self.namespace, name)
                if there.get("data") != body["data"]:
                    continue
            return name
        raise Conflict("a hundred recovered sets wait for this grant already")

    async def remove_recovered(self, recovered: Recovered) -> None:
        """Delete a set that was kept aside."""
        with suppress(NotFound, Conflict):  # a Conflict: another set bears the name by now
            await self.cluster.delete(SECRETS, self.namespace, recovered.secret_name, uid=recovered.secret_uid)
