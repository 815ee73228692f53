"""Whether a Secret may be sent to a server as a client's own: only one that was offered to this very connector."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from grantkeeper.choices import ClientAuthentication
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import Problem, Standing, note_change
from grantkeeper.resources import OAuthConnector

CONNECTOR_LABEL = "grantkeeper.dev/connector"
CLIENT_SECRET_LIMIT = 4096


def judge_client_secret(
    connector: OAuthConnector, secret: Mapping[str, Any] | None, *, is_fallback: bool = False
) -> SecretStr | Problem | None:
    """The client secret that a connector refers to, or its second one, or why it may not be used; None where it refers to none.

    A Secret must be offered by its own label: otherwise whoever may create a connector could have any Secret of the namespace sent
    to a server of his own.
    """
    reference = connector.spec.fallback_client_secret_ref if is_fallback else connector.spec.client_secret_ref
    field = "fallbackClientSecretRef" if is_fallback else "clientSecretRef"
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
        return Problem(Reason.SECRET_KEY_MISSING, f"Secret {name} has no key {key}; add it, or name another key in spec.{field}.key.")
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


def note_client_secrets(
    standing: Standing, first: SecretStr | Problem | None, second: SecretStr | Problem | None, now: datetime
) -> Standing:
    """What the client secret that a connector refers to, and its second one, make of its standing; the same where nothing is new.

    What was noted of the server goes where they are others than before. Its silence stays: that is not theirs.
    """
    if isinstance(first, Problem):
        return replace(standing, secret=None, secret_problem=first)
    fallback, fallback_problem = (None, second) if isinstance(second, Problem) else (second, None)
    is_same = (first, fallback) == (standing.secret, standing.fallback_secret)
    if is_same and (standing.secret_problem, standing.fallback_problem) == (None, fallback_problem):
        return standing
    read = replace(standing, secret=first, secret_problem=None, fallback_secret=fallback, fallback_problem=fallback_problem)
    if is_same or standing.is_silent:
        return read
    return replace(note_change(read, now) if standing.is_judged else read, noted=None, circuit=None)


def _label(connector: OAuthConnector) -> str:
    return f"{CONNECTOR_LABEL}={connector.metadata.name}"
