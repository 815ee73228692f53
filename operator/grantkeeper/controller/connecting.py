"""Connectors: what is learned of each server and client, kept in memory, and said in status.

Nothing of it is stored: it is learned again after a restart. What was learned stays in use while the server is away, and
the client of a connector that was deleted stays known as long as this process lives, so that its grants can still be revoked.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from grantkeeper.adapters.cluster import OAUTHCONNECTORS, SECRETS, Cluster
from grantkeeper.adapters.provider import Provider
from grantkeeper.controller.registry import Name, Registry
from grantkeeper.core.conditions import merge
from grantkeeper.core.metadata import Endpoints, MetadataError, discovery_urls, from_spec, read_metadata
from grantkeeper.core.oauth import Client
from grantkeeper.core.reporting import patch_status
from grantkeeper.core.standing import Problem, Standing, judge_client_secret, judge_connector, reject, rejection
from grantkeeper.errors import Conflict, NotFound, ProviderDistrusted, ProviderError
from grantkeeper.resources import (
    PKCE,
    Condition,
    OAuthConnector,
    OAuthConnectorSpec,
    OAuthConnectorStatus,
    ServerStatus,
)

log = structlog.get_logger()

LOOK_AGAIN = timedelta(seconds=10)
"""How soon a connector that is not ready is looked at again."""
LOOK_ROUTINELY = timedelta(minutes=10)
FETCH_WITHIN = timedelta(seconds=10)


class ConnectorUnready(Exception):
    """The client cannot be used now; the connector's own status says why."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A client as it was last used, for when its connector or its secret has gone."""

    spec: OAuthConnectorSpec
    client: Client
    ca_bundle: bytes | None


@dataclass(slots=True)
class Connectors:
    """All that is known of the servers and clients."""

    registry: Registry
    cluster: Cluster
    provider: Provider
    external_url: str
    clock: Callable[[], datetime]
    changed: Callable[[Name], None]
    """Called when what is known of a connector has changed, so that its grants are looked at."""
    look: Callable[[Name], None]
    """Called to have a connector looked at again."""
    _standings: dict[Name, Standing] = field(default_factory=dict)
    _remembered: dict[Name, Remembered] = field(default_factory=dict)

    def standing(self, name: Name) -> Standing:
        """What is known of a connector now."""
        return self._standings.get(name, Standing())

    def redirect_uri(self, name: Name) -> str:
        """The redirect URI of a connector: distinct for each, so that answers cannot be mixed up (RFC 9700 section 4.4)."""
        return f"{self.external_url}/callback/{name[0]}/{name[1]}"

    async def keep(self, name: Name) -> datetime | None:
        """Look at one connector, say what was found, and when to look again."""
        connector = self.registry.connectors.get(name)
        if connector is None:
            self._standings.pop(name, None)
            self.changed(name)
            return None
        before = self.standing(name)
        standing = await self._look_at_secret(connector, before)
        standing = await self._look_at_server(connector, standing)
        self._standings[name] = standing = replace(standing, generation=connector.metadata.generation, is_judged=True)
        if standing != before:
            self.changed(name)
        await self._report(connector, standing)
        return self.clock() + (LOOK_ROUTINELY if standing.is_ready else LOOK_AGAIN)

    async def client(self, name: Name) -> tuple[Client, bytes | None]:
        """The client as it is to be used now, and its CA bundle. The secret is read anew, so a changed one counts at once."""
        connector = self.registry.connectors.get(name)
        if connector is None:
            raise ConnectorUnready
        standing = await self._look_at_secret(connector, self.standing(name))
        if standing != self.standing(name):
            self._standings[name] = standing
            self.look(name)
        if standing.endpoints is None or standing.secret_problem is not None:
            raise ConnectorUnready
        client = _client(connector, standing.endpoints, standing)
        self._remembered[name] = Remembered(connector.spec, client, _ca_bundle(connector))
        return client, _ca_bundle(connector)

    async def recall(self, name: Name) -> Remembered | None:
        """The client as it is, or as it was last known when its connector or its secret has gone."""
        with suppress(ConnectorUnready):
            await self.client(name)
        return self._remembered.get(name)

    def note_problem(self, name: Name, problem: Problem | None) -> None:
        """What a token request has shown of the server or the client: a problem, or that there is none."""
        standing = self.standing(name)
        if standing.is_judged and standing.reach_problem != problem:
            self._change(name, replace(standing, reach_problem=problem, rejected_at=None))

    def note_rejection(self, name: Name, problem: Problem) -> None:
        """A token request has shown that the server rejects the client."""
        standing = self.standing(name)
        if standing.is_judged and standing.reach_problem != problem:
            self._change(name, reject(standing, problem, self.clock()))

    def _change(self, name: Name, standing: Standing) -> None:
        self._standings[name] = standing
        self.look(name)
        self.changed(name)

    async def _look_at_secret(self, connector: OAuthConnector, standing: Standing) -> Standing:
        reference = connector.spec.client_secret_ref
        body = None
        if reference is not None:
            try:
                body = await self.cluster.get(SECRETS, connector.metadata.namespace, reference.name)
            except NotFound:
                body = None
        found = judge_client_secret(connector, body)
        if isinstance(found, Problem):
            return replace(standing, secret=None, secret_problem=found)
        if found != standing.secret and standing.rejected_at is not None:
            standing = replace(standing, reach_problem=None, rejected_at=None)  # another secret deserves another try
        return replace(standing, secret=found, secret_problem=None)

    async def _look_at_server(self, connector: OAuthConnector, standing: Standing) -> Standing:
        rejected = rejection(standing, generation=connector.metadata.generation, now=self.clock())
        standing = standing if rejected else replace(standing, rejected_at=None)
        try:
            endpoints = await self._discover(connector)
        except MetadataError as error:
            if standing.endpoints is not None:
                return replace(standing, reach_problem=rejected)
            return replace(standing, metadata_problem=Problem(error.reason, str(error)), reach_problem=rejected)
        except ProviderError as error:
            away = Problem("Unreachable", str(error))
            if standing.endpoints is not None or connector.spec.issuer is None:
                known = standing.endpoints or _endpoints_of_spec(connector)
                return replace(standing, endpoints=known, reach_problem=rejected or away)
            return replace(standing, metadata_problem=Problem("DiscoveryFailed", str(error)), reach_problem=rejected or away)
        return replace(standing, endpoints=endpoints, metadata_problem=None, reach_problem=rejected)

    async def _discover(self, connector: OAuthConnector) -> Endpoints:
        ca_bundle = _ca_bundle(connector)
        if connector.spec.issuer is None:
            endpoints = _endpoints_of_spec(connector)
            await self.provider.fetch(endpoints.token, ca_bundle=ca_bundle, timeout=FETCH_WITHIN)  # any answer shows that it is there
            return endpoints
        failure: MetadataError | None = None
        for url in discovery_urls(connector.spec.issuer):
            answer = await self.provider.fetch(url, ca_bundle=ca_bundle, timeout=FETCH_WITHIN)
            try:
                return read_metadata(connector.spec.issuer, answer)
            except MetadataError as error:
                failure = failure if failure is not None and failure.reason == "IssuerMismatch" else error
        if failure is None:
            raise ProviderDistrusted("No metadata address can be made from spec.issuer.")
        raise failure

    async def _report(self, connector: OAuthConnector, standing: Standing) -> None:
        name = (connector.metadata.namespace, connector.metadata.name)
        conditions = merge(
            connector.status.conditions, judge_connector(standing), generation=connector.metadata.generation, now=self.clock()
        )
        server = standing.endpoints and ServerStatus(
            issuer=standing.endpoints.issuer,
            authorization_endpoint=standing.endpoints.authorization,
            iss_parameter_supported=standing.endpoints.iss_parameter_supported,
        )
        desired = OAuthConnectorStatus(
            observed_generation=connector.metadata.generation,
            redirect_uri=self.redirect_uri(name),
            server=server or connector.status.server,
            conditions=tuple(Condition.model_validate(condition) for condition in conditions),
        )
        patch = patch_status(connector.status, desired, connector.metadata.resource_version)
        if patch is None:
            return
        try:
            body = await self.cluster.patch(OAUTHCONNECTORS, *name, patch, subresource="status")
        except (Conflict, NotFound):
            return  # it has just changed: the watch brings it again
        self.registry.note_connector(body)
        log.info("connector judged", namespace=name[0], connector=name[1], ready=standing.is_ready)


def _endpoints_of_spec(connector: OAuthConnector) -> Endpoints:
    if connector.spec.endpoints is None:
        raise MetadataError("DiscoveryFailed", "The connector names neither an issuer nor endpoints.")
    return from_spec(connector.spec.endpoints)


def _client(connector: OAuthConnector, endpoints: Endpoints, standing: Standing) -> Client:
    spec = connector.spec
    return Client(
        client_id=spec.client_id,
        authentication=spec.client_authentication,
        secret=standing.secret,
        endpoints=endpoints,
        pkce=spec.pkce is PKCE.S256,
        scope_separator=spec.scope_separator.character,
        authorization_parameters=spec.authorization_parameters,
        token_parameters=spec.token_parameters,
    )


def _ca_bundle(connector: OAuthConnector) -> bytes | None:
    return base64.b64decode(connector.spec.ca_bundle) if connector.spec.ca_bundle is not None else None
