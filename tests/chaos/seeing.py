"""What is there of one grant: in the cluster, at the authorization server, and on the Pod's disk; and what is wrong with it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from chaos.entries import read_entries
from chaos.serving import Server
from grantkeeper.controller.seals import Seals
from grantkeeper.core.keyring import Keyring
from grantkeeper.core.records import Claim, Sealed, describe, read_sealed, write_sealed
from grantkeeper.core.schedule import reserve
from grantkeeper.core.tokens import TokenSet
from grantkeeper.resources import OAuthConnector, UserGrant

Object = dict[str, Any]

API = "/apis/grantkeeper.dev/v1alpha1"
MOST = 2
"""How often a refresh token is ever presented."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a grant."""

    uid: str
    grant: Object | None
    sealed: Sealed | None
    tokens: TokenSet | None
    """As they are sealed."""
    delivered: str | None
    """The access token in the delivered Secret."""
    dead: tuple[str, ...]
    """What is sealed, and not accepted by the server any more: access token, refresh token."""
    leftovers: tuple[str, ...]
    """Secrets that should not be there: answers that were not cleared away."""
    aside: int
    """How many sets that came second were kept aside."""
    entries: int
    """In the journal."""

    @property
    def ready(self) -> Object:
        """The condition Ready."""
        conditions = ((self.grant or {}).get("status") or {}).get("conditions", [])
        return next((dict(c) for c in conditions if c["type"] == "Ready"), {"status": "Unknown", "reason": ""})

    @property
    def is_ready(self) -> bool:
        """Whether the grant says that a live token is delivered."""
        return bool(self.ready["status"] == "True")

    @property
    def reason(self) -> str:
        """The reason of Ready."""
        return str(self.ready["reason"])

    @property
    def is_settled(self) -> bool:
        """Whether it is ready and nothing is left to do."""
        return self.is_ready and not self.find_faults()

    @property
    def link(self) -> str | None:
        """The consent link."""
        return ((self.grant or {}).get("status") or {}).get("consentURL")

    @property
    def risk_at(self) -> float | None:
        """From when on nothing of use is lost with the access token, in seconds since the epoch."""
        if self.tokens is None or self.tokens.expires_at is None:
            return None
        return (self.tokens.expires_at - reserve(self.tokens.expires_at - self.tokens.obtained_at)).timestamp()

    def find_faults(self) -> tuple[str, ...]:
        """What must never be, whatever came of the crash."""
        return (*self._find_remains(), *(self._find_lies() if self.is_ready else ()))

    def _find_remains(self) -> tuple[str, ...]:
        claim = self.sealed.claim if self.sealed else None
        faults = [*self.leftovers]
        if claim is not None and not _is_verdict(claim):
            faults.append("a claim stands")
        if self.entries:
            faults.append("the journal is not empty")
        if self.grant is None and (self.sealed is not None or self.delivered is not None):
            faults.append("a Secret outlived the grant")
        return tuple(faults)

    def _find_lies(self) -> tuple[str, ...]:
        if self.tokens is None:
            return ("nothing is sealed",)
        is_current = self.tokens.access_token.get_secret_value() == self.delivered
        return (*(f"the sealed {kind} is dead" for kind in self.dead), *(() if is_current else ("delivered is not what is sealed",)))


def _is_verdict(claim: Claim) -> bool:
    """A claim that says that the token may never be presented again is no attempt any more; it stays until somebody consents."""
    return claim.lost and claim.presentations >= MOST


@dataclass(slots=True)
class Eyes:
    """Looks with the administrator's rights."""

    client: httpx.Client
    server: Server
    namespace: str
    home: str
    """The operator's namespace."""
    journal: Path
    _uids: dict[str, str] = field(default_factory=dict)
    _seals: Seals | None = None
    _connectors: dict[str, OAuthConnector] = field(default_factory=dict)

    def get(self, path: str) -> Object | None:
        """An object by its API path; None where there is none."""
        answer = self.client.get(path)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        return dict(answer.raise_for_status().json())

    def find_entries(self, uid: str) -> list[str]:
        """The attempts that the journal has entries of, for one grant."""
        return [gain["attempt"] for gain, _ in read_entries(self.journal) if gain["uid"] == uid]

    def look(self, name: str) -> Sight:
        """Look at one grant, which may be gone by now."""
        grant = self.get(f"{API}/namespaces/{self.namespace}/usergrants/{name}")
        uid = self._uids.setdefault(name, grant["metadata"]["uid"]) if grant else self._uids[name]
        secret = self.get(f"/api/v1/namespaces/{self.home}/secrets/grant-{uid}")
        sealed = read_sealed(secret) if secret else None
        tokens = self._open(sealed, grant)
        copy = self.get(f"/api/v1/namespaces/{self.namespace}/secrets/{name}-token")
        delivered = base64.b64decode(copy["data"]["access_token"]).decode() if copy else None
        return Sight(
            uid=uid,
            grant=grant,
            sealed=sealed,
            tokens=tokens,
            delivered=delivered,
            dead=self._find_dead(tokens),
            leftovers=self._find_answers(name),
            aside=self._count_aside(uid),
            entries=len(self.find_entries(uid)),
        )

    def store_as_rival(self, name: str) -> None:
        """Do as another controller that has taken over: present what is sealed, and store what comes."""
        sight = self.look(name)
        assert sight.grant is not None
        assert sight.sealed is not None
        assert sight.tokens is not None
        assert sight.sealed.meta is not None
        connector, held = self._connector_of(sight.grant), sight.tokens
        assert held.refresh_token is not None
        came = self.server.refresh(held.refresh_token.get_secret_value())
        now = datetime.now(UTC)
        tokens = held.model_copy(
            update={
                "access_token": SecretStr(came["access_token"]),
                "refresh_token": SecretStr(came.get("refresh_token", held.refresh_token.get_secret_value())),
                "obtained_at": now,
                "expires_at": now + timedelta(seconds=came["expires_in"]),
            }
        )
        seals, generation = self._unsealer(), sight.sealed.meta.generation + 1
        key, grant = seals.prepare(), UserGrant.read(sight.grant)
        text = seals.seal_tokens(tokens, grant, connector.spec, generation=generation, key=key)
        meta = describe(tokens, generation=generation, attempt="a rival's", kid=key.kid)
        stored = write_sealed(sight.sealed.model_copy(update={"tokenset": text, "claim": None, "meta": meta}), self.home)
        self.client.put(f"/api/v1/namespaces/{self.home}/secrets/{sight.sealed.secret_name}", json=stored).raise_for_status()

    def _open(self, sealed: Sealed | None, grant: Object | None) -> TokenSet | None:
        if sealed is None or sealed.tokenset is None or grant is None:
            return None
        opened = self._unsealer().open_tokens(sealed, self._connector_of(grant).spec)
        return opened.tokens if opened else None

    def _unsealer(self) -> Seals:
        if self._seals is None:
            keyring = self.get(f"/api/v1/namespaces/{self.home}/secrets/grantkeeper-keyring") or {}
            files = {name: base64.b64decode(held) for name, held in keyring["data"].items()}
            cluster = self.get("/api/v1/namespaces/kube-system") or {}
            self._seals = Seals(lambda: Keyring.from_files(files), cluster["metadata"]["uid"])
        return self._seals

    def _connector_of(self, grant: Object) -> OAuthConnector:
        name = grant["spec"]["connectorRef"]["name"]
        if name not in self._connectors:
            body = self.get(f"{API}/namespaces/{self.namespace}/oauthconnectors/{name}")
            self._connectors[name] = OAuthConnector.model_validate(body)
        return self._connectors[name]

    def _find_dead(self, tokens: TokenSet | None) -> tuple[str, ...]:
        held = {} if tokens is None else {"access token": tokens.access_token, "refresh token": tokens.refresh_token}
        return tuple(kind for kind, token in held.items() if token is None or not self.server.is_active(token.get_secret_value()))

    def _find_answers(self, name: str) -> tuple[str, ...]:
        answers = [body for body in self._list("answer") if base64.b64decode(body["data"]["grant"]).decode() == name]
        return tuple("an answer is left" for _ in answers)

    def _count_aside(self, uid: str) -> int:
        return sum(body["metadata"]["name"].startswith(f"recovered-{uid}-") for body in self._list("recovered"))

    def _list(self, kind: str) -> list[Object]:
        return list((self.get(f"/api/v1/namespaces/{self.home}/secrets?labelSelector=grantkeeper.dev/kind={kind}") or {})["items"])
