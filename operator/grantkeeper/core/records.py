"""The sealed Secret of a grant as a value: what is known, what is being tried, what was tried last.

Everything about one grant changes through one chain of writes on this one Secret, so a claim, a token set and an outcome
can never contradict each other. `meta` only repeats what the sealed set says, for a restart that should not open it.
"""

from __future__ import annotations

import sys
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter
from pydantic.dataclasses import dataclass as small

from grantkeeper.core.times import from_text, to_text
from grantkeeper.core.tokens import TokenSet
from grantkeeper.objects import Word

SEALED_TYPE = "grantkeeper.dev/sealed"
RECOVERED_TYPE = "grantkeeper.dev/recovered"
KIND_LABEL = "grantkeeper.dev/kind"
NAMESPACE_LABEL = "grantkeeper.dev/namespace"
UID_LABEL = "grantkeeper.dev/grant-uid"
GRANT_ANNOTATION = "grantkeeper.dev/grant"
RELEASED_ANNOTATION = "grantkeeper.dev/released"
"""On a set that came for a grant which had been released: it is to be revoked."""

Time = Annotated[
    datetime,
    BeforeValidator(lambda value: from_text(value) if isinstance(value, str) else value),
    PlainSerializer(to_text),
]
"""An aware datetime; RFC 3339 in the records."""


_CONFIG = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Record(BaseModel):
    """What is written down as JSON: members that this version does not know are ignored. Those that every grant has are `small`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Spending(StrEnum):
    """What a claim is about to present at the token endpoint."""

    CODE = "code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105  # a grant type of RFC 6749, not a secret


class Holder(Record):
    """Who holds a claim: a Pod, and one life of the process in it."""

    pod: str
    boot: str
    pod_name: str | None = None

    def is_a_life_of(self, other: Holder) -> bool:
        """Whether the holder is `other` itself, or its own Pod before a restart, and so provably dead."""
        return self.pod == other.pod


class Claim(Record):
    """The intent to present something that may be spent by it, written before a byte is sent."""

    attempt: str
    holder: Holder
    spending: Spending
    hash: str
    generation: int
    """Generation of the set that holds the refresh token; of the set to come for a code."""
    presentations: int = 1
    """How often it may have been presented, this claim included; within a leeway, once."""
    request: str | None = None
    """Hash of the consent request that the code answers."""
    not_before_retry: Time | None = None
    """From when on presenting once more risks nothing that is still of use."""
    retry_until: Time | None = None
    """Until when, by the server's leeway, it may be presented again as if for the first time."""
    lost: bool = False
    """The request was sent and no answer arrived."""
    set_aside: Claim | None = None
    """The claim on a refresh token whose answer was lost, while a code is redeemed; it stands again if that fails."""


@small(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Attempt:
    """How the last attempt ended; a refusal outlives a restart by it."""

    hash: str | None = None
    reason: Word
    error: str | None = None
    """The OAuth error that the server named, where it is a word of ours: anything else could hold anything."""
    time: Time
    spec_generation: int
    failures: int = 0
    is_repeated: bool = False
    """The one before had failed in the same way, with the same refresh token."""
    retry_not_before: Time | None = None
    is_refused: bool = False
    """The server had refused the token before; this attempt, which somebody asked for, has not shown otherwise."""


@small(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Delivery:
    """A delivered Secret that is ours: its random id, recorded before it is created, and its uid from then on."""

    id: str
    uid: str | None = None


class Handled(Record):
    """Wishes that somebody made by an annotation and that were acted on: none of them is acted on again."""

    connect: tuple[str, ...] = ()
    """Hashes of the ids that links were asked for with, the last one last."""
    refresh: str | None = None
    """What a refresh was asked for with that was answered last."""
    refreshed_at: Time | None = None
    """When it was answered."""


def answer_refresh(handled: Handled | None, wish: str, at: datetime) -> Handled | None:
    """What was acted on, after an attempt that has answered this wish for a refresh; empty where nobody had one."""
    before = handled or Handled()
    return handled if wish in {"", before.refresh} else before.model_copy(update={"refresh": wish, "refreshed_at": at})


@small(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Meta:
    """Hints beside a sealed set; never trusted."""

    generation: int
    attempt: str
    obtained_at: Time
    expires_at: Time | None = None
    kid: Word


def describe(tokens: TokenSet, *, generation: int, attempt: str, kid: str) -> Meta:
    """The hints beside a sealed set."""
    return Meta(generation=generation, attempt=attempt, obtained_at=tokens.obtained_at, expires_at=tokens.expires_at, kid=kid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """One Secret `grant-<uid>` in the operator namespace."""

    uid: str
    namespace: str
    name: str
    resource_version: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    tokenset: str | None = field(default=None, repr=False)
    profile: str | None = field(default=None, repr=False)
    """What is kept of a consent whose tokens were not: a JWE of its own type."""
    requests: tuple[str, ...] = field(default=(), repr=False)
    claim: Claim | None = None
    outcome: Attempt | None = None
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    handled: Handled | None = None
    meta: Meta | None = None

    @property
    def secret_name(self) -> str:
        """The Secret's own name."""
        return sealed_name(self.uid)

    def model_copy(self, *, update: Mapping[str, Any]) -> Sealed:
        """The same with other members, as of a model."""
        return replace(self, **update)


def sealed_name(uid: str) -> str:
    """The name of the sealed Secret of the grant with this uid."""
    return f"grant-{uid}"


_REQUESTS = TypeAdapter(tuple[str, ...])
_DELIVERIES = TypeAdapter(dict[str, Delivery])
_CLAIM, _OUTCOME, _HANDLED, _META = TypeAdapter(Claim), TypeAdapter(Attempt), TypeAdapter(Handled), TypeAdapter(Meta)


def write_sealed(sealed: Sealed, operator_namespace: str) -> dict[str, Any]:
    """The Secret that holds these records; with a resourceVersion where it has been read before."""
    data: dict[str, bytes] = {
        "requests": _REQUESTS.dump_json(sealed.requests),
        "deliveries": _DELIVERIES.dump_json(sealed.deliveries),
    }
    for key, text in (("tokenset", sealed.tokenset), ("profile", sealed.profile)):
        if text is not None:
            data[key] = text.encode()
    records: tuple[tuple[str, TypeAdapter[Any], object], ...] = (
        ("claim", _CLAIM, sealed.claim),
        ("outcome", _OUTCOME, sealed.outcome),
        ("handled", _HANDLED, sealed.handled),
        ("meta", _META, sealed.meta),
    )
    for key, adapter, record in records:
        if record is not None:
            data[key] = adapter.dump_json(record, exclude_none=True)
    metadata: dict[str, Any] = {
        "name": sealed.secret_name,
        "namespace": operator_namespace,
        "labels": {KIND_LABEL: "sealed", NAMESPACE_LABEL: sealed.namespace, UID_LABEL: sealed.uid},
        "annotations": {**sealed.annotations, GRANT_ANNOTATION: f"{sealed.namespace}/{sealed.name}"},
    }
    if sealed.resource_version is not None:
        metadata["resourceVersion"] = sealed.resource_version
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SEALED_TYPE,
        "metadata": metadata,
        "data": {key: b2a_base64(value, newline=False).decode() for key, value in data.items()},
    }


def read_sealed(secret: dict[str, Any]) -> Sealed:
    """The records in a sealed Secret; ValueError where it is not one of ours."""
    metadata = secret["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    namespace, separator, name = annotations.get(GRANT_ANNOTATION, "").partition("/")
    if secret.get("type") != SEALED_TYPE or not separator:
        raise ValueError("not a sealed Secret")
    data = {key: a2b_base64(value) for key, value in (secret.get("data") or {}).items()}
    return Sealed(
        uid=metadata["name"].removeprefix("grant-"),
        namespace=sys.intern(namespace),
        name=name,
        resource_version=metadata.get("resourceVersion"),
        annotations=annotations,
        tokenset=data["tokenset"].decode() if "tokenset" in data else None,
        profile=data["profile"].decode() if "profile" in data else None,
        requests=_REQUESTS.validate_json(data.get("requests", b"[]")),
        claim=_CLAIM.validate_json(data["claim"]) if "claim" in data else None,
        outcome=_OUTCOME.validate_json(data["outcome"]) if "outcome" in data else None,
        deliveries=_DELIVERIES.validate_json(data.get("deliveries", b"{}")),
        handled=_HANDLED.validate_json(data["handled"]) if "handled" in data else None,
        meta=_META.validate_json(data["meta"]) if "meta" in data else None,
    )


class Recovered(Record):
    """One Secret `recovered-<uid>-<n>`: a set that came second, or too late."""

    uid: str
    namespace: str
    name: str
    secret_name: str
    secret_uid: str
    tokenset: str = Field(repr=False)
    is_released: bool
    """Its grant had been released before it came: nobody needs it any more."""

    @property
    def sealed(self) -> Sealed:
        """As the sealed Secret of its grant would hold it."""
        return Sealed(uid=self.uid, namespace=self.namespace, name=self.name, tokenset=self.tokenset)


def write_recovered(sealed: Sealed, name: str, operator_namespace: str, *, is_released: bool) -> dict[str, Any]:
    """The Secret `name` that keeps the set of `sealed` aside."""
    whose = f"{sealed.namespace}/{sealed.name}"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": RECOVERED_TYPE,
        "metadata": {
            "name": name,
            "namespace": operator_namespace,
            "labels": {KIND_LABEL: "recovered", NAMESPACE_LABEL: sealed.namespace, UID_LABEL: sealed.uid},
            "annotations": {GRANT_ANNOTATION: whose, **({RELEASED_ANNOTATION: "true"} if is_released else {})},
        },
        "data": {"tokenset": b2a_base64((sealed.tokenset or "").encode(), newline=False).decode()},
    }


def read_recovered(secret: dict[str, Any]) -> Recovered:
    """What such a Secret holds; KeyError or ValueError where it is not one."""
    metadata = secret["metadata"]
    namespace, _, name = metadata["annotations"][GRANT_ANNOTATION].partition("/")
    return Recovered(
        uid=metadata["labels"][UID_LABEL],
        namespace=namespace,
        name=name,
        secret_name=metadata["name"],
        secret_uid=metadata["uid"],
        tokenset=a2b_base64(secret["data"]["tokenset"]).decode(),
        is_released=RELEASED_ANNOTATION in metadata["annotations"],
    )
