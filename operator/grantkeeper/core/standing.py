"""Judge a connector: what was found of its server and of its client secret becomes conditions, each a sentence that says what to do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from grantkeeper.core.conditions import Verdict, false, pending, summarize, true
from grantkeeper.core.metadata import Endpoints
from grantkeeper.resources import ClientAuthentication, OAuthConnector

CONNECTOR_LABEL = "grantkeeper.dev/connector"
CLIENT_SECRET_LIMIT = 4096
REJECTED_FOR = timedelta(minutes=10)
"""How long a rejected client is not used to ask people; then it may be tried again, in case the server has been corrected."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something about a connector does not hold: a condition reason and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one connector, held in memory between looks."""

    endpoints: Endpoints | None = None
    metadata_problem: Problem | None = None
    secret: SecretStr | None = None
    secret_problem: Problem | None = None
    reach_problem: Problem | None = None
    generation: int = 0
    """The generation of the spec that this was found for."""
    rejected_at: datetime | None = None
    """When the server last rejected the client."""
    is_judged: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether grants may rely on it."""
        return self.is_judged and self.endpoints is not None and not (self.metadata_problem or self.secret_problem or self.reach_problem)


def reject(standing: Standing, problem: Problem, now: datetime) -> Standing:
    """The server has rejected the client."""
    return replace(standing, reach_problem=problem, rejected_at=now)


def rejection(standing: Standing, *, generation: int, now: datetime) -> Problem | None:
    """A rejection that still counts: of the spec as it is, and not too long ago."""
    if standing.rejected_at is None or standing.generation != generation or now - standing.rejected_at >= REJECTED_FOR:
        return None
    return standing.reach_problem


def judge_connector(standing: Standing) -> tuple[Verdict, ...]:
    """The conditions of a connector."""
    if not standing.is_judged:
        return summarize(tuple(pending(kind, "The controller has not looked yet.") for kind in ("Accepted", "ResolvedRefs", "Reachable")))
    return summarize(
        (
            _verdict("Accepted", standing.metadata_problem),
            _verdict("ResolvedRefs", standing.secret_problem),
            _verdict("Reachable", standing.reach_problem),
        )
    )


def _verdict(kind: str, problem: Problem | None) -> Verdict:
    return true(kind, kind) if problem is None else false(kind, problem.reason, problem.message)


def judge_client_secret(connector: OAuthConnector, secret: Mapping[str, Any] | None) -> SecretStr | Problem | None:
    """The client secret that a connector refers to, or why it may not be used; None for a public client.

    A Secret must be offered by its own label: otherwise whoever may create a connector could have any Secret of the namespace sent
    to a server of his own.
    """
    reference = connector.spec.client_secret_ref
    if connector.spec.client_authentication is ClientAuthentication.NONE or reference is None:
        return None
    name, key = reference.name, reference.key
    if secret is None:
        return Problem("SecretNotFound", f"There is no Secret {name}; create it with the key {key} and the label {_label(connector)}.")
    if (secret["metadata"].get("labels") or {}).get(CONNECTOR_LABEL) != connector.metadata.name:
        return Problem("SecretNotOffered", f"Secret {name} is not offered to this connector; label it {_label(connector)}.")
    encoded = (secret.get("data") or {}).get(key)
    if encoded is None:
        return Problem("SecretKeyMissing", f"Secret {name} has no key {key}; add it, or name another key in spec.clientSecretRef.key.")
    try:
        text = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return Problem("SecretInvalid", f"Key {key} of Secret {name} is not a client secret: it is not plain ASCII text.")
    if not 0 < len(text) <= CLIENT_SECRET_LIMIT or not text.isprintable():
        return Problem(
            "SecretInvalid",
            f"Key {key} of Secret {name} is not a client secret: it is empty, too long, or holds a line break; write it without a newline.",
        )
    return SecretStr(text)


def _label(connector: OAuthConnector) -> str:
    return f"{CONNECTOR_LABEL}={connector.metadata.name}"
