"""Echoes: most of what the watches bring only repeats our own writes, which were noted when they were answered.

Told in the thread of the watches, so that nobody is woken for nothing. What is in memory is only looked up here, object by object,
which is safe beside the loop that changes it; what is no echo is judged there again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grantkeeper.controller.registry import Registry, is_delivered
from grantkeeper.core.versions import is_echo


@dataclass(frozen=True, slots=True)
class Echoes:
    """Tells them by what the registry knows."""

    registry: Registry

    def knows(self, plural: str, body: dict[str, Any]) -> bool:
        """Whether an object is no newer than what is known of it."""
        known = self._find_version(plural, body)
        return known is not None and is_echo(body, known)

    def _find_version(self, plural: str, body: dict[str, Any]) -> str | None:
        registry, metadata = self.registry, body["metadata"]
        if plural == "usergrants":
            grant = registry.grants.get(metadata["uid"])
            return grant.metadata.resource_version if grant is not None else None
        if plural != "secrets":
            return None
        if registry.is_sealed(body):
            sealed = registry.sealed.get(metadata["name"].removeprefix("grant-"))
            return sealed.resource_version if sealed is not None else None
        if is_delivered(body):
            copy = registry.copies.get((metadata["namespace"], metadata["name"]))
            return copy.resource_version if copy is not None and copy.uid == metadata["uid"] else None
        return None
