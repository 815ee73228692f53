"""The Kubernetes API by a thin client: objects are plain dictionaries, and what goes wrong is a ClusterError.

A few verbs and nothing generated: a general client's argument checking and models cost several times what the calls themselves do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Self

from grantkeeper.adapters.calls import USUAL, Calls, Expired, Object, Pace
from grantkeeper.adapters.login import Login
from grantkeeper.errors import NotFound
from grantkeeper.settings import Settings

CHUNK = 250
"""Objects in one answer to a list. While one is read it takes ten times its length, and what a process has once taken it keeps."""
Objects = list[Object]
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """Where objects of one kind are: `api/v1` or `apis/<group>/<version>`, and the plural."""

    api: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of an object, or of them all; NotFound for names that no object can have, which could lead elsewhere."""
        parts = [self.api, *(("namespaces", namespace) if namespace is not None else ()), self.plural, *filter(None, (name, subresource))]
        if not all(_is_name(part) for part in (namespace, name) if part is not None):
            raise NotFound(f"{self.plural}: no object can have such a name")
        return "/".join(parts)


SECRETS, EVENTS, NAMESPACES, PODS = (Kind("api/v1", plural) for plural in ("secrets", "events", "namespaces", "pods"))
LEASES = Kind("apis/coordination.k8s.io/v1", "leases")
USERGRANTS, OAUTHCONNECTORS = (Kind("apis/grantkeeper.dev/v1alpha1", plural) for plural in ("usergrants", "oauthconnectors"))


class Cluster:
    """One API server, as one account. It belongs to the event loop that first uses it; close it there."""

    def __init__(self, login: Login, pace: Pace = USUAL) -> None:
        self._calls = Calls(login, pace)

    @classmethod
    def connect(cls, settings: Settings, pace: Pace = USUAL) -> Self:
        """Log in as the settings say; SettingsError where they lead to no API server."""
        return cls(Login.find(settings.service_account_directory), pace)

    async def offers(self, kind: Kind) -> bool:
        """Whether discovery shows a kind of the group; a CRD that was just created is served before it is shown."""
        group, version = kind.api.removeprefix("apis/").split("/")
        groups = await self._calls.call("GET", "apis")
        if group not in {offered["name"] for offered in groups.get("groups", ())}:
            return False
        try:
            resources = await self._calls.call("GET", f"apis/{group}/{version}")
        except NotFound:
            return False
        return kind.plural in {offered["name"] for offered in resources.get("resources", ())}

    async def read_version(self) -> str:
        """The version of the API server, which it tells to everybody."""
        return str((await self._calls.call("GET", "version"))["gitVersion"])

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object by a quorum read: nothing that was acknowledged before is missed. NotFound where there is none."""
        return await self._calls.call("GET", kind.path(namespace, name))

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> list[Object]:
        """Read all objects of a kind, of one namespace or of every one, that bear `labels`; in chunks, as of one moment."""
        found: list[Object] = []
        async for page, is_first in self._read(kind, namespace, labels):
            if is_first:
                found.clear()
            found += page
        return found

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, labels: str | None = None, begun: Callable[[], object] = lambda: None
    ) -> AsyncIterator[Objects]:
        """Read the same chunk by chunk, for whoever need not hold them all. A list that expires meanwhile is read from its start again.

        `begun` is told each time, before the first chunk is given: what is asked for from then on is as of a later moment.
        """
        async for page, is_first in self._read(kind, namespace, labels):
            if is_first:
                begun()
            yield page

    async def _read(self, kind: Kind, namespace: str | None, labels: str | None) -> AsyncIterator[tuple[Objects, bool]]:
        """Chunks, and whether each is the first of a list that is read from its start. While one is looked at, the next is asked for."""
        query = {"limit": str(CHUNK)} | ({"labelSelector": labels} if labels else {})

        def ask(more: str) -> asyncio.Task[Object]:
            return asyncio.create_task(self._calls.call("GET", kind.path(namespace), query=query | ({"continue": more} if more else {})))

        more, coming = "", ask("")
        try:
            while True:
                try:
                    page = await coming
                except Expired:
                    if not more:
                        raise
                    more, coming = "", ask("")
                    continue
                is_first, more = not more, page.get("metadata", {}).get("continue") or ""
                if more:
                    coming = ask(more)
                    await asyncio.sleep(0)  # or it would leave only when whoever looks at this one next waits for something
                yield page.pop("items", None) or [], is_first
                if not more:
                    return
        finally:
            coming.cancel()

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Create an object, and return it as it was stored. Conflict where the name is taken."""
        return await self._calls.call("POST", kind.path(namespace), body=body)

    async def replace(self, kind: Kind, body: Object) -> Object:
        """Replace the version that `body` names, and return what was stored. Conflict where there is a newer one."""
        metadata = body["metadata"]
        if not metadata.get("resourceVersion"):
            raise ValueError("what is replaced must name the version it was read at")
        return await self._calls.call("PUT", kind.path(metadata.get("namespace"), metadata["name"]), body=body)

    async def patch(self, kind: Kind, namespace: str | None, name: str, patch: Object, *, subresource: str | None = None) -> Object:
        """Apply a merge patch (RFC 7396); with `metadata.resourceVersion` in it, only to that version, else Conflict."""
        return await self._calls.call("PATCH", kind.path(namespace, name, subresource), body=patch, content_type=_MERGE_PATCH)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> None:
        """Delete an object; Conflict where it is not the one of that uid, or no longer of that version."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {name: held for name, held in conditions.items() if held}}
        await self._calls.call("DELETE", kind.path(namespace, name), body=body)

    async def close(self) -> None:
        """Close every connection."""
        await self._calls.close()


def _is_name(text: str) -> bool:
    """Whether it can name an object: an RFC 1123 subdomain of at most 253 characters."""
    return re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", text) is not None
