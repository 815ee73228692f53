"""Judge what came back from a person's consent, before anything is spent on it.

An answer is a small Secret that the pages created. Anybody who has a link can forge one, so it is held against the record of
the request that it claims to answer, and nothing else: RFC 9700 section 4.4 (mix-up), RFC 9207 (`iss`).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from grantkeeper.choices import RequestState
from grantkeeper.core.metadata import Endpoints
from grantkeeper.core.reasons import Reason
from grantkeeper.core.requests import ConsentRequest

ANSWER_TYPE = "grantkeeper.dev/answer"
JUNK_LIMIT = 3
"""So many answers that cannot be right spend a request."""


@dataclass(frozen=True, slots=True)
class ConsentAnswer:
    """What a redirect brought back (RFC 6749 section 4.1.2), as the pages wrote it down."""

    secret_name: str
    secret_uid: str
    namespace: str
    grant: str
    connector: str
    request: str
    """SHA-256 of the request's id."""
    redirect_uri: str
    code: SecretStr | None
    error: str | None
    iss: str | None


@dataclass(frozen=True, slots=True)
class Redeem:
    """The answer fits: its code may be presented, once."""

    code: SecretStr


@dataclass(frozen=True, slots=True)
class Refuse:
    """The answer fits and says no, and this is why."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Junk:
    """The answer cannot be the one that was asked for; it is counted against the request, if there is one."""

    why: str


Judgement = Redeem | Refuse | Junk


def read_answer(secret: dict[str, Any]) -> ConsentAnswer:
    """Read an answer Secret; ValueError where it is not one."""
    if secret.get("type") != ANSWER_TYPE:
        raise ValueError("not an answer")
    data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
    metadata = secret["metadata"]
    return ConsentAnswer(
        secret_name=metadata["name"],
        secret_uid=metadata["uid"],
        namespace=data.get("namespace", ""),
        grant=data.get("grant", ""),
        connector=data.get("connector", ""),
        request=hashlib.sha256(data.get("id", "").encode()).hexdigest(),
        redirect_uri=data.get("redirectURI", ""),
        code=SecretStr(data["code"]) if data.get("code") else None,
        error=data.get("error"),
        iss=data.get("iss"),
    )


def judge_answer(
    answer: ConsentAnswer,
    request: ConsentRequest | None,
    *,
    connector: str,
    redirect_uri: str,
    endpoints: Endpoints,
    now: datetime,
) -> Judgement:
    """Decide what an answer is worth. `connector` and `redirect_uri` are the grant's own, from its spec and the settings."""
    if request is None or request.state is not RequestState.OPEN:
        return Junk("no open request has this id")
    if now >= request.expires_at:
        return Junk("the request has expired")
    if answer.connector != connector or answer.redirect_uri != redirect_uri:
        return Junk("it came back for another connector")
    if endpoints.iss_parameter_supported and answer.iss is None:
        return Junk("it does not say which server it is from")
    if answer.iss is not None and endpoints.issuer is not None and answer.iss != endpoints.issuer:
        return Junk("it is from another server")
    if answer.error is not None:
        return Refuse(Reason.CONSENT_DENIED if answer.error == "access_denied" else Reason.EXCHANGE_FAILED)
    if answer.code is None:
        return Junk("it holds neither a code nor an error")
    return Redeem(answer.code)
