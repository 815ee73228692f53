"""Many grants of a few connectors, a controller whose agendas run by themselves, and a clock that leaps: hours in seconds."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from pydantic import SecretStr

from fakes.cluster import Object
from fakes.provider import METADATA, MemoryProvider, answer
from fakes.troubles import TroubledCluster
from fakes.virtual import ENDING, START, clock, pass_time
from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS, Kind
from grantkeeper.adapters.provider import CONNECT_BY
from grantkeeper.controller.assembling import assemble
from grantkeeper.controller.running import CONNECTOR, GRANT, Controller
from grantkeeper.core.messages import Answer, Request
from grantkeeper.core.records import Sealed, describe, write_sealed
from grantkeeper.core.times import from_text
from grantkeeper.core.tokens import TokenSet
from grantkeeper.errors import AnswerLost, ProviderUnsent
from grantkeeper.resources import FINALIZER, OAuthConnector, UserGrant
from stories.scene import NAMESPACE, OPERATOR_NAMESPACE, SETTINGS, WATCHED

LIFETIME = timedelta(hours=1)
GIVEN_UP_AFTER = 10.0
"""Seconds: the time-out of a token request."""


@dataclass(slots=True)
class Server:
    """One authorization server, and what was presented to it."""

    latency: float = 0.1
    is_away: bool = False
    accepted: str = "right"
    """The one client secret that it knows."""
    works_silently: bool = False
    """What is presented is worked off, though no answer comes: it is spent."""
    is_mute: bool = False
    """Nothing else is answered either."""
    fails: bool = False
    """Every token request is answered with an error of its own, and not worked off."""
    spent: set[str] = field(default_factory=set)
    """What was worked off and never answered; presented again, it is refused."""
    rejection: tuple[str, int] = ("invalid_client", 401)
    """How it rejects another: the error and the status."""
    faults: dict[str, tuple[str, int]] = field(default_factory=dict)
    """How the requests of single grants are answered, whatever they present: an error and a status."""
    is_hasty: bool = False
    """These are answered before it is looked who asks."""
    retry_after: int | None = None
    """Seconds that it asks everybody to be left alone for, until it is None again."""
    begun: list[tuple[float, str]] = field(default_factory=list)
    """When what was presented; a refresh token is named `<grant>/<number>`."""
    revoked: list[str] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    """When the client was rejected."""
    attempts: int = 0
    """Connections that were tried while it was away."""
    in_flight: int = 0
    most: int = 0

    @property
    def grants(self) -> list[str]:
        """The grants that something was presented for, in order."""
        return [presented.partition("/")[0] for _, presented in self.begun]

    @property
    def times(self) -> list[float]:
        """When."""
        return [at for at, _ in self.begun]


class CrowdProvider(MemoryProvider):
    """Servers by the names of their connectors, each with its own pace."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.servers = {name: Server() for name in names}
        self.metadata = {issuer_of(name): _metadata(issuer_of(name)) for name in names}

    async def send(
        self,
        request: Request,
        *,
        ca_bundle: bytes | None,  # noqa: ARG002  # as the real one
        timeout: timedelta,  # noqa: ARG002, ASYNC109
        connect_by: timedelta = CONNECT_BY,  # noqa: ARG002
        sent: Callable[[], None] = lambda: None,  # noqa: ARG002
    ) -> Answer:
        """Take a token request, and answer in the server's own time."""
        server = self.servers[request.url.removeprefix("https://").partition(".")[0]]
        if server.is_away:
            server.attempts += 1
            raise ProviderUnsent("accepted no connection")
        form = parse_qs(request.form.get_secret_value())
        if "token" in form:
            return self._revoke(server, request, form["token"][0])
        presented = form.get("refresh_token", form.get("code", [""]))[0]
        server.begun.append((_now(), presented))
        server.in_flight += 1
        server.most = max(server.most, server.in_flight)
        try:
            await pass_time(min(server.latency, GIVEN_UP_AFTER))
        finally:
            server.in_flight -= 1
        if server.latency > GIVEN_UP_AFTER:
            server.spent |= {presented} if server.works_silently else set()
            raise AnswerLost("timed out")
        return self._answer(server, request, presented)

    async def fetch(self, url: str, *, ca_bundle: bytes | None, timeout: timedelta) -> Answer:  # noqa: ASYNC109  # as the real one
        """The metadata, unless the server answers nothing."""
        if self.servers[url.removeprefix("https://").partition(".")[0]].is_mute:
            await pass_time(GIVEN_UP_AFTER)
            raise AnswerLost("timed out")
        return await super().fetch(url, ca_bundle=ca_bundle, timeout=timeout)

    def _revoke(self, server: Server, request: Request, token: str) -> Answer:
        if _secret_of(request) != server.accepted:
            return answer({"error": "invalid_client"}, 401)
        server.revoked.append(token)
        return answer({})

    def _answer(self, server: Server, request: Request, presented: str) -> Answer:
        if server.fails:
            return answer({}, 502)
        if presented in server.spent:
            return answer({"error": "invalid_grant"}, 400)
        fault = server.faults.get(presented.partition("/")[0])
        if fault is not None and (server.is_hasty or _secret_of(request) == server.accepted):
            return answer({"error": fault[0]}, fault[1])
        if server.retry_after is not None:
            return Answer(status=429, content_type="application/json", retry_after=str(server.retry_after), body=b"{}")
        if _secret_of(request) != server.accepted:
            server.refused.append(_now())
            return answer({"error": server.rejection[0]}, server.rejection[1])
        name, _, number = presented.partition("/")
        tokens = {"access_token": f"at-{presented}", "token_type": "Bearer", "expires_in": LIFETIME.total_seconds()}
        return answer({**tokens, "refresh_token": f"{name}/{int(number or 0) + 1}"})


class TellingCluster(TroubledCluster):
    """An API server whose watches bring what has happened at once."""

    def __init__(self, tell: Callable[[str, str | None, Object], None]) -> None:
        super().__init__(clock)
        self._tell = tell
        self.takes = 0.0
        """Seconds that reading one object takes."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object, in its own time."""
        await pass_time(self.takes)
        return await super().get(kind, namespace, name)

    def _store(self, kind: Kind, body: Object, event: str) -> Object:
        stored = super()._store(kind, body, event)
        for news in self.take_news():
            if news[0] in WATCHED:
                asyncio.get_running_loop().call_soon(self._tell, *news)
        return stored


@dataclass(slots=True)
class Crowd:
    """The grants are named `<connector>-<number>`; when their tokens expire is for each story to say."""

    controller: Controller
    cluster: TellingCluster
    provider: CrowdProvider
    chores: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def gather(cls, *connectors: str, **spec: Any) -> Crowd:
        """The connectors, each at a server of its own; `spec` is theirs, besides what they all have."""
        told: list[Controller] = []

        def tell(plural: str, event: str | None, body: Object) -> None:
            if told:
                told[0].take_in(plural, event, body)

        cluster, provider = TellingCluster(tell), CrowdProvider(list(connectors))
        await cluster.create(NAMESPACES, None, {"metadata": {"name": "kube-system"}})
        for name in connectors:
            await cluster.create(SECRETS, NAMESPACE, client_secret(f"{name}-client", name, "right"))
            body = {"issuer": issuer_of(name), "clientID": name, "clientAuthentication": "ClientSecretPost", "consent": {"link": "Status"}}
            reference = {"clientSecretRef": {"name": f"{name}-client"}}
            await cluster.create(OAUTHCONNECTORS, NAMESPACE, {"metadata": {"name": name}, "spec": {**body, **reference, **spec}})
        crowd = cls(await assemble(SETTINGS, cluster, provider, clock), cluster, provider)
        told.append(crowd.controller)
        return crowd

    async def add(self, connector: str, number: int, expires_at: Callable[[int], datetime]) -> None:
        """Grants whose people have consented some time ago."""
        seals = self.controller.keeper.refresher.seals
        spec = OAuthConnector.read(await self.cluster.get(OAUTHCONNECTORS, NAMESPACE, connector)).spec
        for n in range(number):
            name = f"{connector}-{n}"
            body = {"connectorRef": {"name": connector}, "user": name}
            metadata = {"name": name, "finalizers": [FINALIZER]}
            grant = UserGrant.read(await self.cluster.create(USERGRANTS, NAMESPACE, {"metadata": metadata, "spec": body}))
            tokens = TokenSet(
                access_token=SecretStr(f"at-{name}"),
                refresh_token=SecretStr(f"{name}/0"),
                token_type="Bearer",
                obtained_at=min(expires_at(n) - LIFETIME, START),
                expires_at=expires_at(n),
            )
            key = seals.prepare()
            sealed = Sealed(
                uid=grant.metadata.uid,
                namespace=NAMESPACE,
                name=name,
                tokenset=seals.seal_tokens(tokens, grant, spec, generation=1, key=key),
                meta=describe(tokens, generation=1, attempt="", kid=key.kid),
            )
            await self.cluster.create(SECRETS, OPERATOR_NAMESPACE, write_sealed(sealed, OPERATOR_NAMESPACE))

    async def start(self) -> None:
        """Read everything and begin to keep, as `Controller.work` does, until the end of the story."""
        ENDING.get().push_async_callback(self._end)
        controller = self.controller
        await controller.sweeper.sweep()
        for namespace, name in controller.registry.connectors:
            await controller.keep((CONNECTOR, f"{namespace}/{name}"))
            controller.looks.wake((CONNECTOR, f"{namespace}/{name}"))
        for uid in controller.registry.by_expiry():
            controller.agenda.wake((GRANT, uid))
        agendas = (controller.agenda, controller.looks)
        self.chores = [asyncio.create_task(agenda.run(controller.keep)) for agenda in agendas]

    async def _end(self) -> None:
        await asyncio.gather(self.controller.agenda.drain(), self.controller.looks.drain())
        for chore in self.chores:
            with suppress(asyncio.CancelledError):
                chore.cancel()
                await chore

    async def reasons(self, kind: str = "Ready") -> Counter[str]:
        """How often each reason of a condition is given."""
        conditions = [c for grant in await self.statuses() for c in grant["conditions"] if c["type"] == kind]
        return Counter(str(condition["reason"]) for condition in conditions)

    async def statuses(self) -> list[Object]:
        """What is said of all grants."""
        return [dict(grant["status"]) for grant in await self.cluster.list(USERGRANTS, NAMESPACE)]

    async def expired(self) -> set[str]:
        """The grants whose access tokens have run out."""
        grants = await self.cluster.list(USERGRANTS, NAMESPACE)
        ends = {str(grant["metadata"]["name"]): grant["status"].get("expirationTime") for grant in grants}
        return {name for name, end in ends.items() if end is not None and from_text(end) <= clock()}

    async def connector(self, name: str) -> dict[str, Object]:
        """The conditions of a connector, by their types."""
        status = (await self.cluster.get(OAUTHCONNECTORS, NAMESPACE, name))["status"]
        return {c["type"]: c for c in status["conditions"]}


def spread(number: int) -> Callable[[int], datetime]:
    """Expiries that are spread over a lifetime, from twenty minutes after the start on."""
    return lambda n: START + timedelta(minutes=20) + n * LIFETIME / number


def issuer_of(connector: str) -> str:
    """Where a connector's server is."""
    return f"https://{connector}.example.com"


def client_secret(name: str, connector: str, secret: str) -> Object:
    """A Secret that is lent to a connector."""
    labels = {"grantkeeper.dev/connector": connector}
    return {"metadata": {"name": name, "labels": labels}, "data": {"clientSecret": base64.b64encode(secret.encode()).decode()}}


def most_in_a_second(times: list[float]) -> int:
    """In any second, wherever it begins."""
    counted = defaultdict(int)
    for number, at in enumerate(times):
        counted[number] = sum(at <= other < at + 1 - 1e-6 for other in times[number : number + 200])
    return max(counted.values(), default=0)


def _metadata(issuer: str) -> dict[str, Any]:
    ours = {key: f"{issuer}/{key}" for key in ("authorization_endpoint", "token_endpoint", "revocation_endpoint")}
    return {**METADATA, "issuer": issuer, **ours}


def _secret_of(request: Request) -> str:
    return parse_qs(request.form.get_secret_value()).get("client_secret", [""])[0]


def _now() -> float:
    return (clock() - START).total_seconds()
