"""What a storm leaves behind for the judges: what the authorization server saw, what the cluster showed, and what was done to whom.

All times are seconds since the epoch, by the one clock of this machine. Tokens are known by the first characters of their hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

BRIEF = 20
"""Characters of a hash that are kept: enough to tell tokens apart, and short enough for a hundred thousand of them."""


class Fate(StrEnum):
    """What became of one token request at the authorization server."""

    ANSWERED = "answered"
    """The answer was handed to the kernel while the peer was still there."""
    CUT = "cut"
    """The work was done, and the connection reset in the place of an answer, or in its middle."""
    DROPPED = "dropped"
    """The connection was reset before any work was done."""
    LATE = "late"
    """The work was done, and the peer was gone before the answer was sent."""


class Call(NamedTuple):
    """One token request, as the authorization server saw it."""

    account: str
    """`<grant>#<consent>`; empty where nobody was ever given what was presented."""
    grant_type: str
    presented: str
    arrived_at: float
    fate: str
    was_spent: bool
    """What was presented had been used before."""
    error: str | None
    access_token: str | None
    """What was granted; None where nothing was."""
    refresh_token: str | None
    expires_at: float | None
    answered_at: float | None
    """When the answer was sent; None where it was not, or not whole."""
    ended_at: float | None
    """When the connection ended; None while it is open, and where another request could follow over it."""
    was_kept: bool
    """It came over a connection that an earlier one had left."""

    @property
    def grant(self) -> str:
        """The grant's name."""
        return self.account.partition("#")[0]

    @property
    def gave(self) -> bool:
        """Whether it was worked off, and tokens were granted."""
        return self.access_token is not None

    @property
    def over_at(self) -> float:
        """From when on nothing more could come of it for whoever asked."""
        moments = [moment for moment in (self.answered_at, self.ended_at) if moment is not None]
        return min(moments, default=float("inf"))


class Claimed(NamedTuple):
    """The claim in one version of a sealed Secret."""

    attempt: str
    pod: str
    boot: str
    hash: str
    lost: bool


class Sealed(NamedTuple):
    """One version of a sealed Secret."""

    grant: str
    version: int
    """Its resourceVersion: one order over all objects."""
    seen_at: float
    generation: int
    """Of the set that it holds; 0 where it holds none."""
    tokenset: str
    """A digest; empty where there is none."""
    claim: Claimed | None


class Copy(NamedTuple):
    """One version of a delivered Secret; without a token once it is deleted."""

    grant: str
    version: int
    seen_at: float
    generation: int
    access_token: str
    expires: str
    """Its annotation."""


class Report(NamedTuple):
    """One version of a grant's status."""

    grant: str
    version: int
    seen_at: float
    generation: int
    is_ready: bool
    reason: str
    expires: str
    link: str = ""


class Kind(StrEnum):
    """What is done to a replica."""

    KILL = "kill"
    STOP = "stop"
    CUT = "cut"
    """Its way to the API server: connections cut, refused, slow, or answers lost."""


BY_ITSELF = "by itself"
"""How a process died that nobody killed."""


class Entry(NamedTuple):
    """A gain that was found in the journal of a killed process."""

    presented: str
    """The hash of the refresh token that it came for."""
    written_at: float
    """Infinite where that cannot be told."""


class Mishap(NamedTuple):
    """What was done to one replica, from when to when."""

    kind: Kind
    pod: str
    """Its uid."""
    began_at: float
    ended_at: float
    """Of a kill, when its next life was started; infinite where that never was."""
    led: bool = False
    """It was in the Lease then."""
    step: str = ""
    """The failpoint that did it, or in words how."""
    journal: tuple[Entry, ...] = ()
    """Of a kill: what was in its journal."""
    pod_lost: bool = False
    """Of a kill: the Pod was not started again, and its journal is gone."""


@dataclass(slots=True)
class Evidence:
    """All of it, each list in the order of time; and of versions, where there are some."""

    calls: list[Call] = field(default_factory=list)
    sealed: list[Sealed] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    mishaps: list[Mishap] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When the authorization server accepted no connection, or reset each new one."""
    overlaps: int | None = None
    """How often two replicas led at once, by their own words; None where nobody has looked."""


def brief(digest: str) -> str:
    """A hash as it is kept."""
    return digest[:BRIEF]


def read_call(told: Mapping[str, Any]) -> Call:
    """A call as the authorization server tells it."""
    brief_ones = {name: brief(told[name] or "") or None for name in ("presented", "access_token", "refresh_token")}
    return Call(**{**told, **brief_ones})
