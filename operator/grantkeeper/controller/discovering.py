"""Discover: what a server says of itself in its metadata, or what the connector says in its place."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from grantkeeper.adapters.provider import Provider
from grantkeeper.controller.measuring import Meter
from grantkeeper.core.catalogue import Preset
from grantkeeper.core.messages import Answer
from grantkeeper.core.metadata import Endpoints, MetadataError, discovery_urls, from_spec, read_metadata
from grantkeeper.core.presets import Habits, find_habits
from grantkeeper.core.reasons import Reason
from grantkeeper.errors import ProviderDistrusted
from grantkeeper.resources import OAuthConnector

FETCH_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Discoverer:
    """Asks one server at a time."""

    provider: Provider
    meter: Meter
    presets: Mapping[str, Preset]

    def habits(self, connector: OAuthConnector) -> Habits:
        """How a connector's server is dealt with; UnknownProvider where it names none."""
        return find_habits(connector.spec, self.presets)

    async def discover(self, connector: OAuthConnector) -> Endpoints:
        """The endpoints; MetadataError for metadata that will not do, another ProviderError where the server cannot be asked."""
        habits = self.habits(connector)
        if habits.issuer is None:
            endpoints = stated_endpoints(habits)
            await self._fetch(endpoints.token, connector)  # any answer shows that it is there
            return endpoints
        failure: MetadataError | None = None
        for url in discovery_urls(habits.issuer):
            answer = await self._fetch(url, connector)
            try:
                return read_metadata(habits.issuer, answer)
            except MetadataError as error:
                failure = failure if failure is not None and failure.reason is Reason.ISSUER_MISMATCH else error
        if failure is None:
            raise ProviderDistrusted("No metadata address can be made from spec.issuer.")
        raise failure

    async def _fetch(self, url: str, connector: OAuthConnector) -> Answer:
        name = (connector.metadata.namespace, connector.metadata.name)
        fetching = self.provider.fetch(url, ca_bundle=ca_bundle(connector), timeout=FETCH_WITHIN)
        return await self.meter.follow(name, "discovery", fetching)


def stated_endpoints(habits: Habits) -> Endpoints:
    """The endpoints that a connector, or its preset, states itself."""
    if habits.endpoints is None:
        raise MetadataError(Reason.DISCOVERY_FAILED, "The connector names no provider, no issuer and no endpoints.")
    return from_spec(habits.endpoints)


def ca_bundle(connector: OAuthConnector) -> bytes | None:
    """The certificates that are trusted for this server besides the system's, in PEM."""
    return base64.b64decode(connector.spec.ca_bundle) if connector.spec.ca_bundle is not None else None
