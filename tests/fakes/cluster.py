"""The API server's manners without an API server, for stories: versions that rise, preconditions, finalizers, and news that comes late."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any
from uuid import uuid4

from grantkeeper.adapters.cluster import Cluster, Kind
from grantkeeper.core.times import to_text
from grantkeeper.errors import Conflict, NotFound

Object = dict[str, Any]
Objects = list[Object]
News = tuple[str, str | None, Object]
"""A plural, the type of a watch event, and the object."""


class MemoryCluster(Cluster):
    """Objects in memory, by the calls of the real client. What a watch would bring waits until somebody takes it."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.version = 0
        """The resourceVersion of the last write."""
        self._news: list[News] = []
        self._clock = clock
        self._objects: dict[tuple[str, str | None, str], Object] = {}

    async def offers(self, kind: Kind) -> bool:  # noqa: ARG002  # every kind is there
        """Every kind is offered."""
        return True

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object."""
        return deepcopy(self._find(kind, namespace, name))

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> list[Object]:
        """Read all objects of a kind; `labels` is one label, with or without its value."""
        key, _, value = (labels or "").partition("=")
        return [
            deepcopy(body)
            for (plural, place, _), body in self._objects.items()
            if plural == kind.plural and namespace in {None, place} and _bears(body["metadata"].get("labels") or {}, key, value)
        ]

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, labels: str | None = None, begun: Callable[[], object] = lambda: None
    ) -> AsyncIterator[Objects]:
        """Read them in one chunk."""
        page = await self.list(kind, namespace, labels=labels)
        begun()
        yield page

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Create an object where there is none."""
        made = deepcopy(body)
        metadata = made["metadata"]
        if (kind.plural, namespace, metadata["name"]) in self._objects:
            raise Conflict(f"{kind.plural}: there already")
        for key, text in made.pop("stringData", {}).items():
            made.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
        metadata |= {"uid": str(uuid4()), "generation": 1, "creationTimestamp": to_text(self._clock())}
        if namespace is not None:
            metadata["namespace"] = namespace
        return self._store(kind, made, "ADDED")

    async def replace(self, kind: Kind, body: Object) -> Object:
        """Replace the version that the object names."""
        metadata = body["metadata"]
        before = self._find(kind, metadata.get("namespace"), metadata["name"], version=metadata["resourceVersion"])
        kept = {name: before["metadata"][name] for name in ("uid", "generation", "creationTimestamp")}
        return self._store(kind, {**deepcopy(body), "metadata": {**metadata, **kept}}, "MODIFIED")

    async def patch(self, kind: Kind, namespace: str | None, name: str, patch: Object, *, subresource: str | None = None) -> Object:
        """Apply a merge patch; to the status alone with that subresource, and to everything else without."""
        version = patch.get("metadata", {}).get("resourceVersion")
        before = self._find(kind, namespace, name, version=version)
        heard = {part: change for part, change in patch.items() if part == "metadata" or (part == "status") == (subresource == "status")}
        after = _merge(before, heard)
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        return self._store(kind, after, "MODIFIED")

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> None:
        """Delete an object, or mark it where a finalizer holds it."""
        found = self._find(kind, namespace, name, version=resource_version)
        if uid not in {None, found["metadata"]["uid"]}:
            raise Conflict(f"{kind.plural}: another object of that name")
        marked = deepcopy(found)
        marked["metadata"].setdefault("deletionTimestamp", to_text(self._clock()))
        self._store(kind, marked, "MODIFIED")

    async def close(self) -> None:
        """There are no connections."""

    def take_news(self) -> tuple[News, ...]:
        """What a watch has to tell since the last time."""
        news, self._news = tuple(self._news), []
        return news

    def _find(self, kind: Kind, namespace: str | None, name: str, *, version: str | None = None) -> Object:
        found = self._objects.get((kind.plural, namespace, name))
        if found is None:
            raise NotFound(f"{kind.plural}: there is no such object")
        if version not in {None, found["metadata"]["resourceVersion"]}:
            raise Conflict(f"{kind.plural}: changed since it was read")
        return found

    def _store(self, kind: Kind, body: Object, event: str) -> Object:
        metadata = body["metadata"]
        key = (kind.plural, metadata.get("namespace"), metadata["name"])
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            event = "DELETED"
            self._objects.pop(key)
        else:
            self._objects[key] = body
        self._news.append((kind.plural, event, deepcopy(body)))
        return deepcopy(body)


def _bears(labels: Mapping[str, str], key: str, value: str) -> bool:
    return not key or (key in labels and value in {"", labels[key]})


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = deepcopy(target) if isinstance(target, dict) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), change)
    return merged
