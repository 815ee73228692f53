"""Every condition reason, and a situation that brings it about on real parts. All are brought about at once, in one namespace."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cluster.callbacks import Traveller, forge
from cluster.stage import API, Object, Stage, condition
from fakes.scripted_server import Script, ScriptedServer
from grantkeeper.core.reasons import Reason
from parts.processes import free_port
from parts.waiting import wait_for

GRANT, CONNECTOR = "usergrants", "oauthconnectors"
A_DAY = 24 * 3600
SHORT = 8
"""Seconds that an access token lives which is to run out."""
MERGE = {"Content-Type": "application/merge-patch+json"}
R = Reason


@dataclass(frozen=True, slots=True)
class Situation:
    """A reason, the grant or connector that must give it, and a phrase of its message: what to do, or where it is said."""

    kind: str
    condition: str
    reason: Reason
    name: str
    says: str = ""


TABLE = (
    # Nothing is wrong
    Situation(GRANT, "Ready", R.READY, "alice"),
    Situation(GRANT, "Accepted", R.ACCEPTED, "alice"),
    Situation(GRANT, "Authorized", R.CONSENTED, "alice"),
    Situation(GRANT, "Fresh", R.UNEXPIRED, "alice"),
    Situation(GRANT, "Delivered", R.DELIVERED, "alice"),
    Situation(GRANT, "Fresh", R.NEVER_EXPIRES, "everlasting"),
    Situation(GRANT, "Delivered", R.ON_REQUEST, "undelivered"),
    Situation(CONNECTOR, "Ready", R.READY, "calendar"),
    Situation(CONNECTOR, "Accepted", R.ACCEPTED, "calendar"),
    Situation(CONNECTOR, "ResolvedRefs", R.RESOLVED_REFS, "calendar"),
    Situation(CONNECTOR, "Reachable", R.REACHABLE, "calendar"),
    # Not judged yet
    Situation(GRANT, "Authorized", R.PENDING, "early", "is ready: see its own status"),
    Situation(CONNECTOR, "Reachable", R.PENDING, "misspelt", "No server is known that could be reached"),
    # What is asked cannot be done
    Situation(GRANT, "Accepted", R.CONNECTOR_NOT_FOUND, "orphan", "There is no OAuthConnector nowhere in this namespace; create it"),
    Situation(GRANT, "Accepted", R.NAMESPACE_NOT_ALLOWED, "stranger", "its owner can admit it in spec.allowedNamespaces"),
    Situation(GRANT, "Accepted", R.SCOPES_NOT_OFFERED, "greedy", "does not offer: admin. Add them to its scopes, or drop them here"),
    Situation(GRANT, "Accepted", R.INVALID_TEMPLATE, "misfilled", "[[ refresh_token ]] names no placeholder; there are access_token,"),
    # Consent
    Situation(GRANT, "Authorized", R.AWAITING_CONSENT, "asked", "has not answered yet; the link is in status.consentURL"),
    Situation(GRANT, "Authorized", R.CONSENT_DENIED, "denying", "said no; to ask once more, use the link in status.consentURL"),
    Situation(GRANT, "Authorized", R.EXCHANGE_FAILED, "unexchanged", "could not be exchanged for tokens; to ask once more, use the link"),
    Situation(GRANT, "Authorized", R.ACCOUNT_MISMATCH, "mistaken", "than spec.expectedAccount names (subject mistaken)"),
    Situation(GRANT, "Authorized", R.REAUTHORIZATION_REQUIRED, "revoked", "To consent again, use the link in status.consentURL"),
    Situation(GRANT, "Authorized", R.CONNECTOR_REPLACED, "replaced", "To consent again, use the link in status.consentURL"),
    Situation(GRANT, "Authorized", R.UNSEALABLE, "spoilt", "restore the keyring. They are kept as they are"),
    Situation(GRANT, "Authorized", R.TOKENS_NOT_KEPT, "profile", "The account is connected; what came was revoked at once"),
    # Freshness
    Situation(GRANT, "Fresh", R.EXPIRED, "revoked", "It is not refreshed: see Authorized"),
    Situation(GRANT, "Fresh", R.REFRESH_FAILING, "failing", "rejects the request (invalid_scope)"),
    Situation(GRANT, "Fresh", R.NOT_REFRESHABLE, "unrenewed", "gave no refresh token. To consent again, use the link"),
    Situation(GRANT, "Fresh", R.CONNECTOR_NOT_READY, "stranded", "The connector is not ready: see its own status"),
    Situation(GRANT, "Fresh", R.SUSPENDED, "paused", "while spec.suspend is true; what is held stays sealed"),
    # Delivery
    Situation(GRANT, "Delivered", R.SECRET_CONFLICT, "conflicting", "Delete it, or deliver to another name"),
    Situation(
        GRANT,
        "Delivered",
        R.WRITE_FAILED,
        "overlong",
        "Secret overlong-token cannot be written: one of its templates becomes longer than 64 KiB",
    ),
    # Connectors
    Situation(CONNECTOR, "Accepted", R.UNKNOWN_PROVIDER, "misspelt", "there are github, gitlab, google, microsoft"),
    Situation(CONNECTOR, "Accepted", R.DISCOVERY_FAILED, "forbidden", "169.254.169.254, which is link-local"),
    Situation(CONNECTOR, "Accepted", R.ISSUER_MISMATCH, "slashed", "create the connector anew, with spec.issuer as the server writes it"),
    Situation(CONNECTOR, "ResolvedRefs", R.SECRET_NOT_FOUND, "secretless", "create it with the key clientSecret and the label grantkeeper"),
    Situation(CONNECTOR, "ResolvedRefs", R.SECRET_KEY_MISSING, "keyless", "add it, or name another key in spec.clientSecretRef.key"),
    Situation(CONNECTOR, "ResolvedRefs", R.SECRET_NOT_OFFERED, "unlabelled", "label it grantkeeper.dev/connector=unlabelled"),
    Situation(CONNECTOR, "ResolvedRefs", R.SECRET_INVALID, "broken", "or holds a line break; write it without a newline"),
    Situation(CONNECTOR, "Reachable", R.CLIENT_REJECTED, "rejected", "correct the client secret, spec.clientAuthentication"),
    Situation(CONNECTOR, "Reachable", R.UNREACHABLE, "away", "127.0.0.1 accepted no connection"),
)
"""All of core/reasons.py. `Pending` of a connector stands under the one condition where it lasts: the others are judged together,
so a connector that nobody has looked at yet has no conditions at all."""


@dataclass(frozen=True, slots=True)
class Director:
    """Brings the situations about: on `stage`, with `platform` for what is in another namespace, and `odd`, a server without habits."""

    stage: Stage
    platform: Stage
    odd: ScriptedServer
    odd_authority: str

    def bring_about(self) -> None:
        """All of them. What takes time to run out is begun first, and nobody waits for it here."""
        self._add_connectors()
        self._add_grants()
        self._consent_at_the_odd_server()
        with ThreadPoolExecutor(3) as people:
            list(people.map(lambda act: act(), self._acts()))

    def _add_connectors(self) -> None:
        here = f"https://127.0.0.1:{free_port()}"
        odd = {"authorization": f"https://127.0.0.1:{self.odd.port}/auth", "token": f"https://127.0.0.1:{self.odd.port}/token"}
        self.stage.add_connector(lifetime=A_DAY)
        self.platform.add_connector(lifetime=A_DAY)
        self._add_connector("brief", lifetime=SHORT)
        self._add_connector("stranding", lifetime=SHORT)
        self._add_connector("recreated", lifetime=A_DAY)
        self._add_connector("forgetting", tokenStorage="Disabled")
        self._add_connector("rejected", lifetime=SHORT)
        self._add_connector("odd", issuer=None, endpoints=odd, caBundle=self.odd_authority, scopes=["read"], authorizationParameters=None)
        self._add_connector("misspelt", issuer=None, provider="githbu")
        self._add_connector("forbidden", issuer="https://169.254.169.254")
        self._add_connector("slashed", issuer=f"{self.stage.auth_server.issuer}/")
        self._add_connector("away", issuer=None, endpoints={"authorization": f"{here}/auth", "token": f"{here}/token"})
        for name, labels, data in (
            ("keyless", None, {"client_secret": "eA=="}),
            ("unlabelled", {}, {"clientSecret": "eA=="}),
            ("broken", None, {"clientSecret": base64.b64encode(b"x\n").decode()}),
        ):
            offered = {"grantkeeper.dev/connector": name} if labels is None else labels
            self._add_secret(f"{name}-own", data, labels=offered)
            self._add_connector(name, clientSecretRef={"name": f"{name}-own"})
        self._add_connector("secretless", clientSecretRef={"name": "there-is-none"})

    def _add_grants(self) -> None:
        stage, overlong = self.stage, "[[ user ]]" * 800
        self._add_secret("conflicting-token", {"mine": "eA=="})
        for name in ("alice", "asked", "denying", "conflicting", "paused", "spoilt"):
            stage.add_grant(name)
        stage.add_grant("undelivered", secrets=[])
        stage.add_grant("mistaken", expectedAccount={"subject": "mistaken"})
        stage.add_grant("greedy", scopes=["openid", "admin"])
        stage.add_grant("misfilled", secrets=[{"name": "misfilled-token", "templates": {"a": "[[ refresh_token ]]"}}])
        stage.add_grant("overlong", user="x" * 253, secrets=[{"name": "overlong-token", "templates": {"a": overlong}}])
        stage.add_grant("orphan", connector="nowhere")
        stage.add_grant("stranger", connectorRef={"name": "calendar", "namespace": self.platform.namespace})
        stage.add_grant("early", connector="secretless")
        stage.add_grant("revoked", connector="brief")
        stage.add_grant("stranded", connector="stranding")
        stage.add_grant("replaced", connector="recreated")
        stage.add_grant("profile", connector="forgetting")
        stage.add_grant("unexchanged", connector="rejected")
        stage.add_grant("insistent", connector="rejected")
        for name in ("everlasting", "unrenewed", "failing"):
            stage.add_grant(name, connector="odd")

    def _consent_at_the_odd_server(self) -> None:
        """Somebody consents to each of its grants, and each time it answers something else."""
        brief = {"expires_in": SHORT, "refresh_token": "a-refresh-token"}
        for name, members in (("everlasting", {"scope": "read write"}), ("unrenewed", {"expires_in": SHORT}), ("failing", brief)):
            self.odd.answer(_json({"access_token": f"token-of-{name}", "token_type": "Bearer", **members}))
            with Traveller(self.stage) as person:
                person.arrive(forge(self.stage, person.set_out(self.stage.link(name)), connector="odd"))
            self.stage.wait_grant(name, _is_consented)
        self.odd.answer(_json({"error": "invalid_scope"}, 400))

    def _acts(self) -> tuple[Callable[[], Any], ...]:
        return (
            self._revoke,
            self._strand,
            self._replace,
            self._spoil,
            self._pause,
            self._reject,
            *(lambda name=name: self.stage.consent(name) for name in ("alice", "undelivered", "conflicting", "overlong", "profile")),
            lambda: self.stage.consent("denying", deny=True),
            lambda: self.stage.consent("mistaken", account="mallory"),
        )

    def _revoke(self) -> None:
        self.stage.consent("revoked")
        self.stage.auth_server.forget("revoked")

    def _strand(self) -> None:
        """Its connector loses the client Secret."""
        self.stage.consent("stranded")
        self.stage.delete(f"/api/v1/namespaces/{self.stage.namespace}/secrets/stranding-client").raise_for_status()

    def _replace(self) -> None:
        """Its connector becomes another client."""
        self.stage.consent("replaced")
        path = f"{API}/namespaces/{self.stage.namespace}/{CONNECTOR}/recreated"
        self.stage.delete(path).raise_for_status()
        self.stage.wait_reason("replaced", "ConnectorNotFound")
        self._add_connector("recreated", clientID=f"{self.stage.client_id}-another")

    def _spoil(self) -> None:
        """Somebody changes what is sealed."""
        self.stage.consent("spoilt")
        self.stage.wait_ready("spoilt")
        sealed = self.stage.sealed("spoilt")
        text = base64.b64decode(sealed["data"]["tokenset"]).decode()
        changed = base64.b64encode(f"{text[:-8]}AAAAAAAA".encode()).decode()
        path = f"/api/v1/namespaces/{sealed['metadata']['namespace']}/secrets/{sealed['metadata']['name']}"
        with self.stage.control_plane.client() as client:
            client.patch(path, json={"data": {"tokenset": changed}}, headers=MERGE).raise_for_status()

    def _pause(self) -> None:
        self.stage.consent("paused")
        self.stage.patch_grant("paused", spec={"suspend": True})

    def _reject(self) -> None:
        """The server changes the client's secret between the link and the consent. Another grant goes on finding out."""
        self.stage.link("unexchanged")
        self.stage.consent("insistent")
        self.stage.wait_ready("insistent")
        redirect = f"{self.stage.installation.external_url}/callback/{self.stage.namespace}/rejected"
        self.stage.auth_server.register(f"{self.stage.client_id}-rejected", "another", redirect_uris=[redirect])
        self.stage.consent("unexchanged")

    def _add_connector(self, name: str, **spec: Any) -> None:
        """A connector that is a client of its own."""
        self.stage.add_connector(name, **{"clientID": f"{self.stage.client_id}-{name}", **spec})

    def _add_secret(self, name: str, data: dict[str, str], *, labels: dict[str, str] | None = None) -> None:
        metadata = {"name": name, "namespace": self.stage.namespace, "labels": labels or {}}
        self.stage.control_plane.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}])


def wait_said(stage: Stage, situation: Situation, *, within: float) -> Object:
    """The grant or connector once its condition gives the reason, of the spec that it has now."""
    found: list[Object] = []

    def says() -> bool:
        found[:] = [stage.get(f"{API}/namespaces/{stage.namespace}/{situation.kind}/{situation.name}")]
        told = condition(found[0], situation.condition)
        is_current = told.get("observedGeneration") == found[0]["metadata"]["generation"]
        return is_current and bool(told["reason"] == situation.reason)

    wait_for(says, f"{situation.condition} of {situation.name} to be {situation.reason}", within=within)
    return found[0]


def _is_consented(grant: Object) -> bool:
    return bool(condition(grant, "Authorized")["status"] == "True")


def _json(document: Object, status: int = 200) -> Script:
    return Script(status=status, body=json.dumps(document).encode())
