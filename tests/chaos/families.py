"""Families of tokens at an authorization server, and what came of every token that was presented: no I/O, no clock.

A family is what one consent gave: tokens that follow one another (RFC 9700 section 4.14.2). Servers treat a refresh token that was
used in four manners, and the whole protocol turns on which.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

LEEWAY = 60.0
"""Seconds within which a server with a leeway accepts a spent refresh token."""


class Manner(StrEnum):
    """What becomes of a refresh token that was used."""

    KEPT = "kept"
    """It stays as it is."""
    LEEWAY = "leeway"
    """It is spent, and accepted again within the leeway."""
    STRICT = "strict"
    """It is spent: presented again it is refused, and nothing else happens."""
    FAMILY = "family"
    """It is spent: presented again it ends the family, the access token that still lives included."""


class Entry(NamedTuple):
    """One presentation of a code or a refresh token."""

    time: float
    """Seconds since the epoch."""
    account: str
    grant_type: str
    presented: str
    """SHA-256 of what was presented, in hex."""
    error: str | None
    access_token: str | None
    """SHA-256 of the access token that was granted; None where there is none."""


class Reply(NamedTuple):
    """An answer: its status, its members, and whether it is to be cut off after the work is done."""

    status: int
    members: dict[str, Any]
    is_cut: bool = False


@dataclass(slots=True)
class Family:
    """One consent. `lifetime` is that of its first access token, `later` of those that follow, in seconds."""

    account: str
    manner: Manner
    lifetime: int = 3600
    later: int = 3600
    refusals: dict[str, int] = field(default_factory=dict)
    """How many coming requests of a grant type are refused: a code for good, a refresh token for now, unspent."""
    cuts: dict[str, int] = field(default_factory=dict)
    """How many coming requests of a grant type are worked off and not answered."""
    is_ended: bool = False
    spent: dict[str, float] = field(default_factory=dict)
    """When each refresh token was used first."""


@dataclass(slots=True)
class Book:
    """All families of a server, and the ledger."""

    entries: list[Entry] = field(default_factory=list)
    lifetime: int | None = None
    """Of access tokens from now on, in seconds; None where each family says it."""
    _codes: dict[str, Family] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _refresh: dict[str, Family] = field(default_factory=dict)
    _access: dict[str, tuple[Family, float]] = field(default_factory=dict)
    _families: dict[str, Family] = field(default_factory=dict)

    def issue_code(self, family: Family) -> str:
        """A code for a consent; an account has one consent, the newest."""
        self._families[family.account] = family
        self._codes[code := f"code-{secrets.token_hex(16)}"] = family
        return code

    def present(self, form: dict[str, str], now: float) -> Reply:
        """Answer a token request (RFC 6749 sections 4.1.3 and 6), and write it down."""
        grant_type = form.get("grant_type", "")
        given = form.get("code" if grant_type == "authorization_code" else "refresh_token", "")
        family = (self._codes if grant_type == "authorization_code" else self._refresh).get(given)
        if family is None:
            return Reply(400, {"error": "invalid_grant"})
        error = self._judge_code(family, given) if grant_type == "authorization_code" else self._judge_refresh(family, given, now)
        members = {"error": error} if error else self._grant(family, grant_type, now)
        granted = sha256(members["access_token"]) if error is None else None
        self.entries.append(Entry(now, family.account, grant_type, sha256(given), error, granted))
        is_cut = _take(family.cuts, grant_type)
        return Reply(400 if error else 200, members, is_cut)

    def revoke(self, token: str) -> None:
        """Revoke a token (RFC 7009): with a refresh token its whole family, with an access token that alone."""
        if (family := self._refresh.get(token)) is not None:
            family.is_ended = True
        self._access.pop(token, None)

    def is_active(self, token: str, now: float) -> bool:
        """Whether a token would be accepted now (RFC 7662)."""
        if (family := self._refresh.get(token)) is not None:
            return not family.is_ended and token not in family.spent
        holder, expires_at = self._access.get(token, (None, 0.0))
        return holder is not None and not holder.is_ended and now < expires_at

    def account_of(self, access_token: str, now: float) -> str | None:
        """Whose access token this is."""
        return self._access[access_token][0].account if self.is_active(access_token, now) else None

    def is_spent(self, given: str) -> bool:
        """Whether a code or a refresh token has been used before."""
        return given in self._used or ((family := self._refresh.get(given)) is not None and given in family.spent)

    def account_of_given(self, given: str) -> str:
        """Who was given a code or a refresh token; empty where nobody was."""
        family = self._codes.get(given) or self._refresh.get(given)
        return family.account if family is not None else ""

    def is_ended(self, account: str) -> bool:
        """Whether the account's consent is over at the server."""
        return account in self._families and self._families[account].is_ended

    def _judge_code(self, family: Family, code: str) -> str | None:
        if code in self._used:
            family.is_ended = True  # RFC 6749 section 4.1.2
            return "invalid_grant"
        self._used.add(code)
        return "invalid_grant" if _take(family.refusals, "authorization_code") else None

    def _judge_refresh(self, family: Family, token: str, now: float) -> str | None:
        if family.is_ended:
            return "invalid_grant"
        if _take(family.refusals, "refresh_token"):
            return "temporarily_unavailable"
        if family.manner is Manner.KEPT:
            return None
        since = family.spent.setdefault(token, now)
        if since == now or (family.manner is Manner.LEEWAY and now - since <= LEEWAY):
            return None
        family.is_ended = family.manner is Manner.FAMILY
        return "invalid_grant"

    def _grant(self, family: Family, grant_type: str, now: float) -> dict[str, Any]:
        is_first = grant_type == "authorization_code"
        lifetime = self.lifetime or (family.lifetime if is_first else family.later)
        access_token = f"at-{secrets.token_hex(16)}"
        self._access[access_token] = (family, now + lifetime)
        members = {"access_token": access_token, "token_type": "Bearer", "expires_in": lifetime, "scope": "calendar.read"}
        if is_first or family.manner is not Manner.KEPT:
            members["refresh_token"] = refresh_token = f"rt-{secrets.token_hex(16)}"
            self._refresh[refresh_token] = family
        return members


def sha256(text: str) -> str:
    """What a token is called in the ledger."""
    return hashlib.sha256(text.encode()).hexdigest()


def _take(counts: dict[str, int], name: str) -> bool:
    """Whether there was one left, which is taken."""
    left = counts.get(name, 0)
    counts[name] = max(left - 1, 0)
    return left > 0
