"""Everyday life as a model: what people and misfortunes have done, and which states of each grant that admits.

Where only luck decides (an answer was cut, a process was killed), a grant has several possible fates until it has settled; then
the one that is seen is the one that it had. Nothing here asks the operator what to expect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import httpx

from cluster.stage import API, CLIENT_SECRET
from cluster.witness import Witness
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Installation

Object = dict[str, Any]
Name = tuple[str, str]
"""Namespace and name."""

MERGE = {"Content-Type": "application/merge-patch+json"}
SHORT, LONG = 20, 24 * 3600
"""Seconds that access tokens live: some are refreshed all the time, others never within a run."""
FAULTY = "password [[ refresh_token ]]"


class Fate(StrEnum):
    """What became of a grant's consent; the value is the reason that `Authorized` gives."""

    AWAITED = "AwaitingConsent"
    DENIED = "ConsentDenied"
    FAILED = "ExchangeFailed"
    MISMATCHED = "AccountMismatch"
    HELD = "Consented"
    DEAD = "ReauthorizationRequired"

    @property
    def holds_tokens(self) -> bool:
        """Whether there is a sealed set."""
        return self in {Fate.HELD, Fate.DEAD}


class ClientSecret(StrEnum):
    """How a connector's client Secret stands."""

    RIGHT = "right"
    WRONG = "wrong"
    UNLABELLED = "unlabelled"
    MISSING = "missing"


@dataclass(slots=True)
class Connector:
    """A connector as people have left it."""

    namespace: str
    name: str
    lifetime: int
    exists: bool = False
    client: str = ""
    secret: ClientSecret = ClientSecret.MISSING

    @property
    def path(self) -> str:
        """Its API path."""
        return f"{API}/namespaces/{self.namespace}/oauthconnectors/{self.name}"

    @property
    def clients(self) -> tuple[str, str]:
        """The clients that it may be."""
        first = f"{self.name}-of-{self.namespace}"
        return first, f"{first}-2"

    @property
    def is_sound(self) -> bool:
        """Whether grants can be asked for and refreshed by it while its server is up."""
        return self.exists and self.secret is ClientSecret.RIGHT


@dataclass(slots=True)
class Grant:
    """A grant as people have left it. `spec` is None while there is none."""

    namespace: str
    name: str
    connector: Connector
    spec: Object | None = None
    uid: str = ""
    fates: set[Fate] = field(default_factory=set)
    client: str = ""
    """The client that its tokens belong to."""
    is_forgotten: bool = False
    """The server has dropped what it issued, and nobody here can have noticed."""
    may_be_finalized: bool = False
    """A code has been presented for it, so it may not go at once."""

    @property
    def path(self) -> str:
        """Its API path."""
        return f"{API}/namespaces/{self.namespace}/usergrants/{self.name}"

    @property
    def account(self) -> str:
        """Who consents; nobody consents for two grants."""
        return f"{self.name}-of-{self.namespace}"

    @property
    def entries(self) -> list[Object]:
        """What is to be delivered."""
        return list(self.spec["secrets"]) if self.spec else []

    @property
    def fate(self) -> Fate | None:
        """The one fate that it can have; None where that is open."""
        return next(iter(self.fates)) if len(self.fates) == 1 else None

    @property
    def is_replaced(self) -> bool:
        """Whether its tokens, if it has any, belong to another client than the connector's."""
        return self.connector.exists and self.client != self.connector.client

    @property
    def is_refreshed(self) -> bool:
        """Whether it surely holds tokens that are refreshed again and again."""
        fits = self.spec is not None and self.fate is Fate.HELD and not self.is_replaced
        return fits and self.connector.is_sound and self.connector.lifetime == SHORT and not self.is_forgotten


@dataclass(slots=True)
class Life:
    """Everything that there is, and what has been done to it."""

    control_plane: ControlPlane
    auth_server: AuthServer
    installation: Installation
    witness: Witness
    api: httpx.Client
    connectors: list[Connector]
    grants: list[Grant]
    foreign: set[Name] = field(default_factory=set)
    """Secrets of somebody else's, under names that grants may ask for."""
    down: set[str] = field(default_factory=set)
    """Of controller, consent and server."""
    gone: set[str] = field(default_factory=set)
    """Uids of grants that were deleted."""
    may_be_kept: set[str] = field(default_factory=set)
    """Of these, the ones whose tokens need not open any more: what is sealed is kept then."""
    misfortunes: list[datetime] = field(default_factory=list)
    """When something happened that excuses presenting a refresh token once more."""
    edits: list[datetime] = field(default_factory=list)
    """When a spec changed: what was refused may then be tried again."""

    # What people do with objects

    def apply(self, path: str, body: Object) -> Object:
        """Create an object; its path is that of its collection."""
        answer = self.api.post(path, json=body)
        answer.raise_for_status()
        return dict(answer.json())

    def patch(self, path: str, change: Object) -> bool:
        """Change an object; False where there is none."""
        answer = self.api.patch(path, json=change, headers=MERGE)
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()
        return answer.is_success

    def find(self, path: str) -> Object | None:
        """An object, or None."""
        answer = self.api.get(path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return dict(answer.json())

    def edit(self, grant: Grant, **fields: Any) -> None:
        """Change fields of a grant's spec; None takes one away."""
        assert grant.spec is not None
        grant.spec = {key: value for key, value in {**grant.spec, **fields}.items() if value is not None}
        self.edits.append(datetime.now(UTC))
        assert self.patch(grant.path, {"spec": fields}), f"{grant.path} is gone"

    def register(self, connector: Connector, lifetime: int) -> None:
        """Make a connector's clients known to the authorization server, or change how long their tokens live."""
        connector.lifetime = lifetime
        redirect = f"{self.installation.external_url}/callback/{connector.namespace}/{connector.name}"
        for client in connector.clients:
            self.auth_server.register(client, CLIENT_SECRET, redirect_uris=[redirect], lifetime=lifetime)

    def put_client_secret(self, connector: Connector, state: ClientSecret) -> None:
        """Bring a connector's client Secret into this state."""
        path = f"/api/v1/namespaces/{connector.namespace}/secrets/{connector.name}-client"
        self.api.delete(path)
        connector.secret = state
        if state is ClientSecret.MISSING:
            return
        labels = {} if state is ClientSecret.UNLABELLED else {"grantkeeper.dev/connector": connector.name}
        value = "not-this-one-at-all" if state is ClientSecret.WRONG else CLIENT_SECRET
        self.apply(
            path.rpartition("/")[0],
            {"metadata": {"name": f"{connector.name}-client", "labels": labels}, "stringData": {"clientSecret": value}},
        )

    # What fate does

    def doubt(self) -> None:
        """Something happened by which a refresh token that is in flight may be lost."""
        self.misfortunes.append(datetime.now(UTC))
        for grant in self.grants:
            if Fate.HELD in grant.fates and grant.connector.lifetime == SHORT:
                grant.fates.add(Fate.DEAD)

    def fell(self, part: str, end: Callable[[], object]) -> None:
        """Take the controller, consent or the server down."""
        end()
        self.down.add(part)

    def raise_up(self, part: str) -> None:
        """Bring it back, if it is down."""
        if part not in self.down:
            return
        self.down.discard(part)
        if part == "server":
            self.auth_server.start()
        else:
            container = self.installation.controller if part == "controller" else self.installation.consent
            container.start()
            container.wait_until_ready()

    # What must come to hold

    def reasons(self, grant: Grant) -> set[str]:
        """The reasons that `Ready` may give once everything has settled and no part is down."""
        if not grant.connector.exists:
            return {"ConnectorNotFound"}
        if any(FAULTY in entry.get("templates", {}).values() for entry in grant.entries):
            return {"InvalidTemplate"}
        return {reason for fate in grant.fates for reason in self._reasons_of(grant, fate)}

    def _reasons_of(self, grant: Grant, fate: Fate) -> Iterator[str]:
        is_unused = not grant.connector.is_sound  # then a dead refresh token is not noticed either
        if fate.holds_tokens and grant.is_replaced:
            yield "ConnectorReplaced"
            return
        if fate is Fate.HELD or (fate is Fate.DEAD and is_unused):
            is_in_the_way = any((grant.namespace, entry["name"]) in self.foreign for entry in grant.entries)
            yield "SecretConflict" if is_in_the_way else "Ready"
            if is_unused and grant.connector.lifetime == SHORT:
                yield from ("ConnectorNotReady", "RefreshFailing", "Expired")
        if fate is not Fate.HELD:
            yield str(fate)
        if fate is Fate.AWAITED and is_unused:
            yield "Pending"
