"""A controller on fakes: an API server and an authorization server in memory, and a clock that stands still until a story moves it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from fakes.cluster import Object
from fakes.provider import ISSUER, MemoryProvider
from fakes.troubles import TroubledCluster
from grantkeeper.adapters.cluster import NAMESPACES, OAUTHCONNECTORS, SECRETS, USERGRANTS
from grantkeeper.consent.addresses import Callback, Link
from grantkeeper.consent.callback import Answer, Redirect, write_answer
from grantkeeper.consent.tickets import Ticket
from grantkeeper.controller.assembling import assemble
from grantkeeper.controller.running import CONNECTOR, GRANT, ORPHAN, Controller
from grantkeeper.core.records import KIND_LABEL, Sealed, read_sealed
from grantkeeper.core.requests import CONNECT_ANNOTATION, hash_id
from grantkeeper.settings import ControllerSettings

NAMESPACE, OPERATOR_NAMESPACE = "team-a", "grantkeeper"
EXTERNAL_URL = "https://consent.example.com"
WATCHED = frozenset(kind.plural for kind in (USERGRANTS, OAUTHCONNECTORS, NAMESPACES, SECRETS))
ROUNDS = 20
"""More than any story needs; one that takes more goes in circles."""


@dataclass(slots=True)
class Scene:
    """One connector, `calendar`, one grant, `alice`, and the controller that keeps it."""

    controller: Controller
    cluster: TroubledCluster
    provider: MemoryProvider
    hands: list[datetime]
    """The one element is the present."""
    wake_at: datetime | None = field(default=None)
    """When the keeper wants to look at the grant again."""

    @classmethod
    async def open(cls, provider: MemoryProvider | None = None, *, link: str = "Status", **spec: Any) -> Scene:
        """The scene as it is when the grant has just been applied and the controller has asked for consent.

        `spec` is the grant's, besides what every grant here has; `link` is the connector's `consent.link`.
        """
        hands = [datetime(2026, 11, 21, 6, 30, 0, 123456, tzinfo=UTC)]  # as a real clock: what is stored is in whole seconds
        cluster, provider = TroubledCluster(lambda: hands[0]), provider or MemoryProvider()
        await cluster.create(NAMESPACES, None, {"metadata": {"name": "kube-system"}})
        await cluster.create(OAUTHCONNECTORS, NAMESPACE, {**CONNECTOR_BODY, "spec": {**CONNECTOR_BODY["spec"], "consent": {"link": link}}})
        await cluster.create(USERGRANTS, NAMESPACE, {**GRANT_BODY, "spec": {**GRANT_BODY["spec"], **spec}})
        controller = await assemble(SETTINGS, cluster, provider, clock=lambda: hands[0])
        scene = cls(controller, cluster, provider, hands)
        await scene.settle()
        return scene

    @classmethod
    async def open_consented(cls) -> Scene:
        """The scene when the person has consented and the token is delivered; what was sent for that is forgotten."""
        scene = await cls.open()
        await scene.bring(await scene.asked())
        await scene.settle()
        assert await scene.reason() == "Ready"
        scene.provider.sent.clear()
        return scene

    async def restart(self, *, pod: str = "a-pod", settings: ControllerSettings | None = None) -> None:
        """Another life of the controller, in this Pod or in another: its memory is what it reads from the cluster."""
        settings = (settings or SETTINGS).model_copy(update={"pod_uid": pod})
        self.controller = await assemble(settings, self.cluster, self.provider, clock=lambda: self.hands[0])
        await self.controller.sweeper.sweep(is_first=True)

    @property
    def now(self) -> datetime:
        """The present."""
        return self.hands[0]

    async def pass_time(self, span: timedelta) -> None:
        """Let so much time pass, and the controller do what is due then."""
        self.hands[0] += span
        await self.settle()

    async def settle(self) -> None:
        """Let the controller work until there is nothing more to do now."""
        registry = self.controller.registry
        for _ in range(ROUNDS):
            before, connectors, grants = self.cluster.version, set(registry.connectors), set(registry.grants)
            self.tell_news()
            for namespace, name in sorted(connectors | set(registry.connectors)):
                await self.controller.keep((CONNECTOR, f"{namespace}/{name}"))
                self.controller.keeper.pacer.serve((namespace, name))  # as its timer would
            for uid in grants - set(registry.grants):
                await self.controller.keep((ORPHAN, uid))
            for uid in list(registry.grants):
                self.wake_at = await self.controller.keep((GRANT, uid))
            if self.cluster.version == before:
                await self.controller.keeper.committer.journal.settle()
                return
        raise AssertionError("the controller goes in circles")

    def tell_news(self) -> None:
        """Let the watches bring what has happened."""
        for plural, event, body in self.cluster.take_news():
            if plural in WATCHED:
                self.controller.take_in(plural, event, body)

    async def bring(self, request_id: str, *, number: int = 1, grant: str = "alice", namespace: str = NAMESPACE, **redirect: Any) -> None:
        """Bring an answer, as the pages would; `redirect` overrides what the authorization server sent the person back with.

        `namespace` is the connector's.
        """
        redirect = {"code": "a-code", "error": None, "iss": ISSUER, **redirect}
        code = SecretStr(redirect.pop("code"))
        link, callback = Link(NAMESPACE, grant, SecretStr(request_id)), Callback(namespace, "calendar")
        state = SecretStr("what the pages alone judge")
        answer = Answer(Ticket(link, state), callback, EXTERNAL_URL + callback.path, Redirect(state, code, **redirect), self.now)
        await self.cluster.create(SECRETS, OPERATOR_NAMESPACE, write_answer(answer, number, OPERATOR_NAMESPACE))

    async def ask_for_link(self, request_id: str) -> None:
        """Set the annotation that asks for a link with this id, as somebody who may."""
        await self.patch(metadata={"annotations": {CONNECT_ANNOTATION: hash_id(SecretStr(request_id))}})

    async def patch(self, **change: Any) -> None:
        """Change the grant, as somebody who applies it."""
        await self.cluster.patch(USERGRANTS, NAMESPACE, "alice", change)

    async def patch_connector(self, **spec: Any) -> None:
        """Change the connector, as somebody who applies it."""
        await self.cluster.patch(OAUTHCONNECTORS, NAMESPACE, "calendar", {"spec": spec})

    async def disconnect(self) -> None:
        """Delete the connector."""
        await self.cluster.delete(OAUTHCONNECTORS, NAMESPACE, "calendar")
        await self.settle()

    async def connect(self, **spec: Any) -> None:
        """Create the connector again; `spec` overrides fields of it."""
        await self.cluster.create(OAUTHCONNECTORS, NAMESPACE, {**CONNECTOR_BODY, "spec": {**CONNECTOR_BODY["spec"], **spec}})
        await self.settle()

    async def status(self) -> Object:
        """The grant's status."""
        return dict((await self.cluster.get(USERGRANTS, NAMESPACE, "alice"))["status"])

    async def reason(self) -> str:
        """The reason of the grant's `Ready`."""
        return next(str(c["reason"]) for c in (await self.status())["conditions"] if c["type"] == "Ready")

    async def condition(self, kind: str) -> Object:
        """One condition of the grant."""
        return next(dict(c) for c in (await self.status())["conditions"] if c["type"] == kind)

    async def connector(self) -> Object:
        """The connector's status, and in it its conditions' reasons by their types, as `reasons`."""
        status = (await self.cluster.get(OAUTHCONNECTORS, NAMESPACE, "calendar")).get("status", {})
        return {**status, "reasons": {c["type"]: c["reason"] for c in status.get("conditions", ())}}

    @property
    def uid(self) -> str:
        """The uid of the one grant that the controller knows."""
        (uid,) = self.controller.registry.grants
        return uid

    async def sealed_secret(self) -> Object:
        """The grant's sealed Secret as it is stored."""
        return await self.cluster.get(SECRETS, OPERATOR_NAMESPACE, f"grant-{self.uid}")

    async def sealed(self) -> Sealed:
        """The records in the grant's sealed Secret."""
        return read_sealed(await self.sealed_secret())

    async def delivered(self) -> Object:
        """The delivered Secret, with its files decoded."""
        secret = await self.cluster.get(SECRETS, NAMESPACE, "alice-token")
        return {**secret, "data": {name: base64.b64decode(text).decode() for name, text in secret["data"].items()}}

    async def asked(self) -> str:
        """The id in the grant's consent link."""
        return urlsplit((await self.status())["consentURL"]).path.rpartition("/")[2]

    async def request_states(self) -> list[str]:
        """The states of the grant's requests, the oldest first."""
        return [request["state"] for request in (await self.status())["consentRequests"]]

    async def answers(self) -> dict[str, Object]:
        """The answers that wait, by their names."""
        secrets = await self.cluster.list(SECRETS, OPERATOR_NAMESPACE, labels=f"{KIND_LABEL}=answer")
        return {secret["metadata"]["name"]: secret for secret in secrets}


SETTINGS = ControllerSettings(
    namespace=OPERATOR_NAMESPACE,
    external_url=EXTERNAL_URL,
    pod_name="grantkeeper-controller-0",
    pod_uid="a-pod",
    keyring_generate=True,
)
CONNECTOR_BODY: Object = {
    "metadata": {"name": "calendar"},
    "spec": {
        "issuer": ISSUER,
        "clientID": "planner",
        "clientAuthentication": "None",
        "scopes": ["calendar.read"],
        "consent": {"link": "Status"},
        "limits": {"requestsPerSecond": 1000},  # nobody waits for a turn here, while the clock stands still
    },
}
GRANT_BODY: Object = {
    "metadata": {"name": "alice"},
    "spec": {"connectorRef": {"name": "calendar"}, "user": "alice@example.com", "secrets": [{"name": "alice-token"}]},
}
