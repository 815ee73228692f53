"""The certified OpenID provider as a server of the matrix, so that it is not only our own fake that agrees with us."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chaos.families import Entry, Family, Manner
from chaos.serving import Arrival
from cluster.callbacks import Traveller
from cluster.stage import Stage


@dataclass(slots=True)
class CertifiedServer:
    """One public client of it. It ends the family of a token that is presented again."""

    stage: Stage
    _since: dict[str, int] = field(default_factory=dict)
    """How long the ledger was when each account consented; they play one after another."""

    def describe(self, manner: Manner) -> dict[str, Any]:
        """What a connector says of it."""
        self._register(60, manner)
        return {
            "issuer": self.stage.auth_server.issuer,
            "caBundle": self.stage.auth_server.ca_bundle,
            "clientID": self.stage.client_id,
            "clientAuthentication": "None",
            "scopes": ["openid", "offline_access", "calendar.read"],
            "authorizationParameters": {"prompt": "consent"},
            "refresh": {"lifetimePercent": 10},
        }

    def consent(self, family: Family, link: str) -> Arrival:
        """Somebody goes there and consents."""
        self._since[family.account] = len(self._ledger())
        self._register(family.lifetime, family.manner)
        with Traveller(self.stage, family.account) as person:
            callback = person.travel(link)
        return Arrival(callback.params["code"], callback.params["iss"])

    def let_live(self, family: Family) -> None:
        """From now on access tokens live as long as the family's later ones."""
        self._register(family.later, family.manner)

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """Nobody else is given anything here."""
        raise NotImplementedError

    def seen(self, account: str) -> list[Entry]:
        """What was presented since the account consented, until the next one did."""
        return [_read(entry, account) for entry in self._ledger_of(account) if entry["endpoint"] == "token"]

    def is_ended(self, account: str) -> bool:
        """Whether it revoked the consent, or refused a token that was spent, which ends a family here."""
        entries = self._ledger_of(account)
        return any(e["endpoint"] == "revocation" or (e["error"] == "invalid_grant" and e["grant_type"] == "refresh_token") for e in entries)

    def is_active(self, token: str) -> bool:
        """Whether a token would be accepted now."""
        return bool(self.stage.auth_server.introspect(token)["active"])

    def _ledger(self) -> list[dict[str, Any]]:
        return self.stage.auth_server.ledger(self.stage.client_id)

    def _ledger_of(self, account: str) -> list[dict[str, Any]]:
        since = self._since.get(account, 0)
        following = [start for start in self._since.values() if start > since]
        return self._ledger()[since : min(following, default=None)]

    def _register(self, lifetime: int, manner: Manner) -> None:
        redirect = f"{self.stage.installation.external_url}/callback/{self.stage.namespace}/{manner}"
        self.stage.auth_server.register(self.stage.client_id, None, redirect_uris=[redirect], lifetime=lifetime)


def _read(entry: dict[str, Any], account: str) -> Entry:
    at = datetime.fromisoformat(entry["time"]).timestamp()
    return Entry(at, account, entry["grant_type"], entry["presented"], entry["error"], entry["access_token"])
