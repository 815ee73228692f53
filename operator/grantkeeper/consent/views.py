"""What each page shows, as a value: all that its template needs, and nothing else.

Everything in it that has no home in the catalogue may have been written by a stranger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import SecretStr


class Notice(StrEnum):
    """A page that only says something."""

    ROOT = "root"
    UNKNOWN = "unknown"
    PREPARING = "preparing"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    USED = "used"
    UNREADABLE = "unreadable"
    WRONG_BROWSER = "wrong_browser"
    ELSEWHERE = "elsewhere"
    METHOD = "method"
    UNREADY = "unready"
    TROUBLE = "trouble"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, for whom, and why."""

    namespace: str
    grant: str
    user: str
    purpose: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """The authorization server: its name as people know it, and the host their browser will show."""

    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Scope:
    """One permission, in words where the connector has them."""

    name: str
    description: str | None = None
    granted: bool = True
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """The page that asks; its button starts the flow."""

    asker: Asker
    server: Server
    scopes: tuple[Scope, ...]
    secrets: tuple[str, ...]
    revokes: bool
    keeps: bool
    """Whether the tokens are kept, or only whose account it is."""
    expires_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Departure:
    """The page that goes on to the authorization server. Its address holds the state, so it never shows in a text."""

    server: Server
    address: SecretStr


@dataclass(frozen=True, slots=True)
class Waiting:
    """The page of somebody who has answered, looked at for the `look`th time; no pause means that it no longer renews itself."""

    server: Server
    look: int
    pause: int | None
    is_slow: bool
    may_start_again: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """The page of a consent that was given."""

    asker: Asker
    server: Server
    account: str | None
    scopes: tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The page of a consent that did not come about; `reason` is a condition reason."""

    asker: Asker
    server: Server
    reason: str
    stays: bool = False
    """What was connected before still is."""


Page = Question | Departure | Waiting | Connected | Refused | Notice
