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
from grantkeeper.core.reasons import Reason
from grantkeeper.resources import ClientAuthentication, OAuthConnector

CONNECTOR_LABEL = "grantkeeper.dev/connector"
CLIENT_SECRET_LIMIT = 4096
REJECTED_FOR = timedelta(minutes=10)
"""How long a rejected client is not used to ask people; then it may be tried again, in case the server has been corrected."""
UNREACHABLE_FOR = timedelta(minutes=1)
"""How long a token endpoint that could not be reached counts as away, where the metadata can be had all the same."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something about a connector does not hold: a condition reason and a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one connector, held in memory between looks."""

    uid: str = ""
    """The connector's own; one that bears its name later starts from nothing."""
    generation: int = 0
    endpoints: Endpoints | None = None
    metadata_problem: Problem | None = None
    secret: SecretStr | None = None
    secret_problem: Problem | None = None
    fetch_problem: Problem | None = None
    """Why the server could not be looked at."""
    noted: Problem | None = None
    """What token requests have shown, while it counts."""
    noted_at: datetime | None = None
    is_judged: bool = False

    @property
    def reach_problem(self) -> Problem | None:
        """Why the server is not of use now."""
        return self.noted or self.fetch_problem

    @property
    def is_ready(self) -> bool:
        """Whether grants may rely on it."""
        return self.is_judged and self.endpoints is not None and not (self.metadata_problem or self.secret_problem or self.reach_problem)


def note(standing: Standing, problem: Problem | None, now: datetime) -> Standing:
    """What a token request has shown of the server or the client: a problem, or that there is none."""
    return replace(standing, noted=problem, noted_at=now if problem else None, fetch_problem=standing.fetch_problem if problem else None)


def let_lapse(standing: Standing, *, generation: int, now: datetime) -> Standing:
    """Forget what was noted of another spec, or too long ago: only trying again can show whether it still holds."""
    if standing.noted is None or standing.noted_at is None:
        return standing
    counts_for = REJECTED_FOR if standing.noted.reason is Reason.CLIENT_REJECTED else UNREACHABLE_FOR
    if standing.generation == generation and now - standing.noted_at < counts_for:
        return standing
    return replace(standing, noted=None, noted_at=None)


def judge_connector(standing: Standing) -> tuple[Verdict, ...]:
    """The conditions of a connector."""
    if not standing.is_judged:
        return summarize(tuple(pending(kind, "The controller has not looked yet.") for kind in ("Accepted", "ResolvedRefs", "Reachable")))
    return summarize(
        (
            _verdict("Accepted", Reason.ACCEPTED, standing.metadata_problem),
            _verdict("ResolvedRefs", Reason.RESOLVED_REFS, standing.secret_problem),
            _judge_reach(standing),
        )
    )


def _judge_reach(standing: Standing) -> Verdict:
    """Nobody was asked where no server is named."""
    if standing.metadata_problem is not None and standing.metadata_problem.reason is Reason.UNKNOWN_PROVIDER:
        return pending("Reachable", "No server is known that could be reached.")
    return _verdict("Reachable", Reason.REACHABLE, standing.reach_problem)


def _verdict(kind: str, otherwise: Reason, problem: Problem | None) -> Verdict:
    return true(kind, otherwise) if problem is None else false(kind, problem.reason, problem.message)


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
        return Problem(
            Reason.SECRET_NOT_FOUND, f"There is no Secret {name}; create it with the key {key} and the label {_label(connector)}."
        )
    if (secret["metadata"].get("labels") or {}).get(CONNECTOR_LABEL) != connector.metadata.name:
        return Problem(Reason.SECRET_NOT_OFFERED, f"Secret {name} is not offered to this connector; label it {_label(connector)}.")
    encoded = (secret.get("data") or {}).get(key)
    if encoded is None:
        return Problem(
            Reason.SECRET_KEY_MISSING, f"Secret {name} has no key {key}; add it, or name another key in spec.clientSecretRef.key."
        )
    try:
        text = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return Problem(Reason.SECRET_INVALID, f"Key {key} of Secret {name} is not a client secret: it is not plain ASCII text.")
    if not 0 < len(text) <= CLIENT_SECRET_LIMIT or not text.isprintable():
        return Problem(
            Reason.SECRET_INVALID,
            f"Key {key} of Secret {name} is not a client secret: it is empty, too long, or holds a line break; write it without a newline.",
        )
    return SecretStr(text)


def _label(connector: OAuthConnector) -> str:
    return f"{CONNECTOR_LABEL}={connector.metadata.name}"
