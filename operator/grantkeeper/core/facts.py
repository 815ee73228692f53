"""What is true of a grant now, as far as it was looked at: the input of planning, and its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from grantkeeper.core.pacing import Urgency
from grantkeeper.core.tokens import IDClaims


class Copy(Enum):
    """How a delivered Secret compares with the set that is held."""

    CURRENT = auto()
    STALE = auto()
    MISSING = auto()
    FOREIGN = auto()
    UNWRITABLE = auto()


class Trouble(Enum):
    """Why a set that exists cannot be used."""

    UNSEALABLE = auto()
    REPLACED = auto()


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """One Secret that consumers read."""

    name: str
    copy: Copy
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConnectorFacts:
    """What matters to a grant of its connector."""

    name: str
    exists: bool
    ready: bool
    endpoints_known: bool
    lacks: tuple[str, ...] = ()
    """Scopes that the grant names and the connector does not offer."""


@dataclass(frozen=True, slots=True)
class Holding:
    """The set that is held, without its tokens."""

    generation: int
    obtained_at: datetime
    expires_at: datetime | None
    due_at: datetime | None
    scopes: tuple[str, ...]
    account: IDClaims | None
    refresh_hash: str | None
    """SHA-256 of the refresh token; None where there is none."""

    @property
    def is_refreshable(self) -> bool:
        """Whether there is a refresh token to present."""
        return self.refresh_hash is not None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a plan depends on."""

    now: datetime
    is_deleting: bool
    connector: ConnectorFacts
    is_held: bool = False
    """Our finalizer keeps the grant until its tokens have been dealt with."""
    holding: Holding | None = None
    trouble: Trouble | None = None
    trouble_detail: str = ""
    is_dead: bool = False
    """The refresh token that is held has been refused, or may be spent and must not be presented again."""
    refusal: str | None = None
    """Condition reason of the last answer that brought no tokens."""
    expected_account: str = ""
    """Whose consent the spec asks for, in words."""
    failure: str = ""
    """Why the last refresh failed, in words that hold nothing a server sent."""
    failures: int = 0
    retry_not_before: datetime | None = None
    claim_respected_until: datetime | None = None
    """Until when another holder's claim keeps us away."""
    has_dangling_code: bool = False
    answers: tuple[str, ...] = ()
    """Names of the answer Secrets that wait."""
    has_open_request: bool = False
    has_lapsed_request: bool = False
    request_expires_at: datetime | None = None
    template_fault: str = ""
    """What is wrong with a template of spec.secrets: which, and what is allowed there."""
    secrets: tuple[SecretFacts, ...] = ()
    surplus: tuple[str, ...] = ()
    """Names of delivered Secrets of ours that spec.secrets names no more."""
    waits_for_turn: Urgency | None = None
    """As how urgent it waits for its turn at the server, and is woken when that comes."""
    look_again_at: datetime | None = None
    """When something that failed may be tried again."""
