"""A namespace with a connector and grants of its own, on the real control plane, the real server and the installed chart."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from grantkeeper.core.refreshing import REFRESH_ANNOTATION
from parts.authserver import AuthServer
from parts.controlplane import ControlPlane
from parts.launcher import Container, Installation
from parts.person import Page, Person
from parts.waiting import wait_for

Object = dict[str, Any]

API = "/apis/grantkeeper.dev/v1alpha1"
CLIENT_SECRET = "s3cret-%+ &=/"
"""Characters that only survive Basic authentication when they are form-urlencoded first (RFC 6749 section 2.3.1)."""
WITHIN = 60.0
"""Seconds in which a thing comes about on the slowest of machines."""


@dataclass(slots=True)
class Stage:
    """One namespace in which a test plays. Waiting is on conditions, never on time."""

    control_plane: ControlPlane
    auth_server: AuthServer
    installation: Installation
    namespace: str

    @property
    def client_id(self) -> str:
        """The client that this stage's connector is at the authorization server."""
        return f"client-of-{self.namespace}"

    # What people apply

    def add_connector(self, name: str = "calendar", *, lifetime: int = 60, label: str | None = None, **spec: Any) -> None:
        """A connector with its client Secret, registered at the authorization server; `spec` overrides fields, and None leaves one out."""
        redirect = f"{self.installation.external_url}/callback/{self.namespace}/{name}"
        self.auth_server.register(spec.get("clientID", self.client_id), CLIENT_SECRET, redirect_uris=[redirect], lifetime=lifetime)
        fields = {
            "issuer": self.auth_server.issuer,
            "caBundle": self.auth_server.ca_bundle,
            "clientID": self.client_id,
            "clientSecretRef": {"name": f"{name}-client"},
            "scopes": ["openid", "offline_access", "calendar.read"],
            "authorizationParameters": {"prompt": "consent"},
            "consent": {"link": "Status"},
            **spec,
        }
        self.control_plane.apply(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {
                        "name": f"{name}-client",
                        "namespace": self.namespace,
                        "labels": {"grantkeeper.dev/connector": label or name},
                    },
                    "data": {"clientSecret": base64.b64encode(CLIENT_SECRET.encode()).decode()},
                },
                {
                    "apiVersion": "grantkeeper.dev/v1alpha1",
                    "kind": "OAuthConnector",
                    "metadata": {"name": name, "namespace": self.namespace},
                    "spec": {field: value for field, value in fields.items() if value is not None},
                },
            ]
        )

    def add_grant(self, name: str = "alice", *, connector: str = "calendar", **spec: Any) -> None:
        """A grant that delivers to the Secret `<name>-token`."""
        self.control_plane.apply(
            [
                {
                    "apiVersion": "grantkeeper.dev/v1alpha1",
                    "kind": "UserGrant",
                    "metadata": {"name": name, "namespace": self.namespace},
                    "spec": {
                        "connectorRef": {"name": connector},
                        "user": f"{name}@example.com",
                        "secrets": [{"name": f"{name}-token"}],
                        **spec,
                    },
                }
            ]
        )

    def patch_grant(self, name: str = "alice", /, **change: Any) -> None:
        """Change a grant by a merge patch, as the administrator."""
        headers = {"Content-Type": "application/merge-patch+json"}
        with self.control_plane.client() as client:
            client.patch(self.grant_path(name), json=change, headers=headers).raise_for_status()

    def ask_for_link(self, name: str = "alice") -> str:
        """Set the annotation that asks for a link, as the administrator; the link, which nobody else has."""
        request_id = secrets.token_urlsafe(32)
        self.patch_grant(name, metadata={"annotations": {"grantkeeper.dev/connect": sha256(request_id)}})
        return f"{self.installation.external_url}/consent/{self.namespace}/{name}/{request_id}"

    def ask_for_refresh(self, value: str, name: str = "alice") -> None:
        """Set the annotation that asks for a refresh, as the administrator."""
        self.patch_grant(name, metadata={"annotations": {REFRESH_ANNOTATION: value}})

    def consent(self, name: str = "alice", *, account: str | None = None, deny: bool = False) -> Page:
        """Somebody opens the grant's link and answers; the page they see last."""
        with Person(account or name, trusting=[self.auth_server.ca]) as person:
            return person.consent(self.link(name), deny=deny)

    def make_ready(self, name: str = "alice", *, lifetime: int = 60) -> Object:
        """A connector, a grant, a consent; the grant once it is Ready."""
        self.add_connector(lifetime=lifetime)
        self.add_grant(name)
        self.consent(name)
        return self.wait_ready(name)

    def pause_between_refreshes(self, *names: str, of: Container | None = None) -> None:
        """Stop the controller, or `of` where there are several (SIGSTOP), while no refresh of these grants is under way.

        What ends while an answer is on its way may cost a consent with strict rotation. A refresh is claimed before it is sent, and
        the claim goes as its tokens are sealed; a claim that is still on its way was never used.
        """
        controller = of or self.installation.controller

        def is_between() -> bool:
            controller.kill(signal.SIGSTOP)
            if not any(self.claim(name) for name in names):
                return True
            controller.kill(signal.SIGCONT)
            return False

        wait_for(is_between, "a moment between two refreshes", within=WITHIN)

    # What there is to see

    def link(self, name: str = "alice") -> str:
        """The grant's consent link, as soon as there is one."""
        return str(self.wait_grant(name, lambda grant: "consentURL" in status(grant))["status"]["consentURL"])

    def wait_ready(self, name: str = "alice", *, within: float = WITHIN) -> Object:
        """The grant once a fresh token is delivered."""
        return self.wait_grant(name, lambda grant: condition(grant, "Ready")["status"] == "True", within=within)

    def wait_reason(self, name: str, reason: str, *, within: float = WITHIN) -> Object:
        """The grant once Ready gives this reason."""
        return self.wait_grant(name, lambda grant: condition(grant, "Ready")["reason"] == reason, within=within)

    def wait_grant(self, name: str, holds: Callable[[Object], bool], *, within: float = WITHIN) -> Object:
        """The grant once something holds of it."""
        return self._wait(f"{API}/namespaces/{self.namespace}/usergrants/{name}", holds, within)

    def wait_connector(self, name: str, holds: Callable[[Object], bool], *, within: float = WITHIN) -> Object:
        """The connector once something holds of it."""
        return self._wait(f"{API}/namespaces/{self.namespace}/oauthconnectors/{name}", holds, within)

    def wait_refreshed(self, name: str, beyond: int, *, within: float = WITHIN) -> Object:
        """The grant once its token generation is beyond this one and delivered."""
        return self.wait_grant(
            name, lambda g: status(g).get("tokenGeneration", 0) > beyond and condition(g, "Ready")["status"] == "True", within=within
        )

    def sealed(self, name: str = "alice") -> Object:
        """The sealed Secret of a grant."""
        uid = self.get(f"{API}/namespaces/{self.namespace}/usergrants/{name}")["metadata"]["uid"]
        return self.get(f"/api/v1/namespaces/{self.installation.namespace}/secrets/grant-{uid}")

    def claim(self, name: str = "alice") -> Object | None:
        """The claim in a grant's sealed Secret."""
        encoded = self.sealed(name)["data"].get("claim")
        return json.loads(base64.b64decode(encoded)) if encoded else None

    def delivered(self, name: str = "alice") -> dict[str, str]:
        """What a grant's delivered Secret holds."""
        secret = self.get(f"/api/v1/namespaces/{self.namespace}/secrets/{name}-token")
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    def presented(self) -> list[str]:
        """Hashes of the refresh tokens that were presented, as the authorization server saw them, in order."""
        entries = self.auth_server.ledger(self.client_id)
        return [entry["presented"] for entry in entries if entry["grant_type"] == "refresh_token"]

    def get(self, path: str) -> Object:
        """An object by its API path, as the administrator sees it."""
        with self.control_plane.client() as client:
            answer = client.get(path)
        answer.raise_for_status()
        return dict(answer.json())

    def delete(self, path: str) -> httpx.Response:
        """Delete an object by its API path."""
        with self.control_plane.client() as client:
            return client.delete(path)

    def grant_path(self, name: str = "alice") -> str:
        """The API path of a grant."""
        return f"{API}/namespaces/{self.namespace}/usergrants/{name}"

    def _wait(self, path: str, holds: Callable[[Object], bool], within: float) -> Object:
        deadline = time.monotonic() + within
        with self.control_plane.client() as client:
            while True:
                answer = client.get(path)
                seen = dict(answer.json())
                if answer.is_success and holds(seen):
                    return seen
                if time.monotonic() > deadline:
                    raise AssertionError(f"after {within:.0f} s {path} is still {json.dumps(seen.get('status'), indent=1)}")
                time.sleep(0.1)


def status(grant: Object) -> Object:
    """The status, empty where there is none."""
    return dict(grant.get("status") or {})


def condition(thing: Object, kind: str) -> Object:
    """One condition; Unknown where it is not there."""
    found = [c for c in status(thing).get("conditions", []) if c["type"] == kind]
    return dict(found[0]) if found else {"status": "Unknown", "reason": "", "message": ""}


def sha256(text: str) -> str:
    """The hash by which the ledger and the sealed Secret know a token."""
    return hashlib.sha256(text.encode()).hexdigest()
