"""What every object of the Kubernetes API has, as Python sees it: metadata and conditions, and how members are spelt on the wire.

What is kept of each of many thousand objects is a `kept` class: its fields are in slots, where a model has a dictionary and a set for
each, and takes three times as much. Texts that all of them repeat are in memory once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Self, TypeVar, dataclass_transform

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass


def _wire_name(member: str) -> str:
    """`redirect_uri` is `redirectURI` on the wire: Kubernetes writes acronyms in capitals, except at the start."""
    name = to_camel(member)
    for plain, acronym in (("Uri", "URI"), ("Url", "URL"), ("Id", "ID")):
        if name.endswith(plain):
            name = name.removesuffix(plain) + acronym
    return name


Kind = TypeVar("Kind", bound=object)

Word = Annotated[str, AfterValidator(lambda text: sys.intern(str(text)))]
"""A text that many objects have in common: kept once."""


@lru_cache(maxsize=1024)
def _read_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


Moment = Annotated[datetime, BeforeValidator(lambda value: _read_moment(value) if isinstance(value, str) else value)]
"""A moment that an object names several times, as the API server writes it: kept once."""

_OURS = "grantkeeper.dev/"
NO_TEXTS: Mapping[str, str] = MappingProxyType({})


def no_texts() -> Mapping[str, str]:
    """No labels, or no annotations: one nothing for all."""
    return NO_TEXTS


def _pick_ours(stated: object) -> object:
    """Of annotations those that mean something here: what `kubectl apply` leaves in one is as long as the object."""
    if not isinstance(stated, Mapping):
        return stated
    return {name: value for name, value in stated.items() if str(name).startswith(_OURS)} or NO_TEXTS


class Wire(BaseModel):
    """What is read as the API server sent it: members in camel case, and what this version does not know ignored."""

    model_config = ConfigDict(alias_generator=_wire_name, frozen=True, populate_by_name=True, extra="ignore", hide_input_in_errors=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def kept(cls: type[Kind]) -> type[Kind]:
    """A class that is read like a `Wire`, of instances that are small."""
    config = ConfigDict(alias_generator=_wire_name, populate_by_name=True, extra="ignore", hide_input_in_errors=True)
    made: Any = dataclass(frozen=True, slots=True, kw_only=True, config=config)(cls)
    return made  # type: ignore[no-any-return]


@kept
class Metadata:
    """The part of an object's metadata that decisions need."""

    name: str
    namespace: Word
    uid: str
    resource_version: str
    generation: int = 0
    creation_timestamp: Moment | None = None
    deletion_timestamp: Moment | None = None
    finalizers: tuple[Word, ...] = ()
    annotations: Annotated[Mapping[str, str], BeforeValidator(_pick_ours)] = Field(default_factory=no_texts)
    """Ours alone."""

    @property
    def is_deleting(self) -> bool:
        """Whether somebody has asked for the object to go."""
        return self.deletion_timestamp is not None


@kept
class Condition:
    """One observed truth, as in Kubernetes' API conventions."""

    type: Word
    status: Word
    reason: Word
    message: str = ""
    last_transition_time: Moment
    observed_generation: int | None = None


class Resource(Wire):
    """An object: a kind adds its `spec` and `status`."""

    metadata: Metadata

    @classmethod
    def read(cls, body: dict[str, Any]) -> Self:
        """Read an object as the API server sent it."""
        return cls.model_validate(body)
