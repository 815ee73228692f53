"""What an authorization server sent a person back with, read strictly and passed on unjudged (RFC 6749 section 4.1.2).

Here it is decided only whether this is a redirect that a server may send, and whether this browser is the one that was sent there.
Whether the answer is the right one, `iss` included (RFC 9207), is the controller's to judge, by its own record of the request.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from pydantic import SecretStr

from grantkeeper.consent.addresses import Callback, is_random
from grantkeeper.consent.tickets import Ticket
from grantkeeper.core.answering import ANSWER_TYPE
from grantkeeper.core.records import KIND_LABEL
from grantkeeper.core.requests import hash_id
from grantkeeper.core.times import to_text

LONGEST_QUERY = 12_288
_LONGEST_CODE = 3072
_LONGEST_ISSUER = 1024
_MOST_PARAMETERS = 32
_VISIBLE = re.compile(r"[\x20-\x7E]+")
"""VSCHAR of RFC 6749 appendix A: what a code and an `iss` may consist of."""

ERRORS = frozenset(
    {
        # RFC 6749 section 4.1.2.1
        "invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope", "server_error",
        "temporarily_unavailable",
        # OpenID Connect Core section 3.1.2.6
        "interaction_required", "login_required", "account_selection_required", "consent_required", "invalid_request_uri",
        "invalid_request_object", "request_not_supported", "request_uri_not_supported", "registration_not_supported",
    }
)  # fmt: skip
OTHER = "other"
"""Any error that no standard names: servers put anything there, and it would reach a status."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A well-formed authorization response: exactly one of code and error."""

    state: SecretStr
    code: SecretStr | None
    error: str | None
    iss: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the controller is told: a redirect, and the ticket of the browser that it reached."""

    ticket: Ticket
    callback: Callback
    redirect_uri: str
    redirect: Redirect
    time: datetime


def read_redirect(query: str) -> Redirect | None:
    """The redirect in a query string, or None where no server may send that.

    A parameter without a value counts as left out, one given twice spoils the whole (RFC 6749 section 3.1), and parameters that
    nobody here knows are ignored (section 4.1.2).
    """
    if len(query) > LONGEST_QUERY:
        return None
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict")
    except ValueError:
        return None
    if any(times > 1 for times in Counter(name for name, _ in pairs).values()):
        return None
    given = {name: value for name, value in pairs if value}
    code, error, iss, state = (given.get(name) for name in ("code", "error", "iss", "state"))
    if state is None or not is_random(state) or (code is None) == (error is None):
        return None
    if not _is_visible(code, _LONGEST_CODE) or not _is_visible(iss, _LONGEST_ISSUER):
        return None
    return Redirect(
        state=SecretStr(state),
        code=SecretStr(code) if code else None,
        error=(error if error in ERRORS else OTHER) if error else None,
        iss=iss,
    )


def _is_visible(text: str | None, longest: int) -> bool:
    return text is None or (len(text) <= longest and _VISIBLE.fullmatch(text) is not None)


def write_answer(answer: Answer, number: int, operator_namespace: str) -> dict[str, Any]:
    """The Secret that hands an answer to the controller; the bounds of its parts keep it below 8 KiB."""
    link = answer.ticket.link
    data = {
        "namespace": link.namespace,
        "grant": link.grant,
        "connector": answer.callback.connector,
        "id": link.id.get_secret_value(),
        "redirectURI": answer.redirect_uri,
        "time": to_text(answer.time),
    }
    redirect = answer.redirect
    if redirect.code is not None:
        data["code"] = redirect.code.get_secret_value()
    if redirect.error is not None:
        data["error"] = redirect.error
    if redirect.iss is not None:
        data["iss"] = redirect.iss
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": ANSWER_TYPE,
        "metadata": {
            "name": f"answer-{hash_id(link.id)}-{number}",
            "namespace": operator_namespace,
            "labels": {KIND_LABEL: "answer"},
        },
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
