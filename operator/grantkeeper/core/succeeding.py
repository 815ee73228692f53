"""What a new consent takes over from the set that it replaces: a refresh token that is still of use, where the new one brought none.

Many servers issue a refresh token with the first consent only. Who consents to more would lose it otherwise.
"""

from __future__ import annotations

from grantkeeper.core.records import Sealed
from grantkeeper.core.tokens import TokenSet, fingerprint

SPENT = frozenset({"ReauthorizationRequired", "AccountMismatch"})
"""Outcomes after which a refresh token is not presented again."""


def succeed(held: TokenSet | None, fresh: TokenSet, before: Sealed) -> TokenSet:
    """The set to keep of a new consent; `before` is the sealed Secret that holds the old one, as it was before the code was claimed.

    Taken over only of the same account, and only where nothing makes it doubtful: a refusal, or a claim that stands.
    """
    if held is None or held.refresh_token is None or fresh.refresh_token is not None or not _is_same_account(held, fresh):
        return fresh
    outcome = before.outcome
    is_spent = outcome is not None and outcome.reason in SPENT and outcome.hash == fingerprint(held.refresh_token)
    if before.claim is not None or is_spent:
        return fresh
    return fresh.model_copy(
        update={"refresh_token": held.refresh_token, "refresh_expires_at": held.refresh_expires_at, "turnover": held.turnover}
    )


def _is_same_account(one: TokenSet, other: TokenSet) -> bool:
    known, came = one.id_claims, other.id_claims
    return known is not None and came is not None and (known.iss, known.sub) == (came.iss, came.sub)
