"""Connectors: what is learned of each server and client, kept in memory.

Nothing of it is stored: it is learned again after a restart. What was learned stays in use while the server is away, and
the client of a connector that was deleted stays known as long as this process lives, so that its grants can still be revoked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from grantkeeper.controller.clientsecrets import ClientSecrets
from grantkeeper.controller.discovering import Discoverer, ca_bundle, stated_endpoints
from grantkeeper.controller.keysets import KeySets
from grantkeeper.controller.pacing import Pacer
from grantkeeper.controller.registry import Name, Registry
from grantkeeper.controller.reporting import Reporter
from grantkeeper.core.clientsecrets import note_client_secrets
from grantkeeper.core.messages import Request
from grantkeeper.core.metadata import Endpoints, MetadataError
from grantkeeper.core.oauth import Client
from grantkeeper.core.reasons import Reason
from grantkeeper.core.rejections import note_rejected
from grantkeeper.core.standing import (
    Problem,
    Standing,
    judge_connector,
    let_lapse,
    note,
    note_change,
    note_inconclusive,
    note_sign,
    note_unanswered,
)
from grantkeeper.errors import ClusterError, ProviderError
from grantkeeper.resources import OAuthConnector, OAuthConnectorSpec

LOOK_AGAIN = timedelta(seconds=10)
"""How soon a connector that is not ready is looked at again."""
LOOK_ROUTINELY = timedelta(minutes=10)
_NOTHING_KNOWN = Standing()
WRONG_ISSUER = "if spec.issuer is wrong, delete this connector and create it anew, since it cannot be changed"


class ConnectorUnready(Exception):
    """The client cannot be used now; the connector's own status says why."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A client as it was last used, for when its connector or its secret has gone."""

    spec: OAuthConnectorSpec
    client: Client
    ca_bundle: bytes | None

    def is_of(self, spec: OAuthConnectorSpec, endpoints: Endpoints, secrets: tuple[SecretStr | None, SecretStr | None]) -> bool:
        """Whether nothing is another than what it was made from."""
        client = self.client
        return self.spec is spec and client.endpoints is endpoints and (client.secret, client.other_secret) == secrets


@dataclass(slots=True)
class Connectors:
    """All that is known of the servers and clients."""

    registry: Registry
    discoverer: Discoverer
    clock: Callable[[], datetime]
    changed: Callable[[Name], None]
    """Called when what is known of a connector has changed, so that its grants are looked at."""
    look: Callable[[Name], None]
    """Called to have a connector looked at again."""
    key_sets: KeySets
    pacer: Pacer
    """Told whenever something is learned that may let a connector's grants go on, or keep them."""
    reporter: Reporter
    secrets: ClientSecrets
    _standings: dict[Name, Standing] = field(default_factory=dict)
    _remembered: dict[Name, Remembered] = field(default_factory=dict)

    def standing(self, name: Name) -> Standing:
        """What is known of a connector now."""
        return self._standings.get(name, _NOTHING_KNOWN)

    def redirect_uri(self, name: Name) -> str:
        """Where the server of a connector sends people back to, as its status says."""
        return self.reporter.redirect_uri(name)

    async def keep(self, name: Name) -> datetime | None:
        """Look at one connector, say what was found, and when to look again."""
        connector = self.registry.connectors.get(name)
        if connector is None:
            self._standings.pop(name, None)
            self.secrets.forget(*name)
            self.key_sets.forget(name)
            self.changed(name)
            self.pacer.serve(name)
            return None
        before = self._start(name, connector)
        lapsed = let_lapse(before, generation=connector.metadata.generation, now=self.clock())
        if before.generation not in {0, connector.metadata.generation}:
            self.changed(name)  # what the spec says counts at once; what the server says may take a while
            lapsed = note_change(lapsed, self.clock())  # what was rejected before may do now
        self._put(name, lapsed)
        read = await self.secrets.read(connector)
        if self._is_replaced(connector):
            return self.clock()
        self._put(name, note_client_secrets(self.standing(name), *read, self.clock()))  # a request may have shown something meanwhile
        found = await self._look_at_server(connector)
        if self._is_replaced(connector):
            return self.clock()
        self._put(name, replace(self.standing(name), **found, generation=connector.metadata.generation, is_judged=True))
        if before.fetch_problem is not None and self.standing(name).fetch_problem is None:
            self._put(name, note_sign(self.standing(name), self.clock()))
        standing = self.standing(name)
        if standing.endpoints is not None and standing.secret_problem is None:
            self._remember(name, connector, standing.endpoints, standing)
        if (standing.is_ready, standing.endpoints, standing.healed_at) != (before.is_ready, before.endpoints, lapsed.healed_at):
            self.changed(name)
        self.pacer.serve(name)
        await self.reporter.report(connector, standing)
        if standing.is_ready and standing.endpoints is not None and standing.endpoints.jwks is not None:
            await self.key_sets.keep(name, standing.endpoints.jwks, ca_bundle(connector))
        again_at = self.clock() + (LOOK_ROUTINELY if standing.is_ready and standing.fallback_problem is None else LOOK_AGAIN)
        return min(again_at, standing.rests_until or again_at)

    def notice_grants(self, name: Name) -> None:
        """The grants of a connector have changed: they are counted in a while, where there are more or fewer than its status says."""
        connector = self.registry.connectors.get(name)
        if connector is not None and connector.status.grants != self.registry.count_grants(name):
            self.reporter.count_later(name)

    async def count(self, name: Name) -> None:
        """Say how many grants a connector has now. One that is still to be judged is left to that, which says it too."""
        connector, standing = self.registry.connectors.get(name), self.standing(name)
        if connector is not None and (standing.uid, standing.generation) == (connector.metadata.uid, connector.metadata.generation):
            await self.reporter.report(connector, standing, is_counting=True)

    async def client(self, of: OAuthConnector) -> Remembered:
        """The client of this connector as it is to be used now; ConnectorUnready where another one bears its name by now.

        For what is presented by it must reach no other server. Its secret is read anew after a second, so a changed one counts at once.
        """
        name = (of.metadata.namespace, of.metadata.name)
        connector = self.registry.connectors.get(name)
        if connector is None or connector.metadata.uid != of.metadata.uid:
            raise ConnectorUnready
        standing = self._start(name, connector)
        is_good = standing.secret_problem is None and standing.noted is None and standing.rejected_secret is None
        read = await (self.secrets.share(connector) if is_good else self.secrets.read(connector))  # what was noted may have changed them
        if self._is_replaced(connector):
            raise ConnectorUnready
        if (known := note_client_secrets(self.standing(name), *read, self.clock())) is not self.standing(name):
            self._learn(name, known)
        standing = self.standing(name)
        if standing.endpoints is None or standing.secret_problem is not None:
            raise ConnectorUnready
        return self._remember(name, connector, standing.endpoints, standing)

    async def recall(self, name: Name) -> Remembered | None:
        """The client as it is, or as it was last known when its connector or its secret has gone, or cannot be read.

        One that nobody has looked at yet is looked at now: who asks only once, as a deletion does, must not lose by a restart.
        """
        with suppress(ConnectorUnready, ClusterError):
            if name in self.registry.connectors and not self.standing(name).is_judged:
                await self.keep(name)
            if (connector := self.registry.connectors.get(name)) is not None:
                await self.client(connector)
        return self._remembered.get(name)

    def note_problem(self, name: Name, problem: Problem | None) -> None:
        """What a token request has shown of the server or the client: a problem, or that there is none."""
        if self.standing(name).is_judged:
            self._learn(name, note(self.standing(name), problem, self.clock()))

    def note_inconclusive(self, name: Name, *, rest: timedelta | None, is_repeated: bool) -> None:
        """A token request has shown nothing of the client; `rest` is how long the server asked to be left alone."""
        if self.standing(name).is_judged:
            self._learn(name, note_inconclusive(self.standing(name), self.clock(), rest=rest, is_repeated=is_repeated))

    def note_rejected(self, name: Name, error: str, *, uid: str, is_witness: bool) -> None:
        """The request of a grant was rejected, and not for who makes it."""
        if self.standing(name).is_judged:
            self._learn(name, note_rejected(self.standing(name), error, self.clock(), uid=uid, is_witness=is_witness))

    def note_unanswered(self, name: Name, why: str, *, rest: timedelta | None, is_safe: bool, is_repeated: bool) -> None:
        """A token request brought no usable answer: it is looked whether the server says anything at all."""
        if self.standing(name).is_judged:
            before = self.standing(name)
            self._learn(name, note_unanswered(before, why, self.clock(), rest=rest, is_safe=is_safe, is_repeated=is_repeated))
            self.look(name)

    def note_rejected_secret(self, name: Name, request: Request) -> None:
        """The client's secret was rejected, and the other one is presented at once: it is tried first from now on."""
        self.pacer.charge(name)
        if self.standing(name).is_judged:
            self._learn(name, replace(self.standing(name), rejected_secret=request.client_secret))

    def _learn(self, name: Name, standing: Standing) -> None:
        before = self.standing(name)
        self._put(name, standing)
        if standing is not before and judge_connector(standing) != judge_connector(before):
            self.look(name)
        if (standing.is_ready, standing.healed_at) != (before.is_ready, before.healed_at):
            self.changed(name)
        self.pacer.serve(name)

    def _start(self, name: Name, connector: OAuthConnector) -> Standing:
        """What is known of this very connector: nothing, where another one bore its name."""
        if self.standing(name).uid != connector.metadata.uid:
            self._put(name, Standing(uid=connector.metadata.uid))
        return self.standing(name)

    def _is_replaced(self, connector: OAuthConnector) -> bool:
        """Whether another one bears its name by now, or none: what was found out of this one is not to be mixed into what is known."""
        return self.standing((connector.metadata.namespace, connector.metadata.name)).uid != connector.metadata.uid

    def _put(self, name: Name, standing: Standing) -> None:
        self._standings[name] = standing

    def _remember(self, name: Name, connector: OAuthConnector, endpoints: Endpoints, standing: Standing) -> Remembered:
        known = self._remembered.get(name)
        if known is not None and known.is_of(connector.spec, endpoints, standing.secrets):
            return known
        client = self.discoverer.habits(connector).as_client(connector.spec.client_id, endpoints, standing.secrets)
        remembered = Remembered(connector.spec, client, ca_bundle(connector))
        self._remembered[name] = remembered
        return remembered

    async def _look_at_server(self, connector: OAuthConnector) -> dict[str, Any]:
        """The parts of a standing that the server decides; what was learned once stays in use while it is away."""
        known = self.standing((connector.metadata.namespace, connector.metadata.name)).endpoints
        try:
            return {"endpoints": await self.discoverer.discover(connector), "metadata_problem": None, "fetch_problem": None}
        except MetadataError as error:
            problem = Problem(error.reason, _blame(connector, error))
            return {"fetch_problem": None} if known is not None else {"metadata_problem": problem, "fetch_problem": None}
        except ProviderError as error:
            away = {"fetch_problem": Problem(Reason.UNREACHABLE, str(error))}
            if (habits := self.discoverer.habits(connector)).issuer is None:
                return away | {"endpoints": stated_endpoints(habits)}
            return away if known is not None else away | {"metadata_problem": Problem(Reason.DISCOVERY_FAILED, _blame(connector, error))}


def _blame(connector: OAuthConnector, error: ProviderError) -> str:
    """Why there are no endpoints; with it, that an issuer cannot be corrected in place."""
    said = str(error).removesuffix(".")
    return said if connector.spec.issuer is None else f"{said}; {WRONG_ISSUER}"
