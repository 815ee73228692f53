"""What is known of every object, in memory: the watches write it, the keepers read it, nothing else is remembered between passes.

An object is only ever replaced by a newer one (resourceVersions of one kind compare as integers), so our own writes can be
noted at once and an older event that arrives later changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from grantkeeper.controller.aside import Aside
from grantkeeper.core.answering import ANSWER_TYPE, ConsentAnswer, read_answer
from grantkeeper.core.namespaces import Namespace
from grantkeeper.core.records import KIND_LABEL, RECOVERED_TYPE, SEALED_TYPE, Delivery, Holder, Sealed, read_sealed
from grantkeeper.core.rendering import DeliveredCopy, bring_up_to_date, read_copy
from grantkeeper.core.versions import is_echo, is_older
from grantkeeper.resources import LimitsSpec, OAuthConnector, UserGrant

log = structlog.get_logger()

Name = tuple[str, str]
"""Namespace and name."""
Objects = Iterable[dict[str, Any]]
"""As the API server shows them."""


@dataclass(slots=True)
class Registry:
    """All grants, connectors and Secrets of ours, by what they are looked up by."""

    operator_namespace: str
    grants: dict[str, UserGrant] = field(default_factory=dict)
    """By uid."""
    connectors: dict[Name, OAuthConnector] = field(default_factory=dict)
    sealed: dict[str, Sealed] = field(default_factory=dict)
    """By the grant's uid."""
    unreadable: set[str] = field(default_factory=set)
    """Uids of grants whose sealed Secret cannot be read; it is left as it is."""
    aside: Aside = field(default_factory=Aside)
    answers: dict[Name, dict[str, ConsentAnswer]] = field(default_factory=lambda: defaultdict(dict))
    """By the grant, then by the Secret's name."""
    copies: dict[Name, DeliveredCopy] = field(default_factory=dict)
    """Delivered Secrets, by their own name."""
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    _uids: dict[Name, str] = field(default_factory=dict)
    _users: dict[Name, set[str]] = field(default_factory=lambda: defaultdict(set))
    _ended: dict[str, str] = field(default_factory=dict)
    """The resourceVersions at which objects went, by uid, since stock was last taken."""

    def note_grant(self, body: dict[str, Any], *, gone: bool = False) -> UserGrant | None:
        """Take in a grant as the API server showed it; None where that is nothing new."""
        self._note_end(body, gone=gone)
        standing = self.grants.get(body["metadata"]["uid"])
        if standing is not None and not gone and is_echo(body, standing.metadata.resource_version):
            return None
        grant = UserGrant.read(body)
        uid, name = grant.metadata.uid, (grant.metadata.namespace, grant.metadata.name)
        if gone:
            self.drop_grant(grant)
            return grant
        if self._is_over(body):
            return None
        self.grants[uid] = grant
        self._uids[name] = uid
        self._users[grant.connector_name].add(uid)
        return grant

    def note_connector(self, body: dict[str, Any], *, gone: bool = False) -> OAuthConnector | None:
        """Take in a connector; None where that is nothing new."""
        self._note_end(body, gone=gone)
        connector = OAuthConnector.read(body)
        name = (connector.metadata.namespace, connector.metadata.name)
        if gone:
            self.connectors.pop(name, None)
            return connector
        known = self.connectors.get(name)
        standing = known.metadata if known is not None and known.metadata.uid == connector.metadata.uid else None
        if self._is_over(body) or (standing and not is_older(standing.resource_version, connector.metadata.resource_version)):
            return None
        self.connectors[name] = connector
        return connector

    def note_namespace(self, body: dict[str, Any], *, gone: bool = False) -> bool:
        """Take in a namespace; whether its labels, or whether it is there to stay, are other than was known."""
        self._note_end(body, gone=gone)
        namespace = Namespace.read(body)
        held = self.namespaces.get(namespace.name)
        known = held if held is not None and held.uid == namespace.uid else None
        if gone:
            if known is not None:
                del self.namespaces[namespace.name]
            return True
        if self._is_over(body) or (known is not None and not is_older(known.resource_version, namespace.resource_version)):
            return False
        self.namespaces[namespace.name] = namespace
        return known is None or (known.labels, known.is_ending) != (namespace.labels, namespace.is_ending)

    def labels_of(self, namespace: str) -> Mapping[str, str] | None:
        """The labels of a namespace; None where they have not been read."""
        known = self.namespaces.get(namespace)
        return known.labels if known is not None else None

    def note_secret(self, body: dict[str, Any], *, gone: bool = False, sealed: Sealed | None = None) -> set[str]:
        """Take in a Secret of ours, with what it holds where somebody has read that; the uids of the grants that it concerns."""
        self._note_end(body, gone=gone)
        if not gone and self._is_over(body):
            return set()
        metadata = body["metadata"]
        ours = metadata["namespace"] == self.operator_namespace
        if self.is_sealed(body):
            return self._note_sealed(body, sealed, gone=gone)
        if ours and body.get("type") == RECOVERED_TYPE:
            return self.aside.note(body, gone=gone)
        if ours and body.get("type") == ANSWER_TYPE:
            return self._note_answer(body, gone=gone)
        if is_delivered(body):
            return self._note_copy(body, gone=gone)
        return set()

    def grant_named(self, namespace: str, name: str) -> UserGrant | None:
        """The grant of this name."""
        uid = self._uids.get((namespace, name))
        return self.grants.get(uid) if uid is not None else None

    def limits_of(self, connector: Name) -> LimitsSpec:
        """How hard the server of a connector may be asked; as usual where the connector is gone."""
        found = self.connectors.get(connector)
        return found.spec.limits if found is not None else LimitsSpec()

    def by_expiry(self) -> list[str]:
        """The uids of all grants, those first whose access token runs out first: by the hints, for nothing hangs on it."""
        metas = {uid: sealed.meta for uid, sealed in self.sealed.items()}
        never = datetime.max.replace(tzinfo=UTC)
        return sorted(self.grants, key=lambda uid: (meta.expires_at if (meta := metas.get(uid)) else None) or never)

    def grants_of(self, connector: Name) -> Iterable[UserGrant]:
        """The grants that refer to this connector."""
        return [self.grants[uid] for uid in self._users.get(connector, ()) if uid in self.grants]

    def count_grants(self, connector: Name) -> int:
        """How many grants refer to this connector."""
        return len(self._users.get(connector, ()))

    def is_claimed_by(self, holder: Holder) -> bool:
        """Whether a claim of this holder stands whose outcome it still awaits, or has not stored yet."""
        claims = (sealed.claim for sealed in self.sealed.values())
        return any(claim is not None and claim.holder == holder and not claim.lost for claim in claims)

    def answers_to(self, grant: UserGrant) -> dict[str, ConsentAnswer]:
        """The answers that wait for this grant, by the names of their Secrets."""
        return self.answers.get((grant.metadata.namespace, grant.metadata.name), {})

    def drop_answer(self, answer: ConsentAnswer) -> None:
        """Forget an answer that has been dealt with; another one may bear its name by now."""
        waiting = self.answers.get((answer.namespace, answer.grant), {})
        if (known := waiting.get(answer.secret_name)) is not None and known.secret_uid == answer.secret_uid:
            del waiting[answer.secret_name]

    def copies_of(self, sealed: Sealed) -> dict[str, DeliveredCopy]:
        """The delivered Secrets that stand under the names of a grant's recorded deliveries."""
        return {name: self.copies[sealed.namespace, name] for name in sealed.deliveries if (sealed.namespace, name) in self.copies}

    def bring_up_to_date(self, grant: UserGrant, sealed: Sealed) -> dict[str, Delivery]:
        """The deliveries to record with the next write of the sealed Secret."""
        return bring_up_to_date(sealed.deliveries, self.copies_of(sealed), [spec.name for spec in grant.spec.secrets])

    def take_stock(self) -> frozenset[Name]:
        """Everything that is known, as kinds and keys. From here on, what goes stays gone, though a list may still show it."""
        self._ended.clear()
        return frozenset(
            [("grant", uid) for uid in self.grants]
            + [("connector", "/".join((*name, connector.metadata.uid))) for name, connector in self.connectors.items()]
            + [("sealed", uid) for uid in {*self.sealed, *self.unreadable}]
            + [("copy", "/".join((*name, copy.uid))) for name, copy in self.copies.items()]
            + [("namespace", f"{name}/{namespace.uid}") for name, namespace in self.namespaces.items()]
            + [("aside", uid) for uid in self.aside.secret_uids]
        )

    def stock_of(
        self, *, secrets: Objects = (), connectors: Objects = (), grants: Objects = (), namespaces: Objects = ()
    ) -> frozenset[Name]:
        """What is in lists, as kinds and keys. Only names are looked at: what cannot be read is there all the same."""
        return frozenset(
            [("grant", body["metadata"]["uid"]) for body in grants]
            + [("connector", _key(body)) for body in connectors]
            + [("sealed", body["metadata"]["name"].removeprefix("grant-")) for body in secrets if self.is_sealed(body)]
            + [("copy", _key(body)) for body in secrets if is_delivered(body)]
            + [("aside", body["metadata"]["uid"]) for body in secrets if body.get("type") == RECOVERED_TYPE]
            + [("namespace", f"{body['metadata']['name']}/{body['metadata']['uid']}") for body in namespaces]
        )

    def forget(self, known: frozenset[Name], present: frozenset[Name]) -> None:
        """Drop what was known before a list was asked for and is not in what it gave: its deletion was missed."""
        for kind, key in known - present:
            self._forget(kind, key)

    def _forget(self, kind: str, key: str) -> None:
        match kind:
            case "grant":
                if key in self.grants:
                    self.drop_grant(self.grants[key])
            case "connector":
                namespace, name, uid = key.split("/")
                if (connector := self.connectors.get((namespace, name))) is not None and connector.metadata.uid == uid:
                    del self.connectors[namespace, name]
            case "sealed":
                self.sealed.pop(key, None)
                self.unreadable.discard(key)
            case "aside":
                self.aside.forget(key)
            case "namespace":
                name, uid = key.split("/")
                if (there := self.namespaces.get(name)) is not None and there.uid == uid:
                    del self.namespaces[name]
            case _:
                namespace, name, uid = key.split("/")
                if (copy := self.copies.get((namespace, name))) is not None and copy.uid == uid:
                    del self.copies[namespace, name]

    def drop_grant(self, grant: UserGrant) -> None:
        """Forget a grant that is gone."""
        uid, name = grant.metadata.uid, (grant.metadata.namespace, grant.metadata.name)
        self.grants.pop(uid, None)
        self._users[grant.connector_name].discard(uid)
        if self._uids.get(name) == uid:
            del self._uids[name]

    def is_sealed(self, body: dict[str, Any]) -> bool:
        """Whether an object is the sealed Secret of a grant."""
        return body["metadata"]["namespace"] == self.operator_namespace and body.get("type") == SEALED_TYPE

    def _note_end(self, body: dict[str, Any], *, gone: bool) -> None:
        metadata = body["metadata"]
        if gone and "uid" in metadata:
            self._ended[metadata["uid"]] = metadata["resourceVersion"]

    def _is_over(self, body: dict[str, Any]) -> bool:
        """Whether this is how an object was before it went. A Secret that only lost its label may come back, at a later version."""
        metadata = body["metadata"]
        return metadata["uid"] in self._ended and not is_older(self._ended[metadata["uid"]], metadata["resourceVersion"])

    def _note_sealed(self, body: dict[str, Any], sealed: Sealed | None, *, gone: bool) -> set[str]:
        standing = self.sealed.get(body["metadata"]["name"].removeprefix("grant-"))
        if standing is not None and not gone and is_echo(body, standing.resource_version):
            return set()
        try:
            sealed = sealed or read_sealed(body)
        except (ValueError, KeyError):
            uid = str(body["metadata"]["name"]).removeprefix("grant-")
            self.unreadable.discard(uid) if gone else self.unreadable.add(uid)
            return {uid}
        self.unreadable.discard(sealed.uid)
        known = self.sealed.get(sealed.uid)
        if gone:
            if known is not None and not is_older(sealed.resource_version, known.resource_version):
                del self.sealed[sealed.uid]
        else:
            self.sealed[sealed.uid] = sealed
        return {sealed.uid}

    def _note_answer(self, body: dict[str, Any], *, gone: bool) -> set[str]:
        try:
            answer = read_answer(body)
        except (ValueError, KeyError):
            log.warning("an answer cannot be read", secret=body["metadata"]["name"])
            return set()
        if gone:
            self.drop_answer(answer)
            return set()
        self.answers[answer.namespace, answer.grant][answer.secret_name] = answer
        grant = self.grant_named(answer.namespace, answer.grant)
        return {grant.metadata.uid} if grant is not None else set()

    def _note_copy(self, body: dict[str, Any], *, gone: bool) -> set[str]:
        name = (body["metadata"]["namespace"], body["metadata"]["name"])
        known = self.copies.get(name)
        if known is not None and not gone and known.uid == body["metadata"]["uid"] and is_echo(body, known.resource_version):
            return set()
        copy = read_copy(body)
        if gone:
            if known is not None and known.uid == copy.uid:
                del self.copies[name]
        else:
            self.copies[name] = copy
        return {owner for owner in (copy.owner, known.owner if known else None) if owner is not None}


def is_delivered(body: dict[str, Any]) -> bool:
    """Whether a Secret is one that a grant asked for."""
    return (body["metadata"].get("labels") or {}).get(KIND_LABEL) == "delivered"


def _key(body: dict[str, Any]) -> str:
    return "/".join(body["metadata"][member] for member in ("namespace", "name", "uid"))
