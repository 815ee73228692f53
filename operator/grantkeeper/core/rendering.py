"""What consumers get: an access token becomes the files of a Secret; never anything but an `AccessToken`."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from binascii import b2a_base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from grantkeeper.choices import Format
from grantkeeper.core import templates
from grantkeeper.core.facts import Copy
from grantkeeper.core.records import KIND_LABEL, Delivery
from grantkeeper.core.times import to_text
from grantkeeper.core.tokens import AccessToken
from grantkeeper.objects import NO_TEXTS
from grantkeeper.resources import GROUP, VERSION, SecretSpec, UserGrant

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
RELOADER_ANNOTATION = "reloader.stakater.com/ignore"
DELIVERY_ANNOTATION = f"{GROUP}/delivery"
GENERATION_ANNOTATION = f"{GROUP}/generation"
EXPIRES_AT_ANNOTATION = f"{GROUP}/expires-at"
ASKED_LABELS_ANNOTATION = f"{GROUP}/labels"
ASKED_ANNOTATIONS_ANNOTATION = f"{GROUP}/annotations"
"""Which labels and annotations the grant asked for, by their keys: those it asks for no more are taken away."""
_IS_GENERATION = re.compile("[0-9]{1,18}")  # anybody may write anything there, in any digits and at any length
_NONE: frozenset[str] = frozenset()
OUR_LABELS = frozenset({KIND_LABEL, MANAGED_BY_LABEL})
OUR_ANNOTATIONS = frozenset(
    {
        DELIVERY_ANNOTATION,
        GENERATION_ANNOTATION,
        EXPIRES_AT_ANNOTATION,
        ASKED_LABELS_ANNOTATION,
        ASKED_ANNOTATIONS_ANNOTATION,
        RELOADER_ANNOTATION,
    }
)


@dataclass(frozen=True, slots=True)
class DeliveredCopy:
    """A delivered Secret as it is in the cluster: whose it says it is, and a digest of what it holds."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner: str | None
    delivery: str | None
    generation: int
    digest: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    """Labels and annotations that are not ours by their key: the grant asked for them, or others have put them there."""
    asked_labels: frozenset[str]
    asked_annotations: frozenset[str]
    """Those of them that the grant asked for when it was written, by their keys."""


def render(spec: SecretSpec, token: AccessToken, *, user: str) -> dict[str, str]:
    """The files of a delivered Secret: those of its format, without trailing newlines, and one for each template.

    Token: `access_token`, `token_type`, `expires_at` (RFC 3339; absent when it never expires), `scope` (absent when unknown).
    Header: `authorization`, the value of that header (RFC 6750 section 2.1), and `header`, the whole line with its end (curl -H @file).
    JSON: `token.json`, an object with the members that Token has as files. Env: the access token alone, named after the variable.

    In a template, what is absent is empty. TemplateTooLong where one becomes too long.
    """
    files = _render_format(spec, token)
    if spec.templates:
        values = {**dict.fromkeys(templates.PLACEHOLDERS, ""), **_members(token), "user": user, "account": token.account or ""}
        files |= {key: templates.fill(text, values) for key, text in spec.templates.items()}
    return files


def _render_format(spec: SecretSpec, token: AccessToken) -> dict[str, str]:
    match spec.format:
        case Format.TOKEN:
            return _members(token)
        case Format.HEADER:
            # Servers may write the type in any case (RFC 6749 section 5.1); what reads the header may not take it in any.
            kind = "Bearer" if token.token_type.lower() == "bearer" else token.token_type
            credentials = f"{kind} {token.value.get_secret_value()}"
            return {"authorization": credentials, "header": f"Authorization: {credentials}\n"}
        case Format.JSON:
            return {"token.json": json.dumps(_members(token))}
        case Format.ENV:
            return {spec.env or "": token.value.get_secret_value()}


def _members(token: AccessToken) -> dict[str, str]:
    members = {"access_token": token.value.get_secret_value(), "token_type": token.token_type}
    if token.expires_at is not None:
        members["expires_at"] = to_text(token.expires_at)
    if token.scope is not None:
        members["scope"] = token.scope
    return members


def find_template_fault(grant: UserGrant) -> str:
    """What is wrong with the first template that cannot be filled, and which it is; empty where all can be."""
    faults = (
        f"spec.secrets[{spec.name}].templates[{key}]: {fault}"
        for spec in grant.spec.secrets
        for key, text in spec.templates.items()
        if (fault := templates.find_fault(text)) is not None
    )
    return next(faults, "")


def write_copy(grant: UserGrant, spec: SecretSpec, token: AccessToken, delivery: str) -> dict[str, Any]:
    """The Secret to deliver, owned by the grant and marked with its delivery's id. Labels and annotations of ours come last."""
    annotations = {
        **spec.annotations,
        DELIVERY_ANNOTATION: delivery,
        GENERATION_ANNOTATION: str(token.generation),
        RELOADER_ANNOTATION: "true",
    }
    if token.expires_at is not None:
        annotations[EXPIRES_AT_ANNOTATION] = to_text(token.expires_at)
    for annotation, asked in ((ASKED_LABELS_ANNOTATION, spec.labels), (ASKED_ANNOTATIONS_ANNOTATION, spec.annotations)):
        if asked:
            annotations[annotation] = " ".join(sorted(asked))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": spec.name,
            "namespace": grant.metadata.namespace,
            "labels": {**spec.labels, KIND_LABEL: "delivered", MANAGED_BY_LABEL: "grantkeeper"},
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": f"{GROUP}/{VERSION}",
                    "kind": "UserGrant",
                    "name": grant.metadata.name,
                    "uid": grant.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "data": {key: b2a_base64(text.encode(), newline=False).decode() for key, text in render(spec, token, user=grant.spec.user).items()},
    }


def read_copy(secret: dict[str, Any]) -> DeliveredCopy:
    """What a delivered Secret says of itself; what it holds is kept as a digest only."""
    metadata = secret["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    owners = [owner.get("uid") for owner in metadata.get("ownerReferences") or () if owner.get("kind") == "UserGrant"]
    generation = annotations.get(GENERATION_ANNOTATION, "")
    return DeliveredCopy(
        namespace=sys.intern(metadata["namespace"]),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner=owners[0] if owners else None,
        delivery=annotations.get(DELIVERY_ANNOTATION),
        generation=int(generation) if _IS_GENERATION.fullmatch(generation) else 0,
        digest=digest(secret),
        labels=_but(OUR_LABELS, metadata.get("labels") or {}),
        annotations=_but(OUR_ANNOTATIONS, annotations),
        asked_labels=_read_asked(annotations.get(ASKED_LABELS_ANNOTATION)),
        asked_annotations=_read_asked(annotations.get(ASKED_ANNOTATIONS_ANNOTATION)),
    )


def _read_asked(stated: str | None) -> frozenset[str]:
    return frozenset(stated.split()) if stated else _NONE


def replace_copy(copy: DeliveredCopy, wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted Secret in the place of this very version of a copy. Labels and annotations that others have put there stay."""
    metadata = wanted["metadata"]
    dressed = {
        "labels": {**_but(copy.asked_labels, copy.labels), **metadata["labels"]},
        "annotations": {**_but(copy.asked_annotations, copy.annotations), **metadata["annotations"]},
    }
    return {**wanted, "metadata": {**metadata, **dressed, "resourceVersion": copy.resource_version}}


def digest(secret: dict[str, Any]) -> str:
    """SHA-256 over what a delivered Secret promises: its files, its owner, and those labels and annotations that are ours by their key."""
    metadata = secret["metadata"]
    promised = (
        secret.get("data") or {},
        {key: value for key, value in (metadata.get("labels") or {}).items() if key in OUR_LABELS},
        {key: value for key, value in (metadata.get("annotations") or {}).items() if key in OUR_ANNOTATIONS},
        {str(owner.get("uid")): owner.get("kind") for owner in metadata.get("ownerReferences") or ()},
    )
    return hashlib.sha256(orjson.dumps(promised, option=orjson.OPT_SORT_KEYS)).hexdigest()


def is_ours(copy: DeliveredCopy, delivery: Delivery | None) -> bool:
    """Ours bears the uid that we recorded, or the id that we recorded and have not bound yet. Nothing is ever adopted."""
    if delivery is None:
        return False
    return copy.uid == delivery.uid if delivery.uid is not None else copy.delivery == delivery.id


def compare(copy: DeliveredCopy | None, delivery: Delivery | None, wanted: dict[str, Any], wanted_digest: str) -> Copy:
    """How the delivered Secret stands against the one that is wanted."""
    if copy is None:
        return Copy.MISSING
    if not is_ours(copy, delivery):
        return Copy.FOREIGN
    metadata = wanted["metadata"]
    is_dressed = (
        _but(OUR_LABELS, metadata["labels"]).items() <= copy.labels.items()
        and _but(OUR_ANNOTATIONS, metadata["annotations"]).items() <= copy.annotations.items()
    )
    return Copy.CURRENT if is_dressed and copy.digest == wanted_digest else Copy.STALE


def find_surplus(deliveries: Mapping[str, Delivery], copies: Mapping[str, DeliveredCopy], wanted: Collection[str]) -> tuple[str, ...]:
    """Names of the Secrets that are ours and not wanted any more; deliveries and copies by name."""
    return tuple(name for name, delivery in deliveries.items() if name not in wanted and name in copies and is_ours(copies[name], delivery))


def bring_up_to_date(
    deliveries: Mapping[str, Delivery], copies: Mapping[str, DeliveredCopy], wanted: Collection[str]
) -> dict[str, Delivery]:
    """The deliveries as they are to be recorded now, all by name.

    A Secret that bears an id that was recorded and not bound yet is bound by its uid; what is not wanted any more and is gone is dropped.
    """
    surplus = find_surplus(deliveries, copies, wanted)
    return {
        name: replace(delivery, uid=copies[name].uid)
        if delivery.uid is None and name in copies and copies[name].delivery == delivery.id
        else delivery
        for name, delivery in deliveries.items()
        if name in wanted or name in surplus
    }


def _but(keys: Collection[str], members: Mapping[str, str]) -> Mapping[str, str]:
    return {key: value for key, value in members.items() if key not in keys} or NO_TEXTS
