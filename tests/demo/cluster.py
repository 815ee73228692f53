"""The example in the cluster: its objects as the API server has them, and kubectl's table of a kind whenever that changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from demo import tables
from demo.example import NAMESPACE
from parts import PartFailed
from parts.controlplane import ControlPlane

Object = dict[str, Any]
Found = TypeVar("Found")

API = f"/apis/grantkeeper.dev/v1alpha1/namespaces/{NAMESPACE}"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
PATIENCE = 60.0
"""Seconds that the parts on this machine may take for anything."""


class Cluster:
    """Looks at the example's namespace as the administrator."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._client = control_plane.client()
        self._shown: dict[str, tuple[list[str], str]] = {}

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str) -> Object | None:
        """Return an object, or a list, by its API path; None where there is nothing."""
        answer = self._client.get(path)
        return None if answer.status_code == 404 else dict(answer.raise_for_status().json())

    def news(self, plural: str) -> str | None:
        """Return kubectl's table of a kind when it says something else than the last time; ages do not count."""
        listed = self.get(f"{API}/{plural}") or {"items": []}
        versions = [thing["metadata"]["resourceVersion"] for thing in listed["items"]]
        shown_versions, shown = self._shown.get(plural, ([], ""))
        if versions == shown_versions:
            return None
        table = self._control_plane.kubectl("get", plural)
        self._shown[plural] = (versions, tables.without_age(table))
        return None if tables.without_age(table) == shown else table


def status(thing: Object | None) -> Object:
    """The status; empty where there is none."""
    return dict((thing or {}).get("status") or {})


def why_not_ready(thing: Object | None) -> str:
    """What its condition Ready says."""
    conditions: list[Object] = status(thing).get("conditions", [])
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), {})
    return f"{ready.get('reason', 'no reason')}: {ready.get('message', '')}"


def wait_for(look: Callable[[], Found | None], otherwise: Callable[[], str]) -> Found:
    """Return what `look` finds as soon as it finds something; else fail with a sentence."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise PartFailed(otherwise())
        time.sleep(0.2)
    return found
