"""What consumers get: an access token and a format become the data of a Secret; never anything but an `AccessToken`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grantkeeper.core.facts import Copy
from grantkeeper.core.records import KIND_LABEL, Delivery
from grantkeeper.core.times import to_text
from grantkeeper.core.tokens import AccessToken
from grantkeeper.resources import GROUP, VERSION, Format, UserGrant

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
RELOADER_ANNOTATION = "reloader.stakater.com/ignore"
DELIVERY_ANNOTATION = f"{GROUP}/delivery"
GENERATION_ANNOTATION = f"{GROUP}/generation"
EXPIRES_AT_ANNOTATION = f"{GROUP}/expires-at"
_IS_GENERATION = re.compile("[0-9]{1,18}")  # anybody may write anything there, in any digits and at any length
OUR_LABELS = frozenset({KIND_LABEL, MANAGED_BY_LABEL})
OUR_ANNOTATIONS = frozenset({DELIVERY_ANNOTATION, GENERATION_ANNOTATION, EXPIRES_AT_ANNOTATION, RELOADER_ANNOTATION})


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
    """Labels and annotations that others have put there; they are left in place."""


def render(token: AccessToken, form: Format) -> dict[str, bytes]:
    """The files of a format, without trailing newlines.

    Token: `access_token`, `token_type`, `expires_at` (RFC 3339; absent when it never expires), `scope` (absent when unknown).
    """
    match form:
        case Format.TOKEN:
            files = {"access_token": token.value.get_secret_value(), "token_type": token.token_type}
            if token.expires_at is not None:
                files["expires_at"] = to_text(token.expires_at)
            if token.scope is not None:
                files["scope"] = token.scope
            return {name: text.encode() for name, text in files.items()}


def write_copy(grant: UserGrant, name: str, token: AccessToken, form: Format, delivery: str) -> dict[str, Any]:
    """The Secret to deliver, owned by the grant and marked with its delivery's id."""
    annotations = {
        DELIVERY_ANNOTATION: delivery,
        GENERATION_ANNOTATION: str(token.generation),
        RELOADER_ANNOTATION: "true",
    }
    if token.expires_at is not None:
        annotations[EXPIRES_AT_ANNOTATION] = to_text(token.expires_at)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name,
            "namespace": grant.metadata.namespace,
            "labels": {KIND_LABEL: "delivered", MANAGED_BY_LABEL: "grantkeeper"},
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
        "data": {key: base64.b64encode(value).decode() for key, value in render(token, form).items()},
    }


def read_copy(secret: dict[str, Any]) -> DeliveredCopy:
    """What a delivered Secret says of itself; what it holds is kept as a digest only."""
    metadata = secret["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    owners = [owner.get("uid") for owner in metadata.get("ownerReferences") or () if owner.get("kind") == "UserGrant"]
    generation = annotations.get(GENERATION_ANNOTATION, "")
    return DeliveredCopy(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner=owners[0] if owners else None,
        delivery=annotations.get(DELIVERY_ANNOTATION),
        generation=int(generation) if _IS_GENERATION.fullmatch(generation) else 0,
        digest=digest(secret),
        labels={key: value for key, value in (metadata.get("labels") or {}).items() if key not in OUR_LABELS},
        annotations={key: value for key, value in annotations.items() if key not in OUR_ANNOTATIONS},
    )


def digest(secret: dict[str, Any]) -> str:
    """SHA-256 over what a delivered Secret promises: its files, its owner, and those labels and annotations that are ours."""
    metadata = secret["metadata"]
    promised = (
        secret.get("data") or {},
        {key: value for key, value in (metadata.get("labels") or {}).items() if key in OUR_LABELS},
        {key: value for key, value in (metadata.get("annotations") or {}).items() if key in OUR_ANNOTATIONS},
        {str(owner.get("uid")): owner.get("kind") for owner in metadata.get("ownerReferences") or ()},
    )
    return hashlib.sha256(json.dumps(promised, sort_keys=True).encode()).hexdigest()


def is_ours(copy: DeliveredCopy, delivery: Delivery | None) -> bool:
    """Ours bears the uid that we recorded, or the id that we recorded and have not bound yet. Nothing is ever adopted."""
    if delivery is None:
        return False
    return copy.uid == delivery.uid if delivery.uid is not None else copy.delivery == delivery.id


def compare(copy: DeliveredCopy | None, delivery: Delivery | None, wanted: dict[str, Any]) -> Copy:
    """How the delivered Secret stands against the one that is wanted."""
    if copy is None:
        return Copy.MISSING
    if not is_ours(copy, delivery):
        return Copy.FOREIGN
    return Copy.CURRENT if copy.digest == digest(wanted) else Copy.STALE


def bind(deliveries: Mapping[str, Delivery], copies: Mapping[str, DeliveredCopy]) -> dict[str, Delivery]:
    """The deliveries, with the uids of those Secrets that bear an id that was recorded and not bound yet; both by name."""
    return {
        name: delivery.model_copy(update={"uid": copies[name].uid})
        if delivery.uid is None and name in copies and copies[name].delivery == delivery.id
        else delivery
        for name, delivery in deliveries.items()
    }
