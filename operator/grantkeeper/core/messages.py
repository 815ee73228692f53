"""What goes to an authorization server and what comes back, as values: building and reading them needs no network.

Both hold secrets in places where text is kept, so neither shows them: not in its repr, nor in the text of a failure about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request with a form in its body; the form and the credentials in the headers are secret."""

    method: str
    url: str
    headers: Mapping[str, SecretStr | str]
    form: SecretStr
    """The body, encoded as application/x-www-form-urlencoded."""
    client_secret: SecretStr | None = None
    """The one of the client's secrets that it is proved by."""
    alternative: Request | None = None
    """The same, proved by the client's other secret; for when this one is rejected, and so what it presents was not looked at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, its body decoded and of bounded length, its other parts as they were sent."""

    status: int
    content_type: str
    retry_after: str | None
    body: bytes = field(repr=False)
    date: str | None = None
