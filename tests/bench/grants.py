"""Ten thousand grants within minutes: sealed, delivered and reported by the operator's own core, under the keyring of this run.

Where the controller would report them otherwise, it does so when it first sees them: it settles once, and then has nothing to write.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from bench.tokens import Turn, access_token, refresh_token
from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS, Cluster
from grantkeeper.core import sealing
from grantkeeper.core.facts import ConnectorFacts, Copy, Facts, Holding, SecretFacts
from grantkeeper.core.keyring import Keyring
from grantkeeper.core.planning import plan
from grantkeeper.core.records import Delivery, Meta, Sealed, read_sealed, write_sealed
from grantkeeper.core.rendering import write_copy
from grantkeeper.core.reporting import describe_grant, patch_status
from grantkeeper.core.schedule import due_at
from grantkeeper.core.tokens import IDClaims, TokenSet, fingerprint, write_payload
from grantkeeper.resources import FINALIZER, GROUP, VERSION, OAuthConnector, UserGrant

Object = dict[str, Any]
Say = Callable[[str], None]
"""Takes how far it has come."""

NAMESPACE, CONNECTOR = "bench", "scripted"
IN_FLIGHT = 32
CLIENT_SECRET = "bench-client-secret"


def grant_name(index: int) -> str:
    """The name of a grant; in the order of their indexes."""
    return f"person-{index:05}"


def secret_name(index: int) -> str:
    """The name of its delivered Secret."""
    return f"{grant_name(index)}-token"


async def make_connector(cluster: Cluster, url: str, ca_bundle: bytes, *, cap: int) -> None:
    """A namespace with a client Secret and a connector. An API server whose connectors know no cap drops it."""
    await cluster.create(NAMESPACES, None, {"metadata": {"name": NAMESPACE}})
    client = {
        "metadata": {"name": "scripted-client", "labels": {"grantkeeper.dev/connector": CONNECTOR}},
        "stringData": {"clientSecret": CLIENT_SECRET},
    }
    await cluster.create(SECRETS, NAMESPACE, client)
    connector = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "OAuthConnector",
        "metadata": {"name": CONNECTOR},
        "spec": {
            "endpoints": {"authorization": f"{url}/authorize", "token": f"{url}/token"},
            "caBundle": base64.b64encode(ca_bundle).decode(),
            "clientID": "bench",
            "clientSecretRef": {"name": "scripted-client"},
            "scopes": ["calendar.read"],
            "consent": {"link": "Status"},
            "limits": {"requestsPerSecond": cap},
        },
    }
    await cluster.create(OAUTHCONNECTORS, NAMESPACE, connector)


def grant_manifest(index: int) -> Object:
    """A grant that delivers to one Secret, held by the finalizer as every grant with tokens."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "UserGrant",
        "metadata": {"name": grant_name(index), "namespace": NAMESPACE, "finalizers": [FINALIZER]},
        "spec": {
            "connectorRef": {"name": CONNECTOR},
            "user": f"person-{index}@example.com",
            "purpose": "Show your next appointments on the team's dashboard",
            "secrets": [{"name": secret_name(index)}],
        },
    }


def token_set(turn: Turn, obtained_at: datetime, lifetime: timedelta) -> TokenSet:
    """A set as a token endpoint gave it at that time."""
    return TokenSet(
        access_token=SecretStr(access_token(turn)),
        refresh_token=SecretStr(refresh_token(turn)),
        token_type="Bearer",
        scope="calendar.read",
        obtained_at=obtained_at,
        expires_at=obtained_at + lifetime,
        id_claims=IDClaims(sub=f"account-{turn.grant}", email=f"person-{turn.grant}@example.com", email_verified=True),
    )


def report(grant: UserGrant, connector: OAuthConnector, sealed: Sealed, tokens: TokenSet) -> Object:
    """The patch by which the controller would say that all is well, so that it has not to say it ten thousand times."""
    assert tokens.expires_at is not None
    holding = Holding(
        generation=1,
        obtained_at=tokens.obtained_at,
        expires_at=tokens.expires_at,
        due_at=due_at(
            obtained_at=tokens.obtained_at,
            expires_at=tokens.expires_at,
            percent=connector.spec.refresh.lifetime_percent,
            uid=grant.metadata.uid,
        ),
        scopes=tokens.scopes,
        account=tokens.id_claims,
        refresh_hash=fingerprint(tokens.refresh_token) if tokens.refresh_token else None,
    )
    facts = Facts(
        now=tokens.obtained_at,
        is_deleting=False,
        is_held=True,
        connector=ConnectorFacts(connector.metadata.name, exists=True, ready=True, endpoints_known=True),
        holding=holding,
        secrets=tuple(SecretFacts(spec.name, Copy.CURRENT) for spec in grant.spec.secrets),
    )
    described = describe_grant(grant, facts, plan(facts), sealed, (), link_root="")
    return patch_status(grant.status, described, grant.metadata.resource_version) or {}


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals and opens for one connector of one cluster, by the core alone."""

    keyring: Keyring
    cluster_uid: str
    connector: OAuthConnector

    def write(self, sealed: Sealed, tokens: TokenSet, generation: int) -> Sealed:
        """The record with this set in it."""
        key = sealing.prepare(self.keyring)
        text = sealing.seal(write_payload(tokens), self._context(sealed), generation=generation, key=key)
        meta = Meta(
            generation=generation, attempt=secrets.token_hex(16), obtained_at=tokens.obtained_at, expires_at=tokens.expires_at, kid=key.kid
        )
        return sealed.model_copy(update={"tokenset": text, "meta": meta})

    def read(self, sealed: Sealed) -> tuple[TokenSet, int]:
        """The set in a record, and its generation."""
        opened = sealing.open_sealed(sealed.tokenset or "", self._context(sealed), self.keyring)
        return TokenSet.model_validate_json(opened.payload), opened.generation

    def _context(self, sealed: Sealed) -> sealing.Context:
        return sealing.Context(
            cluster=self.cluster_uid,
            namespace=sealed.namespace,
            name=sealed.name,
            uid=sealed.uid,
            connector_hash=sealing.hash_connector(self.connector.spec),
        )


@dataclass(frozen=True, slots=True)
class Maker:
    """Puts grants into the cluster as the administrator; `home` is the operator's namespace."""

    cluster: Cluster
    home: str
    seal: Seal
    cap: float | None
    """How many token requests a second the connector allows, as the API server stored it; None where connectors know no such limit."""

    @classmethod
    async def find(cls, cluster: Cluster, home: str) -> Maker:
        """With the keyring that the controller made and the connector as it was stored."""
        keyring = await cluster.get(SECRETS, home, "grantkeeper-keyring")
        kube_system = await cluster.get(NAMESPACES, None, "kube-system")
        stored = await cluster.get(OAUTHCONNECTORS, NAMESPACE, CONNECTOR)
        files = {name: base64.b64decode(value) for name, value in keyring["data"].items()}
        seal = Seal(Keyring.from_files(files), kube_system["metadata"]["uid"], OAuthConnector.read(stored))
        return cls(cluster, home, seal, stored["spec"].get("limits", {}).get("requestsPerSecond"))

    async def make(self, indexes: Iterable[int], obtained_at: Callable[[int], datetime], lifetime: timedelta, say: Say) -> None:
        """Grants with their first sets, sealed and delivered."""

        async def one(index: int) -> None:
            grant = UserGrant.read(await self.cluster.create(USERGRANTS, NAMESPACE, grant_manifest(index)))
            tokens, delivery = token_set(Turn(index, 0), obtained_at(index), lifetime), Delivery(id=secrets.token_hex(16))
            blank = Sealed(uid=grant.metadata.uid, namespace=NAMESPACE, name=grant.metadata.name, deliveries={secret_name(index): delivery})
            sealed = self.seal.write(blank, tokens, generation=1)
            await self.cluster.create(SECRETS, self.home, write_sealed(sealed, self.home))
            await self.cluster.create(SECRETS, NAMESPACE, write_copy(grant, grant.spec.secrets[0], tokens.lend(1), delivery.id))
            reported = report(grant, self.seal.connector, sealed, tokens)
            await self.cluster.patch(USERGRANTS, NAMESPACE, grant.metadata.name, reported, subresource="status")

        await _each([one(index) for index in indexes], say)

    async def age(self, indexes: Iterable[int], obtained_at: Callable[[int], datetime], lifetime: timedelta, say: Say) -> None:
        """Seal and deliver the sets that are held anew, as if they had been obtained then. The controller must not run."""
        grants = {body["metadata"]["name"]: UserGrant.read(body) for body in await self.cluster.list(USERGRANTS, NAMESPACE)}
        held = {sealed.name: sealed for sealed in map(read_sealed, await self._list_sealed())}

        async def one(index: int) -> None:
            grant, sealed = grants[grant_name(index)], held[grant_name(index)]
            tokens, generation = self.seal.read(sealed)
            moment = obtained_at(index)
            aged = tokens.model_copy(update={"obtained_at": moment, "expires_at": moment + lifetime})
            await self.cluster.replace(SECRETS, write_sealed(self.seal.write(sealed, aged, generation + 1), self.home))
            spec = grant.spec.secrets[0]
            copy = write_copy(grant, spec, aged.lend(generation + 1), sealed.deliveries[spec.name].id)
            patch = {"data": copy["data"], "metadata": {"annotations": copy["metadata"]["annotations"]}}
            await self.cluster.patch(SECRETS, NAMESPACE, spec.name, patch)

        await _each([one(index) for index in indexes], say)

    async def _list_sealed(self) -> list[Object]:
        return await self.cluster.list(SECRETS, self.home, labels="grantkeeper.dev/kind=sealed")


async def _each(works: list[Awaitable[None]], say: Say) -> None:
    places, done = asyncio.Semaphore(IN_FLIGHT), 0

    async def one(work: Awaitable[None]) -> None:
        nonlocal done
        async with places:
            await work
        done += 1
        say(f"{done:,} of {len(works):,}")

    await asyncio.gather(*map(one, works))
