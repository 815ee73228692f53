"""What is sealed, opened by a test: with the keyring from the API, as nobody but the controller should have to."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.everyday import Connector, Life
from grantkeeper.choices import RequestState
from grantkeeper.controller.seals import OpenedTokens, Seals
from grantkeeper.core.keyring import Keyring
from grantkeeper.core.records import Sealed, read_sealed
from grantkeeper.core.requests import ConsentRequest
from grantkeeper.errors import Unsealable
from grantkeeper.resources import OAuthConnector


@dataclass(frozen=True, slots=True)
class Cabinet:
    """The sealed Secrets of one run."""

    life: Life

    @property
    def namespace(self) -> str:
        """Where they are."""
        return self.life.installation.namespace

    def sealed(self, uid: str) -> Sealed | None:
        """The record of the grant with this uid."""
        body = self.life.find(f"/api/v1/namespaces/{self.namespace}/secrets/grant-{uid}")
        return read_sealed(body) if body else None

    def open(self, uid: str, connector: Connector) -> OpenedTokens | None:
        """The tokens that are held and belong to this connector's client."""
        body, sealed = self.life.find(connector.path), self.sealed(uid)
        return self.open_record(sealed, OAuthConnector.read(body)) if body and sealed else None

    def open_record(self, sealed: Sealed, connector: OAuthConnector) -> OpenedTokens | None:
        """The tokens in a record, None where they belong to another client."""
        try:
            return self._seals().open_tokens(sealed, connector.spec)
        except Unsealable:
            return None

    def open_requests(self, uid: str, connector: Connector) -> list[ConsentRequest]:
        """The requests that can be answered now, as the record has them."""
        body, sealed = self.life.find(connector.path), self.sealed(uid)
        if body is None or sealed is None:
            return []
        requests = self._seals().open_requests(sealed, OAuthConnector.read(body).spec)
        return [request for request in requests if request.state is RequestState.OPEN and datetime.now(UTC) < request.expires_at]

    def _seals(self) -> Seals:
        keyring = self.life.find(f"/api/v1/namespaces/{self.namespace}/secrets/grantkeeper-keyring")
        kube_system = self.life.find("/api/v1/namespaces/kube-system")
        assert keyring is not None
        assert kube_system is not None
        ring = Keyring.from_files({name: base64.b64decode(held) for name, held in keyring["data"].items()})
        return Seals(lambda: ring, kube_system["metadata"]["uid"])
