"""What every object of the Kubernetes API has, as Python sees it: metadata and conditions, and how members are spelt on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


def _wire_name(member: str) -> str:
    """`redirect_uri` is `redirectURI` on the wire: Kubernetes writes acronyms in capitals, except at the start."""
    name = to_camel(member)
    for plain, acronym in (("Uri", "URI"), ("Url", "URL"), ("Id", "ID")):
        if name.endswith(plain):
            name = name.removesuffix(plain) + acronym
    return name


class Wire(BaseModel):
    """What is read as the API server sent it: members in camel case, and what this version does not know ignored."""

    model_config = ConfigDict(alias_generator=_wire_name, frozen=True, populate_by_name=True, extra="ignore", hide_input_in_errors=True)


class Metadata(Wire):
    """The part of an object's metadata that decisions need."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def is_deleting(self) -> bool:
        """Whether somebody has asked for the object to go."""
        return self.deletion_timestamp is not None


class Condition(Wire):
    """One observed truth, as in Kubernetes' API conventions."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: datetime
    observed_generation: int | None = None


class Resource(Wire):
    """An object: a kind adds its `spec` and `status`."""

    metadata: Metadata

    @classmethod
    def read(cls, body: dict[str, Any]) -> Self:
        """Read an object as the API server sent it."""
        return cls.model_validate(body)
