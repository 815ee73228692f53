"""Namespaces as values: which of them are kept, and what is known of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scope:
    """The namespaces that are kept: the listed ones and the operator's own, or, where none is listed, all of them."""

    operator_namespace: str
    listed: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether every namespace is kept, those to come included."""
        return not self.listed

    @property
    def tenants(self) -> frozenset[str]:
        """The listed namespaces, without the operator's own."""
        return self.listed - {self.operator_namespace}

    def keeps(self, namespace: str) -> bool:
        """Whether the grants of a namespace are kept."""
        return self.is_everything or namespace in self.listed or namespace == self.operator_namespace


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace as the API server showed it."""

    name: str
    uid: str
    resource_version: str
    is_ending: bool = False
    """It is being deleted: nothing can be created in it any more."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, body: dict[str, Any]) -> Namespace:
        """Read a namespace."""
        metadata = body["metadata"]
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            is_ending=metadata.get("deletionTimestamp") is not None,
            labels=dict(metadata.get("labels") or {}),
        )
