"""Compare the delivered Secrets with what they should be, and remember for a while what stands in the way of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from grantkeeper.controller.registry import Registry
from grantkeeper.controller.seals import OpenedTokens
from grantkeeper.core import rendering, templates
from grantkeeper.core.facts import Copy, SecretFacts
from grantkeeper.core.records import Delivery, Sealed
from grantkeeper.resources import SecretSpec, UserGrant


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a delivered Secret could not be written, and when that is tried again."""

    copy: Copy
    detail: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A delivered Secret written out, and what from: within a pass it is compared more than once, and delivered."""

    grant: UserGrant
    spec: SecretSpec
    opened: OpenedTokens
    delivery: Delivery | None
    body: dict[str, Any]
    digest: str

    @classmethod
    def write(cls, grant: UserGrant, spec: SecretSpec, opened: OpenedTokens, delivery: Delivery | None) -> Draft:
        """As it should be; TemplateTooLong where it cannot be."""
        body = rendering.write_copy(grant, spec, opened.tokens.lend(opened.generation), delivery.id if delivery else "")
        return cls(grant, spec, opened, delivery, body, rendering.digest(body))

    def is_of(self, grant: UserGrant, spec: SecretSpec, opened: OpenedTokens, delivery: Delivery | None) -> bool:
        """Whether nothing is another than what it was written from."""
        return self.opened is opened and self.spec is spec and self.grant.spec is grant.spec and self.delivery == delivery


Drafts = dict[str, Draft]
"""By the names of the Secrets, for one grant."""


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares those of one grant at a time, from memory."""

    registry: Registry
    _obstacles: dict[tuple[str, str], Obstacle] = field(default_factory=dict)
    """By the grant's uid and the Secret's name."""

    def compare(
        self, grant: UserGrant, sealed: Sealed | None, opened: OpenedTokens | None, now: datetime, drafts: Drafts
    ) -> tuple[SecretFacts, ...]:
        """How each Secret that the grant asks for stands; what is written out for that is left in `drafts`."""
        self._forget(grant.metadata.uid, but={spec.name for spec in grant.spec.secrets})
        return tuple(self._compare(grant, spec, sealed, opened, now, drafts) for spec in grant.spec.secrets)

    def find_handed_out(self, sealed: Sealed | None) -> tuple[str, ...]:
        """The delivered Secrets that are ours, asked for or not."""
        return rendering.find_surplus(sealed.deliveries, self.registry.copies_of(sealed), ()) if sealed is not None else ()

    def stand_off(self, grant: UserGrant, name: str, obstacle: Obstacle) -> None:
        """Remember that a Secret could not be written."""
        self._obstacles[grant.metadata.uid, name] = obstacle

    def try_again_at(self, grant: UserGrant) -> datetime | None:
        """When the first of those that could not be written may be tried again."""
        return min((obstacle.until for (uid, _), obstacle in self._obstacles.items() if uid == grant.metadata.uid), default=None)

    def forget(self, uid: str) -> None:
        """The grant is gone."""
        self._forget(uid, but=set())

    def _forget(self, uid: str, *, but: set[str]) -> None:
        for key in [key for key in self._obstacles if key[0] == uid and key[1] not in but]:
            del self._obstacles[key]

    def _compare(
        self, grant: UserGrant, spec: SecretSpec, sealed: Sealed | None, opened: OpenedTokens | None, now: datetime, drafts: Drafts
    ) -> SecretFacts:
        name = spec.name
        obstacle = self._obstacles.get((grant.metadata.uid, name))
        if obstacle is not None:
            if now < obstacle.until:
                return SecretFacts(name, obstacle.copy, obstacle.detail)
            del self._obstacles[grant.metadata.uid, name]
        copy = self.registry.copies.get((grant.metadata.namespace, name))
        delivery = sealed.deliveries.get(name) if sealed else None
        if opened is None:
            current = copy is not None and sealed is not None and sealed.meta is not None and copy.generation == sealed.meta.generation
            return SecretFacts(name, Copy.CURRENT if current else Copy.STALE)
        if any(templates.find_fault(text) for text in spec.templates.values()):
            return SecretFacts(name, Copy.UNWRITABLE, "one of its templates cannot be filled")
        try:
            draft = drafts.get(name)
            if draft is None or not draft.is_of(grant, spec, opened, delivery):
                draft = drafts[name] = Draft.write(grant, spec, opened, delivery)
        except templates.TemplateTooLong as error:
            return SecretFacts(name, Copy.UNWRITABLE, str(error))
        return SecretFacts(name, rendering.compare(copy, delivery, draft.body, draft.digest))
